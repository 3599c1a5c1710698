"""Tallies in the store: added to by settlements, read as series, dropped once they are old.

Rows of minutes and of hours are written together, so hours are always complete and nothing needs to be summed up later.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from tidings.model.moment import DAY, HOUR, Micros
from tidings.rules.deliver import tally
from tidings.store import journal
from tidings.store.base import Db

ALL = 0
"""The number that stands for all links together; no link has it."""
MINUTE_SECONDS, HOUR_SECONDS = 60, 3_600
MINUTES_KEPT: Micros = 26 * HOUR
HOURS_KEPT: Micros = 90 * DAY

Reasons = dict[tuple[int, Micros, str, int, str], tuple[int, Micros, Micros, int, Micros]]
"""From (link, hour, outcome, status or 0, reason) to (count, first, last, delivery, when the delivery was created)."""


class TallyBatch(NamedTuple):
    """What a settlement adds. `number`: of the batch; each is higher than the one before."""

    number: int
    minute: Micros
    """The present one."""
    rows: list[tuple[Micros, int, list[int]]]
    """For each row: the minute, the link and the tally."""
    reasons: Reasons


class ReasonRow(msgspec.Struct, frozen=True):
    """Attempts of a link that failed for one reason. `status` 0: there was no response."""

    link: int
    outcome: str
    status: int
    reason: str
    count: int
    first: Micros
    last: Micros
    delivery: int
    created: Micros


def add(db: Db, batches: Sequence[TallyBatch], *, again: bool) -> None:
    """Add batches. `again`: some may have been added before."""
    done = journal.position(db, "tally") if again else -1
    for batch in batches:
        if batch.number > done:
            _add(db, batch)
            journal.move(db, "tally", batch.number)


def _add(db: Db, batch: TallyBatch) -> None:
    event, tallied = journal.position(db, "event"), journal.position(db, "tallied")
    totals: dict[Micros, list[int]] = {}
    for minute, _, cell in batch.rows:
        total = totals.setdefault(minute, tally.empty())
        for column, value in enumerate(cell):
            total[column] += value
    if event > tallied:
        totals.setdefault(batch.minute, tally.empty())[0] += journal.events_between(db, tallied, event)
        journal.move(db, "tallied", event)
    rows = [*batch.rows, *((minute, ALL, total) for minute, total in totals.items())]
    hours: dict[tuple[int, Micros], list[int]] = {}
    for minute, link, cell in rows:
        key = (link, minute - minute % HOUR)
        known = hours.get(key)
        hours[key] = cell if known is None else tally.added((known, cell))
    written = [_row(link, MINUTE_SECONDS, minute, cell) for minute, link, cell in rows]
    written += [_row(link, HOUR_SECONDS, hour, cell) for (link, hour), cell in hours.items()]
    if db.dialect == "sqlite":
        # It takes longer to read the numbers from JSON than to store them.
        db.many("tally_add_one", written)
    elif written:
        db.run_later("tally_add", rows=json.dumps(written))
    if batch.reasons:
        names = ReasonRow.__struct_fields__
        found = [
            {"at": hour, **dict(zip(names, (link, outcome, status, reason, *rest), strict=True))}
            for (link, hour, outcome, status, reason), rest in batch.reasons.items()
        ]
        db.run_later("tally_reason_add", rows=json.dumps(found))


def _row(link: int, seconds: int, at: Micros, cell: Sequence[int]) -> dict[str, int]:
    return {"link": link, "seconds": seconds, "at": at, **dict(zip(tally.COLUMNS, cell, strict=True))}


class TallyRow(NamedTuple):
    """The tally of one step of time."""

    at: Micros
    tally: Sequence[int]


def series(db: Db, links: Collection[int], seconds: int, since: Micros, until: Micros) -> list[TallyRow]:
    """The tallies of these links together, oldest first; only steps in which something happened."""
    rows = db.all("tally_series", links=json.dumps(list(links)), seconds=seconds, since=since, until=until)
    return [TallyRow(row[0], [int(value) for value in row[1:]]) for row in rows]


def by_link(db: Db, links: Collection[int], since: Micros, until: Micros) -> dict[int, list[TallyRow]]:
    """For each link, the tallies of its hours, oldest first."""
    found: dict[int, list[TallyRow]] = {}
    for row in db.all("tally_of_links", links=json.dumps(list(links)), since=since, until=until):
        found.setdefault(row[0], []).append(TallyRow(row[1], row[2:]))
    return found


def sums(db: Db, links: Collection[int], since: Micros) -> dict[int, Sequence[int]]:
    """For each of these links, the sum of its minutes since then; only links for which something happened."""
    rows = db.all("tally_sums", links=json.dumps(list(links)), since=since)
    return {row[0]: [int(value) for value in row[1:]] for row in rows}


def reasons(db: Db, links: Collection[int] | None, since: Micros, until: Micros, most: int) -> list[ReasonRow]:
    """Why attempts of these links (None: all links) failed, hour by hour, newest first."""
    if links is None:
        rows = db.all("tally_reasons_all", since=since, until=until, count=most)
    else:
        rows = db.all("tally_reasons", links=json.dumps(list(links)), since=since, until=until, count=most)
    return [ReasonRow(*row) for row in rows]


def prune(db: Db, now: Micros, count: int) -> int:
    """Drop a step of what is too old; returns how many rows."""
    dropped = db.run("tally_prune", seconds=MINUTE_SECONDS, before=now - MINUTES_KEPT, count=count)
    dropped += db.run("tally_prune", seconds=HOUR_SECONDS, before=now - HOURS_KEPT, count=count)
    return dropped + db.run("tally_reason_prune", before=now - HOURS_KEPT, count=count)
