"""`tidings nodes`: which servers share the database, what each does, and when it was last heard of; and ending one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidings.cli.local.backup import Data, Database, File, reason, settings_of
from tidings.cli.session import FAILED, AsJson, fail, print_json, width
from tidings.cli.terminal import layout
from tidings.settings import Settings
from tidings.store.base import Db, StoreError

if TYPE_CHECKING:
    from tidings.store.engines.nodes import Seen

cli = typer.Typer(invoke_without_command=True)

COLUMNS = {"name": "name", "version": "version", "does": "does", "last heard": "heard", "address": "address"}
DRAIN_SECONDS = 10
SELF = "self"

Which = Annotated[
    str, typer.Argument(help="The server: its name, address or id; `self` is the one with this data folder.")
]
After = Annotated[
    int,
    typer.Option(min=0, max=3_600, metavar="SECONDS", help="When it ends, so that the load balancer notices it first."),
]
Force = Annotated[bool, typer.Option("--force", help="Do it though no other server would take over.")]


@cli.callback()
def nodes(
    context: typer.Context,
    data: Data = None,
    database: Database = None,
    config: File = None,
    as_json: AsJson = False,
) -> None:
    """List the servers that share a database, on PostgreSQL: what each does, where the others reach it, and how fresh
    that is.

    One works alone while others stand by; or they have joined, then one sends and the others take in. Asks the
    database itself, so it needs no server. The exit status is 1 if no server works or sends.
    """
    settings = settings_of(config, data, database)
    if context.invoked_subcommand is not None:
        context.obj = settings
        return
    try:
        with _connected(settings, writes=False) as db:
            # Imported here: the driver takes a tenth of a second to load.
            from tidings.store.engines.nodes import seen

            found = seen(db)
    except StoreError as wrong:
        fail(reason(wrong))
    rows = [_row(each) for each in found]
    if as_json:
        print_json(rows)
    elif rows:
        shown = [
            {
                **row,
                "does": f"{row['role']}, drained" if row["draining"] else row["role"],
                "address": row["address"] or "",
                "heard": f"{row['seconds_ago']:.0f} s ago",
            }
            for row in rows
        ]
        typer.echo("\n".join(layout.table(shown, COLUMNS, width())))
    else:
        typer.echo("No server was heard of lately.")
    if not any(each.works for each in found):
        raise typer.Exit(FAILED)


@cli.command()
def drain(context: typer.Context, name: Which, after: After = DRAIN_SECONDS, force: Force = False) -> None:
    """End a server without refusing anybody: it gets no new callers, gives its role to another server, and ends.

    From the next second on its /readyz answers 503. It finishes the requests that arrive, and its exit status is 0.
    """
    settings: Settings = context.obj
    try:
        with _connected(settings, writes=True) as db:
            from tidings.store.engines.nodes import drain as ask

            found = ask(db, _own(settings.folder) if name == SELF else name, after, force=force)
    except StoreError as wrong:
        fail(reason(wrong))
    typer.echo(f"{found.name} is being drained, and ends in {after} s.")


def _row(each: Seen) -> dict[str, Any]:
    return {
        "id": each.id,
        "name": each.name,
        "version": each.version,
        "role": each.role,
        "works": each.works,
        "address": each.address,
        "draining": each.draining,
        "seconds_ago": round(each.seconds, 1),
    }


@contextlib.contextmanager
def _connected(settings: Settings, *, writes: bool) -> Iterator[Db]:
    """A connection to the database that the servers share. Raises StoreError."""
    from tidings.store.engines.opening import shared_engine

    if settings.database.startswith("sqlite:"):
        raise StoreError("the data is in SQLite, where one server works alone; only servers on PostgreSQL are nodes")
    engine = shared_engine(settings.database)
    db = engine.builder() if writes else engine.reader()
    try:
        yield db
    finally:
        db.close()


def _own(folder: Path) -> str:
    """The id of the server that runs with this data folder. Raises StoreError."""
    from tidings.store.engines.opening import node_of

    if (node := node_of(folder)) is None:
        raise StoreError(f"no server has used the data folder {folder.absolute()}; name the server to drain")
    return node
