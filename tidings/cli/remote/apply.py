"""`tidings apply FILE`: make a server's collections and hooks match a file, after showing what will change."""

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
from tidings.client.item_calls import declared
from tidings.config import Config, read_config
from tidings.model.errors import Place, TidingsError
from tidings.settings import Settings, SettingsError, read_settings

DIFFERS = 3
"""The exit status of `--plan` if something would change."""
NEEDS_YES = 4
"""The exit status if values would be lost and nobody confirmed."""

Post = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""Sends `plan` or `apply` of `collections` or `hooks` with a body; returns the plan as it is shown."""
NOTHING: dict[str, Any] = {"plan": None, "steps": [], "loses": None, "refusals": [], "stays": [], "applied": False}
"""The plan of what a file does not declare."""


def apply(
    file: Annotated[
        Path, typer.Argument(help="The file, such as tidings.yaml; its sections `collections` and `links` are used.")
    ],
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be done.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also drop collections and hooks that are not in the file.")
    ] = False,
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
    """Make collections and hooks match a file. Shows what will change, and asks if values are lost.

    The collections change all or not at all, and then the hooks.

    The exit status is 0 if it is done or there is nothing to do; 1 if it was refused; 3 if --plan found something to
    do; 4 if values would be lost and nobody confirmed.
    """
    try:
        config = read_config(file)
    except SettingsError as wrong:
        fail(str(wrong))
    if not stopped and (data or database):
        fail("--data and --database require --stopped")
    if config.collections is None and config.hooks is None:
        fail(f"{file} has no section `collections`, and no `links`")
    bodies = {"collections": config.collections, "hooks": config.hooks}
    with _stopped(config, {"data": data, "database": database}) if stopped else _running(url, key) as post:
        shown = _Shown({what: _planned(post, what, each, prune) for what, each in bodies.items() if each is not None})
        if not as_json:
            _show(config, shown)
        status = FAILED if shown.collections["refusals"] else 0 if not shown.steps else DIFFERS if plan else None
        if status is not None:
            _end(shown, status, as_json)
        loses = bool(shown.collections["loses"])
        if loses and not (yes or _says_yes(as_json)):
            typer.echo("Nothing was changed, because values would be lost. Use --yes to go ahead.", err=True)
            _end(shown, NEEDS_YES, as_json)
        done = _done(post, shown, bodies, prune, loses)
        if not as_json:
            typer.echo("Done.")
    _end(done, 0, as_json)


class _Shown:
    """The plans of what the file declares."""

    def __init__(self, plans: dict[str, dict[str, Any]]) -> None:
        self.plans = plans

    @property
    def collections(self) -> dict[str, Any]:
        """The plan of the collections."""
        return self.plans.get("collections", NOTHING)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """All steps, in order."""
        return [step for each in self.plans.values() for step in each["steps"]]

    def as_json(self) -> dict[str, Any]:
        """The plan of the collections, and that of the hooks if the file has links."""
        return self.collections | ({"hooks": self.plans["hooks"]} if "hooks" in self.plans else {})


def _planned(post: Post, what: str, declared: Any, prune: bool) -> dict[str, Any]:
    return post(what, "plan", {what: declared, "prune": prune})


def _done(post: Post, shown: _Shown, bodies: dict[str, Any], prune: bool, loses: bool) -> _Shown:
    """Carry the plans out, one after another."""
    done = _Shown(dict(shown.plans))
    for what, each in shown.plans.items():
        if each["steps"]:
            more = {"drop_values": loses} if what == "collections" else {}
            body = {what: bodies[what], "prune": prune, "plan": each["plan"], **more}
            done.plans[what] = post(what, "apply", body)
    return done


@contextmanager
def _running(url: str, key: str) -> Iterator[Post]:
    """A running server."""
    with session(url, key, as_json=False) as out:

        def post(what: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
            again = name == "plan"
            if what == "collections":
                request = declared(name, body, repeatable=again)
            else:
                request = verb("/v1/hooks", name, body, repeatable=again)
            found: dict[str, Any] = out.client.send(request)
            return found

        yield post


@contextmanager
def _stopped(config: Config, flags: dict[str, Any]) -> Iterator[Post]:
    """The store of a stopped server."""
    from tidings.control.collections import Wanted
    from tidings.control.hooks.declared import WantedHooks
    from tidings.server import DECLARE_SECONDS, Server
    from tidings.store.base import StoreError

    try:
        settings = read_settings(flags, file=config.settings)
        _check_store(settings)
        server = Server(settings)
        server.open()
    except (SettingsError, StoreError) as wrong:
        fail(str(wrong))
    parts = server.parts

    def post(what: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        shown: msgspec.Struct
        if what == "hooks":
            wanted, plan = (
                msgspec.convert({"hooks": body["hooks"], "prune": body["prune"]}, WantedHooks),
                body.get("plan"),
            )
            if name == "plan":
                shown = parts.readers.run(lambda db: parts.declared_hooks.look(db, wanted))
            else:
                shown = server.writer.wait(lambda db: parts.declared_hooks.carry_out(db, wanted, plan_name=plan))
        else:
            wish = Wanted(collections=body["collections"], prune=body["prune"])
            if name == "plan":
                shown = parts.readers.run(lambda db: parts.collections.look(db, wish))
            else:
                more = {"plan_name": body["plan"], "drop_values": body["drop_values"]}
                shown = server.writer.wait(lambda db: parts.collections.apply(db, wish, **more), DECLARE_SECONDS)
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


def _show(config: Config, shown: _Shown) -> None:
    """The plans in sentences."""
    for step in shown.steps:
        typer.echo(step["says"])
    if not shown.steps:
        typer.echo(f"Nothing to do: the {' and '.join(shown.plans)} match the file.")
    stays = [*shown.collections["stays"], *(f"the hook {path}" for path in shown.plans.get("hooks", NOTHING)["stays"])]
    if stays:
        typer.echo(f"Not in the file, so they stay: {', '.join(stays)}. Use --prune to drop them.")
    for refusal in shown.collections["refusals"]:
        place = Place(**refusal)
        at = f"{config.where(place)}: " if place.pointer else ""
        typer.echo(f"{at}{place.detail}", err=True)


def _says_yes(as_json: bool) -> bool:
    """Ask, if there is a terminal."""
    if as_json or not sys.stdin.isatty():
        return False
    return typer.confirm("Values will be lost. Continue?", default=False)


def _end(shown: _Shown, status: int, as_json: bool) -> None:
    if as_json:
        print_json(shown.as_json())
    raise typer.Exit(status)
