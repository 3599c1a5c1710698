"""Retention: once an hour, drop what is old and has ended, in small steps so that other writes get through.

An event is dropped, with its deliveries and attempts, if it was stored more than `days` ago and all of its deliveries
have ended. Waiting deliveries are kept, however old. Kept responses are dropped after 24 hours, call counts when their
window ends. Requests to hooks have their own number of days, and refused ones fewer. Keys of the portal's sessions are
dropped once these have ended, and portal links a week later.

A clock that is wrong for a while must not delete anything: if it is far ahead of the last run, the trusted time
catches up by a 24th of the days each hour. So after a long pause it takes a day to catch up, and a restart does not
speed that up.
"""

from __future__ import annotations

import asyncio
import json
import logging

from tidings.control.slicing import rested
from tidings.control.upkeep.background import Background
from tidings.model.errors import TidingsError
from tidings.model.moment import DAY, HOUR, SECOND, Clock, Micros
from tidings.store import receipts
from tidings.store.base import Db
from tidings.store.callers import acts, portal
from tidings.store.catalog import Catalog
from tidings.store.log import tallies
from tidings.store.writer import Writer

EVERY_SECONDS = 3600.0
EVENTS_PER_STEP = 200
DELIVERIES_PER_STEP = 2_000
ANSWERS_PER_STEP = 2_000
RECEIPTS_PER_STEP = 200
PORTAL_LINKS_PER_STEP = 500
TALLIES_PER_STEP = 2_000
ACTS_PER_STEP = 200
ANSWERS_KEPT: Micros = 24 * HOUR
PORTAL_LINKS_KEPT: Micros = 7 * DAY
CATCH_UP_LOOKS = 24
LOOKED = "retention_looked"
"""The name of the stored value with the trusted time of the last run."""

log = logging.getLogger("tidings.control")


class Retention:
    """The hourly task. `days` 0 keeps every event, `receipt_days` and `refusal_days` 0 every request to a hook,
    `act_days` 0 every act."""

    def __init__(
        self,
        writer: Writer,
        clock: Clock,
        days: int,
        receipt_days: int = 0,
        refusal_days: int = 0,
        act_days: int = 0,
        *,
        catalog: Catalog | None = None,
    ) -> None:
        self._writer, self._clock, self._days = writer, clock, days
        self._background = Background("retention", self._work)
        self._receipt_days, self._refusal_days = receipt_days, refusal_days
        self._act_days, self._looked = act_days, False
        self._catalog = catalog

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run now, and every hour from then on."""
        self._background.start(loop)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        await self._background.stop()

    async def prune(self, now: Micros | None = None) -> int:
        """Drop what may be dropped now; returns how many events."""
        now = self._clock.now() if now is None else now
        await self._writer.call(lambda db: db.run("prune_call_counts", before=now // SECOND))
        while await rested(self._writer, lambda db: _drop_answers(db, now - ANSWERS_KEPT)):
            pass
        await self._prune_portal(now)
        while await rested(self._writer, lambda db: tallies.prune(db, now, TALLIES_PER_STEP)):
            pass
        acts_before = now - self._act_days * DAY
        while self._act_days and await rested(self._writer, lambda db: acts.prune(db, acts_before, ACTS_PER_STEP)):
            pass
        for refused, kept_days in ((False, self._receipt_days), (True, self._refusal_days)):
            if kept_days:
                await self._prune_receipts(now - kept_days * DAY, refused=refused)
        dropped = 0
        after: int | None = 0
        while self._days and after is not None:
            start = after

            def step(db: Db, start: int = start) -> tuple[int | None, int]:
                return _drop_events(db, start, now - self._days * DAY)

            after, count = await rested(self._writer, step)
            dropped += count
        return dropped

    async def _prune_receipts(self, before: Micros, *, refused: bool) -> None:
        def step(db: Db) -> int:
            return receipts.prune(db, before, RECEIPTS_PER_STEP, refused=refused)

        while await rested(self._writer, step):
            pass

    async def _prune_portal(self, now: Micros) -> None:
        catalog, most = self._catalog, PORTAL_LINKS_PER_STEP
        if catalog is None:
            return
        while await rested(self._writer, lambda db: portal.prune_sessions(db, catalog, now, most)):
            pass
        while await rested(self._writer, lambda db: portal.prune(db, now - PORTAL_LINKS_KEPT, most)):
            pass

    async def _work(self) -> None:
        while True:
            try:
                dropped = await self.prune(await self._trusted())
            except TidingsError as wrong:
                log.warning("retention continues in an hour: %s", wrong.detail)
            else:
                if dropped:
                    log.info("dropped %d events older than %d days", dropped, self._days)
            await asyncio.sleep(EVERY_SECONDS)

    async def _trusted(self) -> Micros:
        """The trusted time: the clock's, unless that is far ahead of the last run."""
        now, first, self._looked = self._clock.now(), not self._looked, True

        def look(db: Db) -> Micros:
            row = db.one("store_fact", name=LOOKED) or db.one("event_newest")
            found = trusted(now, None if row is None else int(row[0]), self._days, first=first)
            db.run("store_fact_put", name=LOOKED, value=str(found))
            return found

        return await self._writer.call(look)  # type: ignore[no-any-return]


def trusted(now: Micros, last: Micros | None, days: int, *, first: bool) -> Micros:
    """The trusted time now, if it was `last` at the previous run.

    `first`: whether this is the first run since the start.
    """
    step = HOUR + max(1, days) * DAY // CATCH_UP_LOOKS
    if last is None or now <= last + step:
        return now
    return last if first else last + step


def _drop_events(db: Db, after: int, before: Micros) -> tuple[int | None, int]:
    """One step after the event number `after`.

    Returns where the next step begins (None if done), and how many were dropped.
    """
    seqs: list[int] = []
    deliveries = 0
    rows = db.all("prune_candidates", journal=db.journal, after=after, count=EVENTS_PER_STEP)
    for seq, created, count in rows:
        if created >= before or (seqs and deliveries + count > DELIVERIES_PER_STEP):
            break
        seqs.append(seq)
        deliveries += count
    if not seqs:
        return None, 0
    kept = {row[0] for row in db.all("prune_kept", after=after, until=seqs[-1])}
    going = [seq for seq in seqs if seq not in kept]
    if going:
        text = json.dumps(going)
        for statement in ("prune_attempts", "prune_waiting", "prune_parts", "prune_deliveries", "prune_events"):
            db.run(statement, seqs=text)
        db.run("pruned_move", journal=db.journal, position=going[-1])
    return seqs[-1], len(going)


def _drop_answers(db: Db, before: Micros) -> int:
    return db.run("prune_answers", before=before, count=ANSWERS_PER_STEP)
