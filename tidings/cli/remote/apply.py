"""`tidings apply FILE`: have a server follow the declarations of a file; what that does is said first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tidings.cli.session import DEFAULT_URL, FAILED, AsJson, Key, Url, fail, print_json, session
from tidings.client.calls import verb
from tidings.config import Config, read_config
from tidings.model.errors import Place, TidingsError
from tidings.settings import Settings, SettingsError, read_settings

DIFFERS = 3
"""The exit status of `--plan` where something would be changed."""
NEEDS_YES = 4
"""The exit status where values would be lost, and nobody has said yes."""

Post = Callable[[str, dict[str, Any]], dict[str, Any]]
"""`plan` or `apply` with a body; the plan as it is shown."""


def apply(
    file: Annotated[Path, typer.Argument(help="The file, such as tidings.yaml; its section `collections` counts.")],
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Also drop collections that the file lacks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it even where values are lost, without asking.")] = False,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="No server runs: open its store, as the settings have it.")
    ] = False,
    data: Annotated[str | None, typer.Option(help="With --stopped: its data folder.", metavar="TEXT")] = None,
    database: Annotated[str | None, typer.Option(help="With --stopped: its database.", metavar="TEXT")] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Have collections follow a file. Says what will be done, asks where values are lost, and does all or nothing.

    It ends with 0 when it is done or there is nothing to do; with 1 where it was refused; with 3 where --plan found
    something to do; with 4 where values would be lost and nobody said yes.
    """
    try:
        config = read_config(file)
    except SettingsError as wrong:
        fail(str(wrong))
    if not stopped and (data or database):
        fail("--data and --database go with --stopped")
    if config.collections is None:
        fail(f"{file} has no section `collections`")
    body = {"collections": config.collections, "prune": prune}
    with _stopped(config, {"data": data, "database": database}) if stopped else _running(url, key) as post:
        shown = post("plan", body)
        if not as_json:
            _show(config, shown)
        if shown["refusals"]:
            _end(shown, FAILED, as_json)
        if not shown["steps"]:
            _end(shown, 0, as_json)
        if plan:
            _end(shown, DIFFERS, as_json)
        if shown["loses"] and not (yes or _says_yes(as_json)):
            typer.echo("Nothing was changed: values would be lost. Say --yes if that is meant.", err=True)
            _end(shown, NEEDS_YES, as_json)
        done = post("apply", {**body, "plan": shown["plan"], "drop_values": bool(shown["loses"])})
        if not as_json:
            typer.echo("Done.")
    _end(done, 0, as_json)


@contextmanager
def _running(url: str, key: str) -> Iterator[Post]:
    """The server that runs."""
    with session(url, key, as_json=False) as out:
        yield lambda name, body: out.client.send(verb("/v1/collections", name, body, repeatable=name == "plan"))


@contextmanager
def _stopped(config: Config, flags: dict[str, Any]) -> Iterator[Post]:
    """The store of a server that does not run."""
    from tidings.control.collections import Wanted
    from tidings.server import DECLARE_SECONDS, Server
    from tidings.store.base import StoreError

    try:
        settings = read_settings(flags, file=config.settings)
        _check_store(settings)
        server = Server(settings)
        server.open()
    except (SettingsError, StoreError) as wrong:
        fail(str(wrong))
    collections = server.parts.collections

    def post(name: str, body: dict[str, Any]) -> dict[str, Any]:
        wish = Wanted(collections=body["collections"], prune=body["prune"])
        if name == "plan":
            shown = server.parts.readers.run(lambda db: collections.look(db, wish))
        else:
            more = {"plan_name": body["plan"], "drop_values": body["drop_values"]}
            shown = server.writer.wait(lambda db: collections.apply(db, wish, **more), DECLARE_SECONDS)
        found: dict[str, Any] = msgspec.to_builtins(shown)
        return found

    try:
        if server.operator_key:
            typer.echo(f"The operator's key, shown only this once, so keep it: {server.operator_key}", err=True)
        yield post
    except TidingsError as wrong:
        fail(wrong.detail)
    finally:
        server.close()


def _check_store(settings: Settings) -> None:
    """Raise StoreError where an SQLite database is not there: a mistyped folder would get a new one."""
    from tidings.store.base import StoreError
    from tidings.store.engines.opening import sqlite_file

    file = sqlite_file(settings.database, settings.folder)
    if file is not None and not file.exists():
        raise StoreError(f"there is no store {file}. Name its folder with --data, or let `tidings serve` make it first")


def _show(config: Config, shown: dict[str, Any]) -> None:
    """The plan in sentences."""
    for step in shown["steps"]:
        typer.echo(step["says"])
    if not shown["steps"]:
        typer.echo("Nothing to do: the collections are as the file has them.")
    if shown["stays"]:
        typer.echo(f"Not in the file, so they stay: {', '.join(shown['stays'])}. To drop them, say --prune.")
    for refusal in shown["refusals"]:
        place = Place(**refusal)
        at = f"{config.where(place)}: " if place.pointer else ""
        typer.echo(f"{at}{place.detail}", err=True)


def _says_yes(as_json: bool) -> bool:
    """Ask a person, where one is there."""
    if as_json or not sys.stdin.isatty():
        return False
    return typer.confirm("Values will be lost. Go on?", default=False)


def _end(shown: dict[str, Any], status: int, as_json: bool) -> None:
    if as_json:
        print_json(shown)
    raise typer.Exit(status)
