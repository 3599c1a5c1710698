"""Cancel everything that waits for one link: on a resume that skips what was missed, and after a deletion.

This works only for links that are not sending: then only requests already in flight can change anything in the
meantime, and they are awaited first. A million untried deliveries are cancelled with a few statements, in steps, so
that other writes get through.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Protocol

import msgspec

from tidings.control.slicing import Slicing
from tidings.model import outcome as outcomes
from tidings.model.errors import Conflict, TidingsError
from tidings.model.link import AnyLink
from tidings.model.moment import Clock
from tidings.rules.deliver import lifecycle
from tidings.rules.deliver.lifecycle import Cause
from tidings.store import journal
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.writer import Writer

TRIED_PER_STEP = 500
QUIET_SECONDS = 35.0
"""Longer than any request can take, which is 30 s."""
LOOK_AGAIN_SECONDS = 0.02

log = logging.getLogger("tidings.control")


class LaneFlights(Protocol):
    """What cancelling needs from a lane."""

    @property
    def in_flight(self) -> int:
        """Requests in flight."""


class Delivering(Protocol):
    """What cancelling needs from the deliver stage."""

    def lane(self, link: int) -> LaneFlights | None:
        """One link's lane; None if it has none."""

    async def cancel(self, numbers: list[int]) -> list[bool]:
        """Cancel waiting deliveries; returns once this, and everything before it, is stored."""


class Cancelling:
    """Cancels what waits for links that are paused, disabled or deleted."""

    def __init__(self, catalog: Catalog, writer: Writer, clock: Clock, deliver: Delivering) -> None:
        self._catalog, self._writer, self._clock, self._deliver = catalog, writer, clock, deliver
        self._sweeps: dict[int, asyncio.Task[None]] = {}

    async def cancel_waiting(self, endpoint: AnyLink) -> int:
        """Cancel everything that waits now; returns how many deliveries. Raises Conflict if the link is sending."""
        if endpoint.mode == "enabled":
            what = f"link {endpoint.name}" if endpoint.name else "endpoint"
            raise Conflict(
                f"The {what} is enabled, so it has not missed anything. To cancel its waiting deliveries, pause it "
                "first."
            )
        await self._quiet(endpoint.num)
        until = await self._writer.call(lambda db: journal.position(db, "delivery"))
        return await self._cancel_tried(endpoint.num, until) + await self._cancel_untried(endpoint, until, "cancel")

    def start(self) -> None:
        """Continue deletions that a stop of the server interrupted; on the event loop."""
        for endpoint in self._catalog.now.links.values():
            if endpoint.deleted is not None and endpoint.mode != "disabled":
                self.sweep(endpoint)

    def sweep(self, endpoint: AnyLink) -> None:
        """Store, in the background, that the deliveries waiting for a deleted endpoint are cancelled."""
        if endpoint.num not in self._sweeps:
            task = asyncio.get_running_loop().create_task(self._sweep(endpoint))
            self._sweeps[endpoint.num] = task
            task.add_done_callback(lambda done: self._swept(endpoint, done))

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        tasks = list(self._sweeps.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sweep(self, endpoint: AnyLink) -> None:
        await self._quiet(endpoint.num)
        until = await self._writer.call(lambda db: journal.position(db, "delivery"))
        slicing = Slicing(self._writer, endpoint.tenant)
        while await slicing.step(lambda db, rows: self._drop_tried(db, endpoint.num, rows)):
            pass
        await self._cancel_untried(endpoint, until, "delete")
        # The mode marks that nothing is left to do; nobody else reads the mode of a deleted endpoint.
        await self._writer.call(lambda db: self._mark(db, endpoint.num))

    def _swept(self, endpoint: AnyLink, done: asyncio.Task[None]) -> None:
        self._sweeps.pop(endpoint.num, None)
        wrong = None if done.cancelled() else done.exception()
        if wrong is not None:
            said = wrong.detail if isinstance(wrong, TidingsError) else repr(wrong)
            log.error(
                "some cancellations for %s are not saved yet (the next start continues): %s",
                endpoint.id,
                said,
            )

    async def _quiet(self, link: int) -> None:
        """Wait until nothing of the link is in flight, and its results are stored."""
        await self._deliver.cancel([])
        deadline = asyncio.get_running_loop().time() + QUIET_SECONDS
        while (lane := self._deliver.lane(link)) is not None and lane.in_flight:
            if asyncio.get_running_loop().time() > deadline:
                raise Conflict("Requests are still in flight. Try again in a moment.")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        await self._deliver.cancel([])

    async def _cancel_tried(self, link: int, until: int) -> int:
        after = cancelled = 0

        def step(db: Db) -> list[int]:
            rows = db.all("waiting_numbers", link=link, after=after, until=until, count=TRIED_PER_STEP)
            return [row[0] for row in rows]

        while numbers := await self._writer.call(step):
            cancelled += sum(await self._deliver.cancel(numbers))
            after = numbers[-1]
        return cancelled

    async def _cancel_untried(self, endpoint: AnyLink, until: int, cause: Cause) -> int:
        link = endpoint.num
        row = await self._writer.call(lambda db: db.one("untried_from", journal=db.journal, link=link))
        after: int | None = 0 if row is None else int(row[0])
        cancelled = 0
        slicing = Slicing(self._writer, endpoint.tenant)
        while after is not None:
            step = partial(self._step, link=link, after=after, until=until, cause=cause)
            after, count = await slicing.step(step)
            cancelled += count
        return cancelled

    def _step(self, db: Db, rows: int, *, link: int, after: int, until: int, cause: Cause) -> tuple[int | None, int]:
        row = db.one("link_window", link=link, after=after, until=until, count=rows)
        if row is None or row[0] is None:
            return None, 0
        cancelled, state = outcomes.CANCELLED, lifecycle.fate(cause)
        written = {"outcome": cancelled.name, "state": state, "reason": cancelled.meaning, "now": self._clock.now()}
        return row[0], db.run("untried_cancel", link=link, after=after, until=row[0], **written)

    def _drop_tried(self, db: Db, link: int, count: int) -> int:
        """Drop a deleted link's rows in `waiting`, which no lane reads any more."""
        rows = db.all("waiting_numbers", link=link, after=0, until=1 << 62, count=count)
        now, reason = self._clock.now(), outcomes.CANCELLED.meaning
        tried = []
        for (number,) in rows:
            last = db.one("last_attempt_number", delivery=number)
            n = 0 if last is None else int(last[0])
            tried.append((number, n + 1, now, outcomes.CANCELLED.name, lifecycle.fate("delete"), 0, reason, link))
        if tried:
            columns = ("delivery", "n", "at", "outcome", "state", "duration_ms", "reason", "ended_link")
            db.insert("attempt", columns, tried)
            db.many("waiting_drop", [{"delivery": row[0]} for row in rows])
        return len(tried)

    def _mark(self, db: Db, link: int) -> None:
        present = self._catalog.link(db, link)
        if present is not None:
            self._catalog.put_link(db, msgspec.structs.replace(present, mode="disabled"))
