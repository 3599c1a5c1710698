"""Carrying out declarations next to everyone else's writes, however many items there are.

Anything that touches few rows is one job of the writer. Otherwise its job is the last of many short ones
(store/items/handover.py): the items are inspected by a reader, and their tables are filled next to them, while the
previous declaration stays in force.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from tidings.control.collections import Asked, Collections, Make, Overtaken, Planned, Shown
from tidings.control.declare.discarded import Discarded
from tidings.control.declare.long import BUSY_MAX, Long, is_watched, weighs
from tidings.control.indexes import Indexes
from tidings.control.slicing import Slicing
from tidings.model.collection import Collection
from tidings.model.errors import TidingsError, Unavailable
from tidings.model.moment import Clock
from tidings.store.base import Db, Engine, Run
from tidings.store.items import alter, moving
from tidings.store.items.handover import LAST_ROWS, Handover, Late, Pass
from tidings.store.readers import Readers
from tidings.store.watch import Watch
from tidings.store.writer import Writer

WEIGHT_AT_ONCE = 2_000
"""The maximum number of rows that one job may touch."""
STATEMENTS_FIRST = 10
"""The maximum number of tables and indexes that the first job may create."""
TRIES = 5
HELD_SECONDS = 30.0
"""The maximum time to wait for the readers of a table that has to be altered."""
WRITERS_MILLISECONDS = 500
"""The maximum time that other nodes are blocked, at a stretch, while it waits for the table's writers."""
PAUSE_SECONDS = 0.25
PASSES_MAX = 100
ROWS_OF_PASS = 10
"""The fixed cost of a pass, in rows: it takes as long as this many more rows."""
RETRY_AFTER_SECONDS = 5.0
DROP_SECONDS = 5.0
"""How long after a declaration the old tables are dropped, if there are other nodes."""

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E")
Ask = Callable[[Db], Asked]
"""Returns the request as the current transaction sees it; may be called several times."""


class _Busy(Unavailable):
    """Another declaration is going through the same items."""


class Declaring:
    """Carries out callers' declarations; long ones one at a time. Belongs to one event loop."""

    def __init__(
        self,
        parts: tuple[Engine, Writer, Readers, Clock],
        collections: Collections,
        indexes: Indexes,
        slicing: Callable[[Writer], Slicing] = Slicing,
    ) -> None:
        engine, self._writer, self._readers, self._clock = parts
        self._dialect, self._joined = engine.dialect, engine.joined
        self._collections, self._indexes = collections, indexes
        self.discarded = Discarded(engine, self._writer, self._readers)
        self._one = asyncio.Lock()
        self._stopping = False
        self._slicing = slicing
        self.at_once = WEIGHT_AT_ONCE

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drop what a crash left behind, and from now on every discarded table."""
        self.discarded.start(loop)

    def break_off(self) -> None:
        """Refuse long declarations from the next slice on. The previous declarations stay in force."""
        self._stopping = True

    async def stop(self) -> None:
        """Leave discarded tables to the next start."""
        await self.discarded.stop()

    @property
    def busy(self) -> bool:
        """Whether a long declaration is in progress."""
        return self._one.locked()

    async def carry_out(
        self, ask: Ask, result: Callable[[Db, Make], T], run: Run[T, R], tenant: str | None = None
    ) -> R:
        """Carry out the request, completely or not at all. `run` runs the last job, which returns `result`.

        Raises Invalid, Conflict, what `ask` raises, or Unavailable if items change faster than they can be followed.
        """
        long = await self._long(ask, tenant)
        if long is None and self._joined:
            return await self._beside_others(ask, partial(self._last, run, result))
        if long is None:
            # A long declaration may be about the same collection; this one then waits for it. A table that is being
            # read cannot be altered without waiting, but it can be replaced.
            with contextlib.suppress(_Busy, alter.InUse):
                return await self._last(run, result, partial(self._at_once, ask))
        waits = self._one.locked()
        async with self._one:
            if long is None or waits:
                long = await self._long(ask, tenant)
            if long is None:
                with contextlib.suppress(alter.InUse):
                    return await self._last(run, result, partial(self._at_once, ask))
            return await self._in_slices(ask, partial(self._last, run, result), tenant, long)

    async def _beside_others(self, ask: Ask, last: Callable[[Make], Awaitable[R]]) -> R:
        """If other nodes write to the same items: carry out a small declaration in one job, while they wait."""

        def make(db: Db) -> Shown:
            asked = ask(db)
            with alter.without_waiting(db, WRITERS_MILLISECONDS):
                alter.keep_others_out(db, self._collections.planned(db, asked.wish).plan)
            return self._at_once(ask, db)

        held_until = asyncio.get_running_loop().time() + HELD_SECONDS
        async with self._one:
            while True:
                try:
                    return await last(make)
                except alter.InUse:
                    if self._stopping or asyncio.get_running_loop().time() > held_until:
                        raise
                    await asyncio.sleep(PAUSE_SECONDS)
                finally:
                    # Other nodes may read and write the old tables until they learn of the change.
                    asyncio.get_running_loop().call_later(DROP_SECONDS, self.discarded.more)

    async def _last(self, run: Run[T, R], result: Callable[[Db, Make], T], make: Make) -> R:
        """Run the last job. No index is built in the meantime: the job might alter a table."""
        async with self._indexes.resting():
            return await run(lambda db: result(db, make))

    async def _long(self, ask: Ask, tenant: str | None) -> Planned | None:
        """The plan, if it takes more than one job; None if it touches few rows."""

        def look(db: Db) -> Planned | None:
            asked = ask(db)
            planned = self._collections.planned(db, asked.wish, asked.plan)
            return planned if weighs(db, planned, self.at_once) > self.at_once else None

        try:
            return await self._readers.call(look, tenant)
        except Unavailable:
            raise
        except TidingsError:
            # It will be refused, in the usual place. Or it was done before, and the response was kept.
            return None

    def _at_once(self, ask: Ask, db: Db) -> Shown:
        asked = ask(db)
        if db.watched and is_watched(db, self._collections.planned(db, asked.wish).plan):
            raise _Busy("Another declaration of the collection is in progress.")
        with alter.without_waiting(db):
            return self._collections.apply(db, asked.wish, plan_name=asked.plan, drop_values=asked.drop_values)

    async def _in_slices(
        self, ask: Ask, last: Callable[[Make], Awaitable[R]], tenant: str | None, planned: Planned | None
    ) -> R:
        async with self._begun(ask, tenant, planned) as long:

            def make(db: Db) -> Shown:
                if not moving.held(db):
                    raise Unavailable(
                        "The connection to the database was lost, so nothing was declared. Try again.",
                        retry_after_seconds=RETRY_AFTER_SECONDS,
                    )
                with alter.without_waiting(db):
                    return self._collections.end(db, ask(db).wish, long)

            await self._inspect(long, tenant)
            slicing = self._slicing(self._writer)
            await self._prepare(long, slicing)
            tries, held_until = 0, asyncio.get_running_loop().time() + HELD_SECONDS
            while True:
                try:
                    await self._catch_up(long, slicing)
                    return await last(make)
                except (Late, Overtaken) as wrong:
                    tries += 1
                    if tries == TRIES:
                        raise
                    if isinstance(wrong, Overtaken):
                        await self._plan_again(long, ask, tenant)
                    # Plans that no longer fit are refused here.
                    await self._inspect(long, tenant)
                except alter.InUse:
                    if self._stopping or asyncio.get_running_loop().time() > held_until:
                        raise
                    await asyncio.sleep(PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def _begun(self, ask: Ask, tenant: str | None, planned: Planned | None) -> AsyncIterator[Long]:
        """Run the first job; from then on, writes to the items are noted."""
        watched: list[dict[str, Watch]] = []

        def plan(db: Db) -> Planned:
            asked = ask(db)
            return self._collections.planned(db, asked.wish, asked.plan)

        def begin(planned: Planned, db: Db) -> Long | None:
            moving.hold(db)
            watched.append(db.watched)
            asked = ask(db)
            if not self._collections.holds(db, planned, asked.wish):
                return None
            long = Long(planned, asked, self._clock.now())
            long.watch(db)
            return long

        self.discarded.in_hand = True
        try:
            long: Long | None = None
            while long is None:
                # Planning takes a while, so a reader does it.
                if planned is None:
                    planned = await self._readers.call(plan, tenant)
                long = await self._writer.call(partial(begin, planned))
                planned = None
            yield long
        finally:
            for tables in watched:
                tables.clear()
            with contextlib.suppress(TidingsError):
                await self._writer.call(moving.release)
            self.discarded.in_hand = False
            # Other nodes may read the old tables until they learn of the change.
            asyncio.get_running_loop().call_later(DROP_SECONDS if self._joined else 0.0, self.discarded.more)

    async def _inspect(self, long: Long, tenant: str | None) -> None:
        """Inspect all items. Raises Conflict if the plan is refused, or would lose something."""

        def look(db: Db) -> None:
            found = self._collections.inspected(db, long.planned)
            long.found(db, found, self._collections.check(long.planned, found, drop_values=long.asked.drop_values))

        await self._readers.call(look, tenant)

    async def _plan_again(self, long: Long, ask: Ask, tenant: str | None) -> None:
        """Other collections have changed. Raises Conflict if that results in a different plan."""
        long.planned = await self._readers.call(
            lambda db: self._collections.again(db, long.planned, ask(db).wish), tenant
        )

    async def _prepare(self, long: Long, slicing: Slicing) -> None:
        """Make the tables, and fill them with the rows that existed at the start."""
        await self._slices(slicing, long.to_name(), _name)
        slicing.rows = min(slicing.rows, STATEMENTS_FIRST)
        await self._slices(slicing, long.statements(self._dialect), _execute)
        for handover in long.handovers:
            slicing.rows = min(slicing.rows, LAST_ROWS)
            await self._take(handover, handover.high, slicing)

    async def _take(self, handover: Handover, top: int, slicing: Slicing) -> None:
        """Take the rows up to `top`."""
        while handover.cursor < top:
            until = await self._step(slicing, partial(_take, handover, top))
            handover.cursor = top if until is None else until

    async def _catch_up(self, long: Long, slicing: Slicing) -> None:
        """Make passes until little enough is left for the last job."""
        for _ in range(PASSES_MAX):
            many = await self._finish(long.busy, slicing)
            for handover in many:
                await self._pass(handover, slicing)
            if not many and len(long.busy) <= BUSY_MAX // 2:
                return

    async def _finish(self, handovers: Sequence[Handover], slicing: Slicing) -> list[Handover]:
        """Make a pass for each collection, several in one job; returns those that have too many rows for that."""
        many, at = list[Handover](), 0
        while at < len(handovers):
            done = await self._step(slicing, partial(_finish, handovers, at))
            for handover, found in zip(handovers[at:], done, strict=False):
                if found is None:
                    many.append(handover)
                else:
                    handover.last, handover.cursor = found, found.top
            at += len(done)
        return many

    async def _pass(self, handover: Handover, slicing: Slicing) -> None:
        """A pass over many rows."""
        found = await self._step(slicing, partial(_start_pass, handover))
        await self._slices(slicing, found.noted, handover.forget)
        await self._take(handover, found.top, slicing)
        await self._slices(slicing, found.noted, partial(_again, handover, found.moment))
        handover.last = found

    async def _slices(self, slicing: Slicing, things: Sequence[E], do: Callable[[Db, Sequence[E]], None]) -> None:
        """Do something with these rows or other things, a few at a time."""
        at = 0
        while at < len(things):
            at += await self._step(slicing, partial(_part, do, things, at))

    async def _step(self, slicing: Slicing, job: Callable[[Db, int], R]) -> R:
        if self._stopping:
            raise Unavailable(
                "The server is stopping, so nothing was declared. Try again.", retry_after_seconds=RETRY_AFTER_SECONDS
            )
        return await slicing.step(job)


# Jobs of the writer, for some rows each.


def _name(db: Db, namers: Sequence[Callable[[Db], Collection | None]]) -> None:
    for name in namers:
        made = name(db)
        if made is not None:
            alter.discard(db, [made])


def _execute(db: Db, statements: Sequence[str]) -> None:
    for sql in statements:
        db.execute(sql, {})


def _take(handover: Handover, top: int, db: Db, most: int) -> int | None:
    return handover.take(db, handover.cursor, top, most)


def _finish(handovers: Sequence[Handover], at: int, db: Db, most: int) -> list[Pass | None]:
    """Make a pass for some of them, starting at `at`: as many as are worth `most` rows."""
    left, done = min(most, Handover.last_rows // 2), list[Pass | None]()
    for handover in handovers[at:]:
        found = handover.finish(db, Handover.last_rows // 2 if not done else left)
        if found is None and done:
            break
        done.append(found)
        left -= ROWS_OF_PASS + (0 if found is None else found.rows)
        if left <= 0:
            break
    return done


def _start_pass(handover: Handover, db: Db, most: int) -> Pass:
    return handover.start_pass(db)


def _again(handover: Handover, moment: int, db: Db, seqs: Sequence[int]) -> None:
    handover.again(db, seqs, moment)


def _part(do: Callable[[Db, Sequence[E]], None], things: Sequence[E], at: int, db: Db, most: int) -> int:
    part = things[at : at + most]
    do(db, part)
    return len(part)
