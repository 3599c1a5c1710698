"""`tidings nodes`: which servers share the database, which of them works, and when each was last heard of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tidings.cli.local.backup import Data, Database, File, reason, settings_of
from tidings.cli.session import FAILED, AsJson, fail, print_json, width
from tidings.cli.terminal import layout
from tidings.store.base import StoreError

if TYPE_CHECKING:
    from tidings.store.engines.nodes import Seen

COLUMNS = {"name": "name", "version": "version", "does": "does", "last heard": "heard"}


def nodes(
    data: Data = None,
    database: Database = None,
    config: File = None,
    as_json: AsJson = False,
) -> None:
    """List the servers that share a PostgreSQL database: which one works, which ones stand by, and how fresh that is.

    Asks the database itself, so it needs no server. The exit status is 1 if no server works.
    """
    settings = settings_of(config, data, database)
    try:
        found = _seen(settings.database)
    except StoreError as wrong:
        fail(reason(wrong))
    rows = [
        {"name": each.name, "version": each.version, "works": each.works, "seconds_ago": round(each.seconds, 1)}
        for each in found
    ]
    if as_json:
        print_json(rows)
    elif rows:
        shown = [
            {**row, "does": "works" if row["works"] else "stands by", "heard": f"{row['seconds_ago']:.0f} s ago"}
            for row in rows
        ]
        typer.echo("\n".join(layout.table(shown, COLUMNS, width())))
    else:
        typer.echo("No server was heard of lately.")
    if not any(each.works for each in found):
        raise typer.Exit(FAILED)


def _seen(url: str) -> list[Seen]:
    """Raises StoreError."""
    # Imported here: the driver takes a tenth of a second to load.
    from tidings.store.engines.nodes import seen
    from tidings.store.engines.opening import shared_engine

    if url.startswith("sqlite:"):
        raise StoreError("the data is in SQLite, where one server works alone; only servers on PostgreSQL are nodes")
    db = shared_engine(url).reader()
    try:
        return seen(db)
    finally:
        db.close()
