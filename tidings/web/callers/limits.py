"""Call limits of keys: counted in memory, and stored if a restart should not reset them."""

from __future__ import annotations

import asyncio
import logging

from tidings.model.access import CallLimit, Key
from tidings.model.errors import LimitReached, TidingsError
from tidings.model.moment import SECOND, Clock
from tidings.rules.limits.windows import Allowance, Windows, rate_limit_headers
from tidings.store.callers import call_counts
from tidings.store.callers.call_counts import CallCount
from tidings.store.readers import Readers
from tidings.store.writer import Writer

KEPT_SECONDS_MIN = 60
"""The counts of shorter windows are not stored: such a window ends before a restart is complete."""
FLUSH_SECONDS = 1.0

log = logging.getLogger("tidings.limits")


class Limits:
    """Counts calls per key and window. Belongs to one event loop."""

    def __init__(self, clock: Clock, writer: Writer) -> None:
        self._clock = clock
        self._writer = writer
        self._windows = Windows()
        self._unwritten: dict[tuple[str, int], tuple[int, int]] = {}
        """(key id, seconds) -> (start of the window in seconds, calls in it)."""
        self._flushing: asyncio.Task[None] | None = None

    async def load(self, readers: Readers) -> None:
        """Read the counts from before a restart."""
        for kept in await readers.call(call_counts.read):
            limit = CallLimit(calls=kept.calls, seconds=kept.seconds)
            self._windows.take(kept.key, (limit,), kept.window_start * SECOND, cost=kept.calls)

    async def take(self, key: Key) -> list[tuple[str, str]]:
        """Count one call; returns the RateLimit headers.

        Raises LimitReached, and counts nothing, if a window is full.
        """
        now = self._clock.now()
        verdict = self._windows.take(key.id, (*key.limits, *key.shared_limits), now)
        headers = headers_of(verdict)
        for window in verdict.windows:
            if window.seconds >= KEPT_SECONDS_MIN:
                start = now // (window.seconds * SECOND) * window.seconds
                self._unwritten[window.owner, window.seconds] = (start, window.limit - window.remaining)
        if self._unwritten and self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())
        return headers

    async def flush(self) -> None:
        """Write the counts that changed."""
        counts = [CallCount(key, seconds, start, calls) for (key, seconds), (start, calls) in self._unwritten.items()]
        self._unwritten = {}
        if counts:
            await self._writer.call(lambda db: call_counts.put(db, counts))

    async def stop(self) -> None:
        """Write all counts at once."""
        if self._flushing is not None:
            self._flushing.cancel()
        await self.flush()

    async def _flush_soon(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        self._flushing = None
        try:
            await self.flush()
        except TidingsError as wrong:
            log.warning("call counts could not be kept: %s", wrong.detail)


def headers_of(verdict: Allowance) -> list[tuple[str, str]]:
    """The RateLimit headers for the verdict on a call. Raises LimitReached if it is refused."""
    headers = rate_limit_headers(verdict)
    if not verdict.allowed:
        raise LimitReached(
            f"This key may make {verdict.limit:,} calls every {verdict.window:,} seconds.", headers=headers
        )
    return headers
