"""Declarations carried out beside everyone else's writes, however many items there are.

Anything that touches few rows is one job of the writer. Otherwise its job is the last of many short ones
(store/items/handover.py): the items are inspected by a reader, and their tables are filled beside them, while the
previous declaration is in force.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from tidings.control.collections import Asked, Collections, Make, Shown
from tidings.control.declare.discarded import Discarded
from tidings.control.declare.long import Long, is_watched, weighs
from tidings.control.indexes import Indexes
from tidings.control.slicing import Slicing
from tidings.model.collection import Collection
from tidings.model.errors import TidingsError, Unavailable
from tidings.model.moment import Clock
from tidings.store.base import Db, Engine, Run
from tidings.store.items import alter
from tidings.store.items.handover import LAST_ROWS, Handover, Late, Pass
from tidings.store.readers import Readers
from tidings.store.watch import Watch
from tidings.store.writer import Writer

WEIGHT_AT_ONCE = 2_000
"""How many rows one job may touch."""
TRIES = 5
HELD_SECONDS = 30.0
"""How long it waits for somebody who reads what is to be altered."""
PAUSE_SECONDS = 0.25
PASSES_MAX = 100
RETRY_AFTER_SECONDS = 5.0

T = TypeVar("T")
R = TypeVar("R")
Ask = Callable[[Db], Asked]
"""What is asked for, as the present transaction sees it; it may be called several times."""


class _Busy(Unavailable):
    """Another declaration is going through the same items."""


class Declaring:
    """Carries out what callers declare, long ones one at a time. Belongs to one event loop."""

    def __init__(
        self,
        parts: tuple[Engine, Writer, Readers, Clock],
        collections: Collections,
        indexes: Indexes,
        slicing: Callable[[Writer], Slicing] = Slicing,
    ) -> None:
        engine, self._writer, self._readers, self._clock = parts
        self._collections, self._indexes = collections, indexes
        self.discarded = Discarded(engine, self._writer, self._readers)
        self._one = asyncio.Lock()
        self._stopping = False
        self._slicing = slicing
        self.at_once = WEIGHT_AT_ONCE

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drop what a crash left behind, and from now on what is discarded."""
        self.discarded.start(loop)

    def break_off(self) -> None:
        """Refuse long declarations, from the next slice on; the previous ones stay in force."""
        self._stopping = True

    async def stop(self) -> None:
        """Leave what is discarded to the next start."""
        await self.discarded.stop()

    async def carry_out(
        self, ask: Ask, result: Callable[[Db, Make], T], run: Run[T, R], tenant: str | None = None
    ) -> R:
        """Do what is asked for, completely or not at all: `run` the last job, which returns `result`.

        Raises Invalid, Conflict, what `ask` raises, or Unavailable if items change faster than they can be followed.
        """
        if await self._is_brief(ask, tenant):
            # A long one may be about the same collection: then this one waits for it. A table that is being read cannot
            # be altered without waiting, but it can be replaced.
            with contextlib.suppress(_Busy, alter.InUse):
                return await self._last(run, result, partial(self._at_once, ask))
        async with self._one:
            if await self._is_brief(ask, tenant):
                with contextlib.suppress(alter.InUse):
                    return await self._last(run, result, partial(self._at_once, ask))
            return await self._in_slices(ask, partial(self._last, run, result), tenant)

    async def _last(self, run: Run[T, R], result: Callable[[Db, Make], T], make: Make) -> R:
        """Run the last job. No index is built in the meantime: the job might alter a table."""
        async with self._indexes.resting():
            return await run(lambda db: result(db, make))

    async def _is_brief(self, ask: Ask, tenant: str | None) -> bool:
        """Whether it is done in one job, because it touches few rows."""

        def look(db: Db) -> int:
            return weighs(db, self._collections.planned(db, ask(db).wish).plan, self.at_once)

        try:
            weight = await self._readers.call(look, tenant)
        except Unavailable:
            raise
        except TidingsError:
            # It is refused, in one place. Or it was done before, and the answer was kept.
            return True
        return weight <= self.at_once

    def _at_once(self, ask: Ask, db: Db) -> Shown:
        asked = ask(db)
        if db.watched and is_watched(db, self._collections.planned(db, asked.wish).plan):
            raise _Busy("Another declaration of the collection is being carried out.")
        with alter.without_waiting(db):
            return self._collections.apply(db, asked.wish, plan_name=asked.plan, drop_values=asked.drop_values)

    async def _in_slices(self, ask: Ask, last: Callable[[Make], Awaitable[R]], tenant: str | None) -> R:
        async with self._begun(ask) as long:

            def make(db: Db) -> Shown:
                asked = ask(db)
                with alter.without_waiting(db):
                    return self._collections.apply(db, asked.wish, drop_values=asked.drop_values, made=long)

            await self._inspect(long, tenant)
            slicing = self._slicing(self._writer)
            await self._prepare(long, slicing)
            late, held_until = 0, asyncio.get_running_loop().time() + HELD_SECONDS
            while True:
                try:
                    for handover in long.handovers:
                        await self._catch_up(handover, slicing)
                    return await last(make)
                except Late:
                    late += 1
                    if late == TRIES:
                        raise
                    # What no longer fits is refused here.
                    await self._inspect(long, tenant)
                except alter.InUse:
                    if self._stopping or asyncio.get_running_loop().time() > held_until:
                        raise
                    await asyncio.sleep(PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def _begun(self, ask: Ask) -> AsyncIterator[Long]:
        """From the first job on, writes to the items are noted."""
        watched: list[dict[str, Watch]] = []

        def begin(db: Db) -> Long:
            watched.append(db.watched)
            asked = ask(db)
            long = Long(self._collections.planned(db, asked.wish, asked.plan), asked, self._clock.now())
            long.watch(db)
            return long

        self.discarded.in_hand = True
        try:
            long: Long = await self._writer.call(begin)
            yield long
        finally:
            for tables in watched:
                tables.clear()
            self.discarded.in_hand = False
            self.discarded.more()

    async def _inspect(self, long: Long, tenant: str | None) -> None:
        """Inspect all items. Raises Conflict if the plan is refused, or would lose something."""

        def look(db: Db) -> None:
            found = self._collections.inspected(db, long.planned)
            self._collections.check(long.planned, found, drop_values=long.asked.drop_values)
            long.found(db, found)

        await self._readers.call(look, tenant)

    async def _prepare(self, long: Long, slicing: Slicing) -> None:
        """Make the tables, and fill them with the rows that existed at the start."""
        for collection in long.plan.created:
            await self._step(slicing, partial(_create, long, collection))
        for handover in long.handovers:
            await self._step(slicing, partial(_make, handover))
            slicing.rows = min(slicing.rows, LAST_ROWS)
            await self._take(handover, handover.high, slicing)

    async def _take(self, handover: Handover, top: int, slicing: Slicing) -> None:
        """Take the rows up to `top`."""
        while handover.cursor < top:
            until = await self._step(slicing, partial(_take, handover, top))
            handover.cursor = top if until is None else until

    async def _catch_up(self, handover: Handover, slicing: Slicing) -> None:
        """Pass by pass, until what is left is little enough for the last job."""
        last = Pass()
        for _ in range(PASSES_MAX):
            last = await self._step(slicing, partial(_start_pass, handover, last))
            if max(len(last.noted), last.top - handover.cursor) <= handover.last_rows // 2:
                return
            await self._slices(slicing, last.noted, handover.forget)
            await self._take(handover, last.top, slicing)
            await self._slices(slicing, last.noted, partial(_again, handover, last.moment))

    async def _slices(self, slicing: Slicing, seqs: Sequence[int], do: Callable[[Db, Sequence[int]], None]) -> None:
        """Do something with these rows, some at a time."""
        at = 0
        while at < len(seqs):
            at += await self._step(slicing, partial(_part, do, seqs, at))

    async def _step(self, slicing: Slicing, job: Callable[[Db, int], R]) -> R:
        if self._stopping:
            raise Unavailable(
                "The server is stopping, so nothing was declared. Try again.", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        return await slicing.step(job)


# Jobs of the writer, for some rows each.


def _create(long: Long, collection: Collection, db: Db, most: int) -> None:
    long.create(db, collection)


def _make(handover: Handover, db: Db, most: int) -> None:
    handover.make(db)


def _take(handover: Handover, top: int, db: Db, most: int) -> int | None:
    return handover.take(db, handover.cursor, top, most)


def _start_pass(handover: Handover, last: Pass, db: Db, most: int) -> Pass:
    return handover.start_pass(db, last)


def _again(handover: Handover, moment: int, db: Db, seqs: Sequence[int]) -> None:
    handover.again(db, seqs, moment)


def _part(do: Callable[[Db, Sequence[int]], None], seqs: Sequence[int], at: int, db: Db, most: int) -> int:
    part = seqs[at : at + most]
    do(db, part)
    return len(part)
