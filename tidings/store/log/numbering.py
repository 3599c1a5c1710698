"""Events of joined nodes: they get their numbers at the end of the transaction that appends them.

All joined nodes append to one journal, so its counter's row is where they wait for one another: a transaction that has
moved it locks it until its end. So the events of a transaction are kept here until everything else of it was done;
then one statement moves the counter and appends them, and leaves for the database together with COMMIT. A node that is
frozen before that holds nothing that others need, and what it has sent after that ends without it. Only a network that
breaks between the last two messages leaves the row locked; those who wait for it then end that session (`undo`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from tidings.model.moment import Micros
from tidings.store.base import Db, Held, Positions, Row, StoreError

KEPT_ROWS_MAX = 2_000
"""More rows than a group of publications ever has. Any rows beyond that are copied into a temporary table; nobody waits
for that."""
NUMBERED_CHARS_MAX = 1024 * 1024
"""If the rows have more characters than this, they are copied into the temporary table before they are numbered."""
STUCK_SECONDS = 1
"""How long after a statement a COMMIT may arrive that was sent in the same packet."""
log = logging.getLogger("tidings.postgres")
_json = msgspec.json.Encoder().encode


def keep(db: Db, columns: Sequence[str], rows: Sequence[Row], now: Micros) -> bool:
    """Keep events, in order, until `number`; False: this node does not share its journal, so they are numbered at once.

    `columns`: the table's, of which the last two, number and time, are given by `number`.
    """
    positions = db.positions
    if positions is None or positions.kept is None:
        return False
    positions.kept += rows
    positions.kept_at = max(positions.kept_at, now)
    if len(positions.kept) > KEPT_ROWS_MAX:
        _spill(db, positions, columns)
    return True


def number(db: Db, columns: Sequence[str]) -> bool:
    """Number and append what was kept, with COMMIT, which has to follow. Returns whether there was anything."""
    positions = db.positions
    if positions is None or not (positions.kept or positions.spilled):
        return False
    assert positions.kept is not None
    if not positions.spilled:
        text = _json([dict(zip(columns[:-2], row, strict=False)) for row in positions.kept]).decode()
        if len(text) <= NUMBERED_CHARS_MAX:
            db.run_later("events_number", rows=text, count=len(positions.kept), now=positions.kept_at)
            return True
    _spill(db, positions, columns)
    db.run_later("events_number_copied", count=positions.spilled, now=positions.kept_at)
    return True


def kept(db: Db, idents: Collection[str]) -> list[Row]:
    """Those of the events that are kept which have one of these ids."""
    positions = db.positions
    if positions is None or not positions.kept:
        return []
    return [row for row in positions.kept if row[0] in idents]


def undo(db: Db, wrong: Exception) -> None:
    """Undo a transaction that failed; if it waited for a lock in vain, end sessions that hold the counter for good."""
    db.rollback()
    if not isinstance(wrong, Held) or not db.shares:
        return
    with contextlib.suppress(StoreError):
        for name, _ in db.all("counter_free", patience=f"{STUCK_SECONDS} s"):
            log.warning("the connection of %s broke right before its commit: its session was ended", name)


def _spill(db: Db, positions: Positions, columns: Sequence[str]) -> None:
    """Copy what is kept. The table is gone after the transaction, or with the savepoint that it was made in."""
    assert positions.kept is not None
    if not positions.spilled:
        db.run("events_copied_make")
    numbered: list[tuple[Any, ...]] = [
        (*row[:-2], place, positions.kept_at) for place, row in enumerate(positions.kept, positions.spilled + 1)
    ]
    db.insert("copied_event", columns, numbered)
    positions.spilled += len(positions.kept)
    # Another list: if a savepoint is undone, what was kept before it is kept again.
    positions.kept = []
