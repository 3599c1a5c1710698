"""Running bulk jobs step by step: a reader finds the next matching deliveries, a short write job acts on them.

Each delivery is acted on once: the job goes through numbers in order, and each step and its position are one
transaction, in which every delivery is checked again. The deliver stage cancels, and stores that first; cancelled
deliveries no longer match, so a step that is repeated after a crash changes nothing twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from tidings.control.deliveries import new_round
from tidings.control.slicing import Slicing, rested
from tidings.model.moment import Clock
from tidings.model.replay import BulkAct, DeliveryFilter, Replay
from tidings.rules.deliver import lifecycle
from tidings.store.base import Db
from tidings.store.catalog import Catalog, Snapshot
from tidings.store.log import lists
from tidings.store.log import replays as stored
from tidings.store.log.lists import DeliveryQuery, DeliveryRow
from tidings.store.readers import OWN_READS, Readers
from tidings.store.writer import Writer

ROWS_PER_RETRY = 1_000
ROWS_PER_CANCEL = 200
"""The maximum number of deliveries per step; fewer, if that would block the writer or the deliver stage too long."""
COUNTED_MAX = 10_000
COUNT_SECONDS = 0.8
ROWS_PER_COUNT = 1_000


class Cancels(Protocol):
    """What bulk jobs need from the deliver stage."""

    def notice(self, link: int) -> None:
        """Report that something of this link is due now, because a person asked for it."""

    async def cancel(self, numbers: list[int]) -> list[bool]:
        """Cancel waiting deliveries. Returns False for each that had already ended."""


class Found(NamedTuple):
    """The next step: the matching deliveries, and how far they are complete."""

    replay: Replay
    numbers: list[int]
    position: int
    is_last: bool


def query_of(snapshot: Snapshot, replay: Replay) -> DeliveryQuery:
    """The deliveries that a bulk job is about, from its position on. A retry leaves out those whose endpoint or link is
    not enabled, because nothing can be sent to it.
    """
    wanted = msgspec.json.decode(replay.filter or "{}", type=DeliveryFilter)
    only = None if wanted.links is None else frozenset(wanted.links)
    links = frozenset(
        num
        for num, link in snapshot.links.items()
        if link.deleted is None
        and (only is None or num in only)
        and (replay.tenant is None or link.tenant == replay.tenant)
        and (replay.which == "cancel" or link.mode == "enabled")
    )
    return DeliveryQuery(
        links=links,
        state=wanted.state,
        type=wanted.type,
        outcome=wanted.outcome,
        status=wanted.status,
        since=replay.since or None,
        until=replay.until,
        after=replay.position,
        before=replay.finish + 1,
        oldest_first=True,
    )


def counted(db: Db, snapshot: Snapshot, replay: Replay, ticks: Callable[[], float]) -> tuple[int, bool]:
    """How many match, up to COUNTED_MAX, and whether there may be more; takes less than a second."""
    query = msgspec.structs.replace(query_of(snapshot, replay), limit=ROWS_PER_COUNT)
    total, end = 0, ticks() + COUNT_SECONDS
    position: int | None = query.after
    while position is not None:
        rows, position = lists.deliveries(db, snapshot, msgspec.structs.replace(query, after=position))
        total += sum(_can(replay.which, row) for row in rows)
        if total > COUNTED_MAX or (position is not None and ticks() >= end):
            return min(total, COUNTED_MAX), True
    return total, False


class BulkWork:
    """Takes steps of bulk jobs. Belongs to one event loop."""

    def __init__(self, writer: Writer, readers: Readers, catalog: Catalog, clock: Clock, sending: Cancels) -> None:
        self._writer, self._readers, self._catalog = writer, readers, catalog
        self._clock, self._sending = clock, sending
        self._retrying, self._cancelling = Slicing(writer), Slicing(writer)

    async def turn(self, replay_id: str) -> None:
        """Take the next step of a job, then rest. Raises TidingsError."""
        began = time.monotonic()
        found = await self._readers.call(lambda db: self._find(db, replay_id), OWN_READS)
        if found is None:
            return
        await asyncio.sleep(time.monotonic() - began)
        if found.replay.which == "cancel":
            began = time.monotonic()
            done = await self._sending.cancel(found.numbers) if found.numbers else []
            self._cancelling.note(len(found.numbers), time.monotonic() - began)
            await rested(self._writer, lambda db: self._note(db, found, sum(done)))
            return
        links = await self._retrying.prepared(len(found.numbers), lambda db: self._retry(db, found))
        for link in links:
            self._sending.notice(link)

    def _find(self, db: Db, replay_id: str) -> Found | None:
        replay = stored.read(db, replay_id)
        if replay is None or replay.state != "running":
            return None
        is_cancel = replay.which == "cancel"
        limit = min(self._cancelling.rows, ROWS_PER_CANCEL) if is_cancel else min(self._retrying.rows, ROWS_PER_RETRY)
        query = msgspec.structs.replace(query_of(self._catalog.now, replay), limit=limit)
        rows, position = lists.deliveries(db, self._catalog.now, query)
        numbers = [row.number for row in rows if _can(replay.which, row)]
        return Found(replay, numbers, replay.finish if position is None else position, position is None)

    def _retry(self, db: Db, found: Found) -> set[int]:
        """Inside a write job, make those that still match due now. Returns their links."""
        snapshot, now = self._catalog.now, self._clock.now()
        replay = stored.read(db, found.replay.id)
        if replay is None or replay.state != "running":
            return set()
        query = query_of(snapshot, replay)
        rows = lists.rows_of(db, snapshot, found.numbers) if found.numbers else []
        rows = [row for row in rows if lists.matches(row, query) and _can("retry", row)]
        again = [row for row in rows if row.state != "waiting"]
        sooner = [row for row in rows if row.state == "waiting"]
        if again:
            rounds = [new_round(row.number, row.link, row.event, row.created, row.attempts, now) for row in again]
            db.run("waiting_put_all", rows=msgspec.json.encode(rounds).decode())
        if sooner:
            db.many("waiting_hurry", [{"delivery": row.number, "now": now} for row in sooner])
        self._note(db, found, len(rows))
        return {row.link for row in rows}

    def _note(self, db: Db, found: Found, count: int) -> None:
        """Store the job's progress. The job may have been cancelled in the meantime; what it did until then still
        counts.
        """
        replay = stored.read(db, found.replay.id)
        if replay is None:
            return
        looked_at = replay.looked_at + max(0, found.position - replay.position)
        progress = msgspec.structs.replace(
            replay,
            position=found.position,
            looked_at=min(looked_at, replay.total),
            sent=replay.sent + count,
            state="done" if found.is_last and replay.state == "running" else replay.state,
            updated=self._clock.now(),
        )
        stored.put(db, progress)


def _can(act: BulkAct | str, row: DeliveryRow) -> bool:
    """Whether a delivery can be acted on: one that is already in line, or behind an earlier one, cannot be retried
    sooner."""
    if act == "cancel":
        return row.state == "waiting"
    if row.state == "waiting":
        return row.attempts > 0 and not row.held
    return lifecycle.after(row.state, "retry") is not None
