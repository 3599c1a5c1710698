"""`tidings outbox`: publish what applications have added to the outbox in their own database."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Annotated, TypeVar

import typer

from tidings.cli.session import FAILED, LIST_LIMIT, AsJson, Key, Limit, Url, fail, print_json, session, width
from tidings.cli.terminal import layout
from tidings.cli.terminal.sentences import counted
from tidings.client import ClientError
from tidings.outbox import Relay, schema
from tidings.outbox.database import OutboxRow, OutboxTable, connector
from tidings.outbox.statements import DIALECTS, TABLE

cli = typer.Typer(help="Outbox: events that applications add in their own transactions.", no_args_is_help=True)

WAITING_MAX = 10_000
"""The maximum number of waiting events to count; a `+` after the number says that there may be more."""
T = TypeVar("T")

Database = Annotated[
    str,
    typer.Option(
        envvar="TIDINGS_OUTBOX",
        help="The application's database: `postgresql://USER@HOST/NAME`, or the path of an SQLite file.",
        metavar="URL",
    ),
]
Table = Annotated[str, typer.Option(help="The outbox's table.", metavar="NAME")]


@cli.command("relay")
def relay(
    database: Database,
    table: Table = TABLE,
    once: Annotated[
        bool, typer.Option("--once", help="Publish the events that are in the outbox now, and exit.")
    ] = False,
    url: Url = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Publish the outbox's events in order, until SIGTERM or Ctrl-C. An event is deleted once the server has stored it.

    With --once, the exit status is 1 if the server refused an event. Without --once, failures are logged and retried.
    Running several relays does no harm.
    """
    with session(url, key, as_json, retries=4 if once else 0) as out:
        runner = Relay(connector(database), out.client, table=table)
        if once:
            done = _asked(runner.drain)
            out.answer(done._asdict(), lambda: out.say(f"{_events(done.published)} published from the outbox."))
            if done.refused:
                fail(
                    f"{_events(done.refused)} refused by the server and left in the outbox. `tidings outbox status` "
                    "shows why."
                )
            return
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        out.say("The relay is running. Stop it with Ctrl-C.")
        runner.run_until_signal()


@cli.command("status")
def status(database: Database, table: Table = TABLE, limit: Limit = LIST_LIMIT, as_json: AsJson = False) -> None:
    """Show how many events are waiting in the outbox and since when, and which ones the server refused and why.

    The exit status is 1 if there are refused events.
    """
    with closing(_table(database, table)) as outbox:
        waiting, refused = _asked(lambda: (outbox.first(WAITING_MAX), outbox.refused(limit)))
    since = waiting[0].time if waiting else None
    is_more = len(waiting) == WAITING_MAX
    rows = [{"id": row.id, "type": row.type, "time": row.time, "reason": row.reason} for row in refused]
    if as_json:
        print_json({"waiting": len(waiting), "waiting_is_more": is_more, "since": since, "refused": rows})
    else:
        _show(waiting, since, rows, is_more=is_more)
    if rows:
        raise typer.Exit(FAILED)


def _show(waiting: list[OutboxRow], since: str | None, rows: list[dict[str, str]], *, is_more: bool) -> None:
    many = f"{len(waiting):,}+ events are" if is_more else counted(len(waiting), "event is", "events are")
    typer.echo(f"{many} waiting, the oldest since {since}." if waiting else "Nothing is waiting.")
    if rows:
        typer.echo(
            "Refused events (`tidings outbox retry` tries all of them again, `tidings outbox drop ID` deletes one):"
        )
        for line in layout.table(rows, {name: name for name in rows[0]}, width()):
            typer.echo(line)


@cli.command("retry")
def retry(database: Database, table: Table = TABLE, as_json: AsJson = False) -> None:
    """Let the relay try the refused events again. Fix the cause first."""
    with closing(_table(database, table)) as outbox:
        count = _asked(outbox.retry)
    if as_json:
        print_json({"retried": count})
    else:
        typer.echo(f"{counted(count, 'event')} will be tried again.")


@cli.command("drop")
def drop(
    ids: Annotated[list[str], typer.Argument(help="The ids of refused events.", metavar="ID...")],
    database: Database,
    table: Table = TABLE,
    as_json: AsJson = False,
) -> None:
    """Delete refused events from the outbox; they will never be published."""
    with closing(_table(database, table)) as outbox:
        # Each is committed separately, as the relay's rows are.
        unknown = [id for id in ids if not _asked(partial(outbox.drop, id))]
    dropped = [id for id in ids if id not in unknown]
    if as_json:
        print_json({"dropped": dropped, "unknown": unknown})
    elif dropped:
        typer.echo(f"{_events(len(dropped))} dropped.")
    if unknown:
        fail(f"The outbox has no refused event with this id: {', '.join(unknown)}.")


@cli.command("schema")
def print_schema(
    dialect: Annotated[str, typer.Argument(help=f"The kind of database: {' or '.join(DIALECTS)}.")],
    table: Table = TABLE,
) -> None:
    """Print the SQL statement that creates the outbox's table, for your own migrations."""
    try:
        typer.echo(f"{schema(dialect, table)};")
    except ValueError as wrong:
        fail(str(wrong))


def _events(count: int) -> str:
    return counted(count, "event was", "events were")


def _table(database: str, table: str) -> OutboxTable:
    try:
        return OutboxTable(connector(database), table)
    except ValueError as wrong:
        fail(str(wrong))


def _asked(ask: Callable[[], T]) -> T:
    """The result of a query. Any error of the database's library, which may not be loaded here, ends the command."""
    try:
        return ask()
    except (ClientError, ValueError):
        raise
    except Exception as wrong:
        fail(f"The outbox's database: {' '.join(str(wrong).split()) or repr(wrong)}")
