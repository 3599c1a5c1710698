"""`tidings apply FILE`: make a server match a file: collections, connections, links, hooks and forms."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tidings.cli.session import FAILED, AsJson, Key, Url, fail, print_json, session
from tidings.client.calls import given, verb
from tidings.client.item_calls import declared, declared_links
from tidings.config import Config, read_config
from tidings.model.errors import Place, TidingsError
from tidings.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from tidings.server import Server

DIFFERS = 3
"""The exit status of `--plan` if something would change."""
COLUMNS = 80
NEEDS_YES = 4
"""The exit status if something would be lost and nobody confirmed that."""

Post = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""Sends a body to `plan` or `apply` of `collections`, `links`, `hooks` or `forms`; returns the plan."""
BY_PATH = ("hooks", "forms")
"""The sections whose entries are identified by path. They are applied after the collections and links."""
SECTIONS = ("collections", "connections", "links", *BY_PATH)
NOTHING: dict[str, Any] = {"plan": None, "steps": [], "loses": None, "refusals": [], "stays": [], "applied": False}
"""The empty plan, for a section that the file does not declare."""


def apply(
    file: Annotated[
        Path,
        typer.Argument(
            help="The file, such as tidings.yaml; its sections `collections`, `connections` and `links` are used."
        ),
    ],
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be done.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also delete what the server has but the file does not declare.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation, even if data will be lost.")] = False,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="Open the database directly; use this while no server is running.")
    ] = False,
    data: Annotated[str | None, typer.Option(help="With --stopped: the data folder.", metavar="TEXT")] = None,
    database: Annotated[str | None, typer.Option(help="With --stopped: the database.", metavar="TEXT")] = None,
    url: Url = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Make collections, connections, links, hooks and forms match a file. The command asks before data is lost.

    Collections, connections and links are changed first, all or none of them; hooks come second, and forms last.

    The exit status is 0 if everything was done or there was nothing to do; 1 if the changes were refused; 3 if --plan
    found something to do; 4 if data or waiting deliveries would be lost, and nobody confirmed it.
    """
    config = _declared(file)
    if not stopped and (data or database):
        fail("--data and --database require --stopped")
    beside = given(links=config.links, connections=config.connections)
    bodies = given(collections=config.collections, beside=beside or None, hooks=config.hooks, forms=config.forms)
    with _stopped(config, {"data": data, "database": database}) if stopped else _running(url, key) as post:
        shown = _Shown(_planned(post, bodies, prune))
        if not as_json:
            _show(config, shown)
        status = FAILED if shown.refusals else 0 if not shown.steps else DIFFERS if plan else None
        if status is not None:
            _end(shown, status, as_json)
        if shown.loses and not (yes or _says_yes(as_json)):
            typer.echo(
                "Nothing was changed, because data or waiting deliveries would have been lost. Use --yes to go ahead.",
                err=True,
            )
            _end(shown, NEEDS_YES, as_json)
        done = _done(post, shown, bodies, prune)
        if not as_json:
            typer.echo("Done.")
    _end(done, 0, as_json)


def _declared(file: Path) -> Config:
    """The file, which declares something."""
    try:
        config = read_config(file)
    except SettingsError as wrong:
        fail(str(wrong))
    if not config.declares:
        fail(f"{file} has none of the sections `collections`, `connections` and `links`")
    return config


class _Shown:
    """The plans of what the file declares."""

    def __init__(self, plans: dict[str, dict[str, Any]]) -> None:
        self.plans = plans

    @property
    def steps(self) -> list[dict[str, Any]]:
        """All steps, in order."""
        return [step for each in self.plans.values() for step in each["steps"]]

    @property
    def refusals(self) -> list[dict[str, Any]]:
        """Everything that prevents a plan."""
        return [refusal for each in self.plans.values() for refusal in each.get("refusals", ())]

    @property
    def loses(self) -> bool:
        """Whether something would be lost."""
        return any(each.get("loses") for each in self.plans.values())

    def as_json(self) -> dict[str, Any]:
        """The plan of the collections, and those of the links, hooks and forms if the file has links."""
        return self.plans.get("collections", NOTHING) | {
            what: each for what, each in self.plans.items() if what != "collections"
        }


def _planned(post: Post, bodies: dict[str, Any], prune: bool) -> dict[str, dict[str, Any]]:
    """The plans. Links are planned next to the collections that they edit."""
    plans: dict[str, dict[str, Any]] = {}
    beside = bodies.get("beside", {})
    if "collections" in bodies:
        plans |= _parted(post("collections", "plan", {"collections": bodies["collections"], **beside, "prune": prune}))
    elif beside:
        plans["links"] = post("links", "plan", {**beside, "prune": prune})
    for what in BY_PATH:
        if what in bodies:
            plans[what] = post(what, "plan", {what: bodies[what], "prune": prune})
    return plans


def _parted(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The plan of the collections, and of the links next to them."""
    links = shown.pop("links", None)
    return {"collections": shown, **given(links=links)}


def _done(post: Post, shown: _Shown, bodies: dict[str, Any], prune: bool) -> _Shown:
    """Carry the plans out: collections and links as one, then the hooks, then the forms."""
    plans = dict(shown.plans)
    beside = bodies.get("beside", {})
    if "collections" in plans and any(plans[what]["steps"] for what in ("collections", "links") if what in plans):
        names = {"plan": plans["collections"]["plan"]} | ({"links_plan": plans["links"]["plan"]} if beside else {})
        body = {"collections": bodies["collections"], **beside, "prune": prune, **names, "drop_values": shown.loses}
        plans |= _parted(post("collections", "apply", body))
    elif "links" in plans and plans["links"]["steps"]:
        body = {**beside, "prune": prune, "plan": plans["links"]["plan"], "drop_waiting": shown.loses}
        plans["links"] = post("links", "apply", body)
    for what in BY_PATH:
        if what in plans and plans[what]["steps"]:
            body = {what: bodies[what], "prune": prune, "plan": plans[what]["plan"]}
            plans[what] = post(what, "apply", body)
    return _Shown(plans)


@contextmanager
def _running(url: str | None, key: str) -> Iterator[Post]:
    """A running server."""
    with session(url, key, as_json=False) as out:

        def post(what: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
            again = name == "plan"
            if what == "collections":
                request = declared(name, body, repeatable=again)
            elif what == "links":
                request = declared_links(name, body, repeatable=again)
            else:
                request = verb(f"/v1/{what}", name, body, repeatable=again)
            found: dict[str, Any] = out.client.send(request)
            return found

        yield post


@contextmanager
def _stopped(config: Config, flags: dict[str, Any]) -> Iterator[Post]:
    """The store of a stopped server."""
    from tidings.server import Server
    from tidings.store.base import StoreError

    try:
        settings = read_settings(flags, file=config.settings)
        _check_store(settings)
        server = Server(settings)
        server.open()
    except (SettingsError, StoreError) as wrong:
        fail(str(wrong))

    def post(what: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        shown: msgspec.Struct
        if what in BY_PATH:
            shown = _of_paths(server, what, name, body)
        else:
            shown = _of_links(server, name, body) if what == "links" else _of_collections(server, name, body)
        found: dict[str, Any] = msgspec.to_builtins(shown)
        return found

    try:
        if server.operator_key:
            typer.echo(f"Keep the operator's key, which is shown only this once: {server.operator_key}", err=True)
        yield post
    except TidingsError as wrong:
        fail(wrong.detail)
    finally:
        server.close()


def _of_paths(server: Server, what: str, name: str, body: dict[str, Any]) -> msgspec.Struct:
    """Plan or apply the hooks or the forms."""
    from tidings.control.forms.declared import WantedForms
    from tidings.control.hooks.declared import WantedHooks

    parts, given = server.parts, {what: body[what], "prune": body["prune"]}
    made: Any = parts.declared_hooks if what == "hooks" else parts.forms.declared
    wanted = msgspec.convert(given, WantedHooks if what == "hooks" else WantedForms)
    if name == "plan":
        shown: msgspec.Struct = parts.readers.run(lambda db: made.look(db, wanted))
    else:
        shown = server.writer.wait(lambda db: made.carry_out(db, wanted, plan_name=body.get("plan")))
    return shown


def _of_links(server: Server, name: str, body: dict[str, Any]) -> msgspec.Struct:
    """Plan or apply the links of a file without collections."""
    from tidings.control.declare.link_plans import WantedLinks

    made = server.parts.links
    wanted = WantedLinks(links=body.get("links"), connections=body.get("connections"), prune=body["prune"])
    if name == "plan":
        return server.parts.readers.run(lambda db: made.look(db, wanted))
    return server.writer.wait(lambda db: made.carry_out(db, wanted, drop_waiting=body["drop_waiting"]))


def _of_collections(server: Server, name: str, body: dict[str, Any]) -> msgspec.Struct:
    """Plan or apply the collections of a file, and its links."""
    from tidings.control.collections import Wanted
    from tidings.control.declare.link_plans import WantedLinks
    from tidings.declared import DECLARE_SECONDS

    made, beside = server.whole_file, {name: body[name] for name in ("links", "connections") if name in body}
    links = WantedLinks(**beside, prune=body["prune"]) if beside else None
    wish = Wanted(collections=body["collections"], prune=body["prune"], beside=links or WantedLinks())
    if name == "plan":
        return server.parts.readers.run(lambda db: made.look(db, wish, links))
    return server.writer.wait(lambda db: made.apply(db, wish, links), DECLARE_SECONDS)


def _check_store(settings: Settings) -> None:
    """Raise StoreError if an SQLite database does not exist: a mistyped folder would get a new one."""
    from tidings.store.base import StoreError
    from tidings.store.engines.opening import sqlite_file

    file = sqlite_file(settings.database, settings.folder)
    if file is not None and not file.exists():
        raise StoreError(
            f"there is no database at {file}. Pass its folder with --data, or let `tidings serve` create it first"
        )


def _show(config: Config, shown: _Shown) -> None:
    """The plans in sentences, or what prevents them."""
    for refusal in shown.refusals:
        place = Place(**refusal)
        at = f"{config.where(place)}: " if place.pointer else ""
        typer.echo(f"{at}{place.detail}", err=True)
    if shown.refusals:
        return
    for warning in (Place(**each) for plan in shown.plans.values() for each in plan.get("warnings", ())):
        typer.echo(f"{config.where(warning)}: warning: {warning.detail}", err=True)
    for step in shown.steps:
        typer.echo(step["says"])
    if not shown.steps:
        named = [what for what in SECTIONS if getattr(config, what, None)] or list(shown.plans)
        *first, last = named
        typer.echo(f"Nothing to do: the {', '.join(first)}{' and ' if first else ''}{last} match the file.")
    for line in _stays(shown.plans):
        typer.echo(line)


def _stays(plans: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What is not in the file, by kind."""
    stays = {what: each["stays"] for what, each in plans.items()}
    stays["connections"] = [name for each in plans.values() for name in each.get("connections_stay", ())]
    if any(stays.values()):
        yield "Not in the file, but kept (--prune deletes them):"
    for what in SECTIONS:
        if stays.get(what):
            yield from textwrap.wrap(
                f"{what} {', '.join(stays[what])}",
                COLUMNS,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )


def _says_yes(as_json: bool) -> bool:
    """Ask, if there is a terminal."""
    if as_json or not sys.stdin.isatty():
        return False
    return typer.confirm("Data or waiting deliveries will be lost. Continue?", default=False)


def _end(shown: _Shown, status: int, as_json: bool) -> None:
    if as_json:
        print_json(shown.as_json())
    raise typer.Exit(status)
