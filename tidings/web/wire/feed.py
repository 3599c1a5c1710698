"""Wakes long polls and streams when a matching event is committed.

A thousand idle streams must not cost a publish anything. So they do not all read the store after each commit: one task
reads what the new events are about, compares that with what the waiters want, and wakes only the right ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from tidings.model.errors import TidingsError
from tidings.store.log import feed
from tidings.store.log.feed import EventQuery, Header
from tidings.store.readers import OWN_READS, Readers

RECENT_MAX = 4_096
"""How many of the newest events are remembered, without their data, for callers that come back to wait."""
HEADERS_MAX = 1_000
GAP_SECONDS = 0.02
"""The store is checked for new events at most this often; events that arrive in between are handled together."""

log = logging.getLogger("tidings.feed")


class _Waiter:
    """Somebody who has seen everything up to `position`."""

    __slots__ = ("future", "position")

    def __init__(self, position: int, future: asyncio.Future[None]) -> None:
        self.position, self.future = position, future


class Feed:
    """Wakes waiters after commits. Belongs to one event loop, but for `committed` and `nudge`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: dict[EventQuery, set[_Waiter]] = {}
        self._by_tenant: dict[str | None, set[EventQuery]] = {}
        self._recent: deque[Header] = deque()
        self._begin = self._position = 0
        """`recent` holds every event after `begin` and up to `position`."""
        self._generation = 0
        self._looked = -1
        self._looking: asyncio.Task[None] | None = None
        self._reads: dict[Any, asyncio.Task[Any]] = {}
        self._on_wait: Callable[[], None] = lambda: None
        self.closed = False
        """Whether the server is stopping: waiters return, and streams end."""

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say on which event loop the waiters are."""
        self._loop = loop

    def committed(self) -> None:
        """Something was committed; may be called from any thread."""
        self._generation += 1
        if self._waiters and self._looking is None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._look_soon)

    def nudge(self) -> None:
        """Wake everyone to check again, because keys may have changed; may be called from any thread.

        Even if nobody waits now: someone may be between the last check and waiting.
        """
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    def is_awaited(self) -> bool:
        """Whether anybody waits; may be called from any thread."""
        return bool(self._waiters)

    def on_wait(self, call: Callable[[], None]) -> None:
        """Call `call`, from the event loop, when the first one begins to wait."""
        self._on_wait = call

    def close(self) -> None:
        """Release all waiters; on the event loop."""
        self.closed = True
        self._wake_all()
        if self._looking is not None:
            self._looking.cancel()

    async def wait(self, query: EventQuery, position: int, timeout_seconds: float) -> int:
        """Return once a matching event may have arrived after `position`, or the time is up.

        Returns a position up to which nothing matches, from which to continue reading.
        """
        if self.closed or self._came(query, position):
            return position
        waiter = _Waiter(position, asyncio.get_running_loop().create_future())
        self._park(query, waiter)
        try:
            # Looked at after parking: the committer counts before it looks for waiters.
            if self._looked != self._generation:
                self._look_soon()
            await asyncio.wait_for(waiter.future, timeout_seconds)
        except TimeoutError:
            # Nothing seen in the meantime was for this waiter.
            return max(position, self._position)
        finally:
            self._leave(query, waiter)
        return position

    async def together(self, what: Any, read: Callable[[], Awaitable[Any]]) -> Any:
        """The result of `read`; those who ask for the same at the same time share one."""
        task = self._reads.get(what)
        if task is None:
            task = self._reads[what] = asyncio.ensure_future(read())
            task.add_done_callback(lambda done: self._reads.pop(what, None))
        return await asyncio.shield(task)

    def _came(self, query: EventQuery, position: int) -> bool:
        """Whether a matching event is known to have arrived already, or that cannot be ruled out."""
        if not self._waiters and position > self._position:
            self._recent.clear()
            self._begin = self._position = position
        if position < self._begin:
            return True
        for row in reversed(self._recent):
            if row[0] <= position:
                break
            if feed.fits(query, *row[1:]):
                return True
        return False

    def _park(self, query: EventQuery, waiter: _Waiter) -> None:
        is_first = not self._waiters
        self._waiters.setdefault(query, set()).add(waiter)
        self._by_tenant.setdefault(query.tenant, set()).add(query)
        if is_first:
            self._on_wait()

    def _leave(self, query: EventQuery, waiter: _Waiter) -> None:
        there = self._waiters.get(query)
        if there is None or waiter not in there:
            return
        there.discard(waiter)
        if not there:
            self._forget(query)

    def _forget(self, query: EventQuery) -> None:
        del self._waiters[query]
        queries = self._by_tenant[query.tenant]
        queries.discard(query)
        if not queries:
            del self._by_tenant[query.tenant]

    def _look_soon(self) -> None:
        if self._looking is None and not self.closed:
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._stopped_looking)

    def _stopped_looking(self, done: asyncio.Task[None]) -> None:
        self._looking = None
        # A commit while this task was ending has not started another.
        if self._waiters and self._looked != self._generation:
            self._look_soon()

    async def _look(self) -> None:
        """Read what the new events are about until there is nothing new, or nobody waits."""
        while self._waiters and self._looked != self._generation and not self.closed:
            seen, after = self._generation, self._position
            try:
                rows, position, more = await self._readers.call(
                    partial(feed.headers, after=after, limit=HEADERS_MAX), OWN_READS
                )
            except TidingsError as wrong:
                # Each of them gets the error when it reads on its own.
                log.warning("new events could not be checked: %s", wrong.detail)
                self._looked = seen
                self._wake_all()
                return
            if self._position == after:
                self._admit(rows, position)
                self._looked = self._looked if more else seen
            if not more:
                await asyncio.sleep(GAP_SECONDS)

    def _admit(self, rows: list[Header], position: int) -> None:
        """Remember some events, and wake those who wait for one of them."""
        meant: dict[EventQuery, int] = {}
        for row in rows:
            if len(self._recent) >= RECENT_MAX:
                self._begin = self._recent.popleft()[0]
            self._recent.append(row)
            for query in self._candidates(row[1]):
                if feed.fits(query, *row[1:]):
                    meant[query] = row[0]
        self._position = max(self._position, position)
        for query, last in meant.items():
            for waiter in self._waiters[query]:
                if waiter.position < last:
                    _wake(waiter)

    def _candidates(self, tenant: str | None) -> Iterable[EventQuery]:
        everybody = self._by_tenant.get(None, ())
        return everybody if tenant is None else (*everybody, *self._by_tenant.get(tenant, ()))

    def _wake_all(self) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                _wake(waiter)


def _wake(waiter: _Waiter) -> None:
    if not waiter.future.done():
        waiter.future.set_result(None)
