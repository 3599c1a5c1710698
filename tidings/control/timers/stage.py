"""The task that turns due times into events: one ordered check of what is due next, however many timers there are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from tidings.control.timers import rows
from tidings.control.upkeep.background import Background
from tidings.model.errors import TidingsError
from tidings.model.link import AnyLink
from tidings.model.moment import SECOND, Clock, Micros, Steps
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.writer import Writer

CHECK_SECONDS = 1.0
"""The maximum time between two checks of the timers, because the clock may be set without notice."""
AGAIN_SECONDS = 1.0

log = logging.getLogger("tidings.timers")


class LinkTimers:
    """The task. It begins with whatever became due while the server was down."""

    def __init__(self, writer: Writer, catalog: Catalog, clock: Clock) -> None:
        self._writer, self._catalog, self._clock = writer, catalog, clock
        self._background = Background("timers", self._work)
        self._is_news = True
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start making events."""
        self._loop, self._woken = loop, asyncio.Event()
        self._catalog.on_change(lambda snapshot, changed: self._on_catalog(changed))
        self._clock.on_jump(self._wake)
        self._background.start(loop)

    async def stop(self) -> None:
        """Stop. Whatever becomes due from now on is left to the next start."""
        await self._background.stop()

    def moved(self, db: Db, by: Micros) -> None:
        """The clock is behind the last use of the store: a write job, called before the start."""
        rows.move(db, self._catalog, by, self._clock.now())

    def news(self) -> None:
        """A timer was changed: check again. From any thread."""
        self._is_news = True
        self._wake()

    async def _work(self) -> None:
        steps, next_look = Steps(self._clock), None
        while True:
            now = self._clock.now()
            if by := steps.taken(now):
                await self._tried(lambda db, by=by, now=now: rows.move(db, self._catalog, by, now))
                self._is_news = True
            if self._is_news or (next_look is not None and next_look <= now):
                self._is_news = False
                next_look = await self._tried(lambda db, now=now: rows.fire(db, self._catalog, now))
            else:
                wait = CHECK_SECONDS if next_look is None else min(CHECK_SECONDS, (next_look - now) / SECOND)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), wait)
                self._woken.clear()

    async def _tried(self, job: Any) -> Any:
        """Run a write job, retrying until the store accepts it."""
        while True:
            try:
                return await self._writer.call(job)
            except TidingsError as wrong:
                log.warning("timers wait for the store: %s", wrong.detail)
                await asyncio.sleep(AGAIN_SECONDS)

    def _on_catalog(self, changed: list[AnyLink]) -> None:
        if any(link.timer is not None for link in changed):
            self.news()

    def _wake(self) -> None:
        if self._loop is not None:
            # At a stop, the loop may be closed.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._woken.set)
