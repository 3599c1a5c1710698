"""`tidings apply FILE`: make a server's collections match a file, after showing what will change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from tidings.cli.session import DEFAULT_URL, FAILED, AsJson, Key, Url, fail, print_json, session
from tidings.client.item_calls import declared
from tidings.config import Config, read_config
from tidings.model.errors import Place, TidingsError
from tidings.settings import Settings, SettingsError, read_settings

DIFFERS = 3
"""The exit status of `--plan` if something would change."""
NEEDS_YES = 4
"""The exit status if values would be lost and nobody confirmed."""

Post = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Sends `plan` or `apply` with a body; returns the plan as it is shown."""


def apply(
    file: Annotated[
        Path, typer.Argument(help="The file, such as tidings.yaml; only its section `collections` is used.")
    ],
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be done.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Also drop collections that are not in the file.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even if values will be lost.")] = False,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="No server is running: open its store directly, as configured.")
    ] = False,
    data: Annotated[str | None, typer.Option(help="With --stopped: the data folder.", metavar="TEXT")] = None,
    database: Annotated[str | None, typer.Option(help="With --stopped: the database.", metavar="TEXT")] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Make the collections match a file. Shows what will change, asks if values are lost, and does all or nothing.

    The exit status is 0 if it is done or there is nothing to do; 1 if it was refused; 3 if --plan found something to
    do; 4 if values would be lost and nobody confirmed.
    """
    try:
        config = read_config(file)
    except SettingsError as wrong:
        fail(str(wrong))
    if not stopped and (data or database):
        fail("--data and --database require --stopped")
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
            typer.echo("Nothing was changed, because values would be lost. Use --yes to go ahead.", err=True)
            _end(shown, NEEDS_YES, as_json)
        done = post("apply", {**body, "plan": shown["plan"], "drop_values": bool(shown["loses"])})
        if not as_json:
            typer.echo("Done.")
    _end(done, 0, as_json)


@contextmanager
def _running(url: str, key: str) -> Iterator[Post]:
    """A running server."""
    with session(url, key, as_json=False) as out:
        yield lambda name, body: out.client.send(declared(name, body, repeatable=name == "plan"))


@contextmanager
def _stopped(config: Config, flags: dict[str, Any]) -> Iterator[Post]:
    """The store of a stopped server."""
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
    """Raise StoreError if an SQLite database does not exist: a mistyped folder would get a new one."""
    from tidings.store.base import StoreError
    from tidings.store.engines.opening import sqlite_file

    file = sqlite_file(settings.database, settings.folder)
    if file is not None and not file.exists():
        raise StoreError(
            f"there is no store at {file}. Name its folder with --data, or let `tidings serve` create it first"
        )


def _show(config: Config, shown: dict[str, Any]) -> None:
    """The plan in sentences."""
    for step in shown["steps"]:
        typer.echo(step["says"])
    if not shown["steps"]:
        typer.echo("Nothing to do: the collections match the file.")
    if shown["stays"]:
        typer.echo(f"Not in the file, so they stay: {', '.join(shown['stays'])}. Use --prune to drop them.")
    for refusal in shown["refusals"]:
        place = Place(**refusal)
        at = f"{config.where(place)}: " if place.pointer else ""
        typer.echo(f"{at}{place.detail}", err=True)


def _says_yes(as_json: bool) -> bool:
    """Ask, if there is a terminal."""
    if as_json or not sys.stdin.isatty():
        return False
    return typer.confirm("Values will be lost. Continue?", default=False)


def _end(shown: dict[str, Any], status: int, as_json: bool) -> None:
    if as_json:
        print_json(shown)
    raise typer.Exit(status)
