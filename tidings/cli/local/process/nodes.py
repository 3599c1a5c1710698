"""`tidings nodes`: the servers that share a database, what each does, and when it was last heard from; draining one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import typer

from tidings.cli.local.backup import Data, Database, File, reason, settings_of
from tidings.cli.session import FAILED, AsJson, fail, print_json, width
from tidings.cli.terminal import layout
from tidings.rules.network.origin import is_loopback
from tidings.rules.nodes.helping import PARTS
from tidings.settings import Settings
from tidings.store.base import Db, StoreError

if TYPE_CHECKING:
    from tidings.store.engines.nodes import Seen

cli = typer.Typer(invoke_without_command=True)

COLUMNS = {
    "name": "name",
    "version": "version",
    "does": "does",
    "last heard": "heard",
    "address": "address",
    "sends for": "sends_for",
}
DRAIN_SECONDS = 10
SELF = "self"

Which = Annotated[
    str,
    typer.Argument(
        help="The server's name, address or id; `self` means the server with this data folder, and all its workers."
    ),
]
After = Annotated[
    int,
    typer.Option(
        min=0,
        max=3_600,
        metavar="SECONDS",
        help="How many seconds the server keeps running, so that the load balancer notices the drain before the "
        "server exits.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Drain the server even if no other server would take over.")]


@cli.callback()
def nodes(
    context: typer.Context,
    data: Data = None,
    database: Database = None,
    config: File = None,
    as_json: AsJson = False,
) -> None:
    """List the servers that share a PostgreSQL database: what each does, where the others reach it, and when it was
    last heard from.

    Either one server works alone while the others stand by, or all of them have joined: then one server sends, and the
    others accept requests, and send for those parts of the endpoints that a busy sender leaves to them. The command
    reads the database directly, so no server has to answer. The exit status is 1 if no server is working or sending.
    """
    if context.invoked_subcommand is not None:
        context.obj = _Given(data, database, config)
        return
    settings = settings_of(config, data, database)
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
                "sends_for": "" if row["parts"] is None else f"{row['parts']} of {PARTS} parts",
            }
            for row in rows
        ]
        typer.echo("\n".join([*layout.table(shown, COLUMNS, width()), *unreached(found)]))
    else:
        typer.echo("No server has been heard from recently.")
    if not any(each.works for each in found):
        raise typer.Exit(FAILED)


@cli.command()
def drain(
    context: typer.Context,
    name: Which,
    after: After = DRAIN_SECONDS,
    force: Force = False,
    data: Data = None,
    database: Database = None,
    config: File = None,
) -> None:
    """Stop a server without refusing requests: it gets no new callers, hands its role to another server, and exits.

    Within a second, its /readyz returns 503. Until the server exits, it still serves requests; its exit status is 0.
    --data, --database and --config may also be given before `drain`.
    """
    before: _Given = context.obj
    settings = settings_of(config or before.config, data or before.data, database or before.database)
    try:
        with _connected(settings, writes=True) as db:
            from tidings.store.engines.nodes import drain as ask

            found = (
                _drain_own(db, settings, after, force=force) if name == SELF else [ask(db, name, after, force=force)]
            )
    except (StoreError, OSError) as wrong:
        fail(reason(wrong))
    for each in found:
        typer.echo(f"{each.name} is being drained, and will exit in {after} s.")


def _drain_own(db: Db, settings: Settings, after: int, *, force: bool) -> list[Seen]:
    """Ask all nodes that run with this data folder to end. Raises StoreError, OSError."""
    from tidings.store.engines.nodes import drain_all
    from tidings.store.engines.opening import nodes_of, note_draining

    folder = settings.folder
    if not (ids := nodes_of(folder)):
        raise StoreError(
            f"no server has used the data folder {folder.absolute()}; pass the name of the server to drain"
        )
    # Noted before the request: a supervisor that sees one of its workers end must know the reason.
    note_draining(folder, asked=True)
    try:
        return drain_all(db, ids, after, force=force)
    except StoreError:
        note_draining(folder, asked=False)
        raise


def unreached(found: list[Seen]) -> Iterator[str]:
    """What to do about nodes whose address is valid only on their own machine, if other nodes run elsewhere."""
    # Imported here: the driver takes a tenth of a second to load.
    from tidings.store.engines.nodes import machine

    joined = [each for each in found if each.role in ("sends", "takes in")]
    if len({machine(each.name) for each in joined}) < 2:
        return
    for each in joined:
        if each.address is not None and is_loopback(urlsplit(each.address).hostname or ""):
            yield (
                f"{each.name} is at {each.address}, which can only be reached from its own machine: set its `node_url`."
            )


class _Given(NamedTuple):
    """The options given before the name of a command."""

    data: str | None
    database: str | None
    config: str | None


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
        "parts": each.parts,
    }


@contextlib.contextmanager
def _connected(settings: Settings, *, writes: bool) -> Iterator[Db]:
    """A connection to the database that the servers share. Raises StoreError."""
    from tidings.store.engines.opening import shared_engine

    if settings.database.startswith("sqlite:"):
        raise StoreError(
            "the data is in SQLite, which only one server can use; nodes are servers that share a PostgreSQL database"
        )
    engine = shared_engine(settings.database)
    db = engine.builder() if writes else engine.reader()
    try:
        yield db
    finally:
        db.close()
