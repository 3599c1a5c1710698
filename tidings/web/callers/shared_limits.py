"""Call limits of keys if several nodes work at once: each node reserves in the store the calls that it may allow."""

from __future__ import annotations

import asyncio
from collections import Counter

from tidings.model.access import Key
from tidings.model.moment import Clock
from tidings.rules.limits.reserves import Ask, Reserves
from tidings.store.joined.reserving import Reserving
from tidings.store.readers import Readers
from tidings.web.callers.limits import headers_of

GIVE_BACK_SECONDS = 0.5


class SharedLimits:
    """Decides calls together with other nodes. Belongs to one event loop."""

    def __init__(self, clock: Clock, reserving: Reserving) -> None:
        self._clock, self._reserving = clock, reserving
        self._reserves = Reserves()
        self._asking: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._waiting: Counter[tuple[str, int]] = Counter()
        self._giving: asyncio.Task[None] | None = None

    async def load(self, readers: Readers) -> None:
        """Does nothing: the counts are only in the store."""

    async def take(self, key: Key) -> list[tuple[str, str]]:
        """Count one call; returns the RateLimit headers.

        Raises LimitReached, and counts nothing, if a window is full; Unavailable if that cannot be known.
        """
        limits = (*key.limits, *key.shared_limits)
        while asks := self._reserves.asks(key.id, limits, self._clock.now()):
            await asyncio.gather(*map(self._ask, asks))
        verdict = self._reserves.take(key.id, limits, self._clock.now())
        if self._giving is None:
            self._giving = asyncio.ensure_future(self._give_back_soon())
        return headers_of(verdict)

    async def _ask(self, ask: Ask) -> None:
        """Reserve a chunk, once for all callers that wait for it."""
        window = (ask.owner, ask.seconds)
        self._waiting[window] += 1
        try:
            task = self._asking.get(window)
            if task is None:
                task = self._asking[window] = asyncio.ensure_future(self._reserve(ask))
            await asyncio.shield(task)
        finally:
            self._waiting[window] -= 1
            if not self._waiting[window]:
                del self._waiting[window]

    async def _reserve(self, ask: Ask) -> None:
        window = (ask.owner, ask.seconds)
        try:
            # Callers that ask at the same moment are counted first.
            await asyncio.sleep(0)
            ask = Ask(ask.owner, ask.seconds, ask.limit, ask.start, max(ask.most, self._waiting[window]))
            [grant] = await self._reserving.reserve([ask])
            self._reserves.put(ask, grant, self._clock.now())
        finally:
            del self._asking[window]

    async def _give_back_soon(self) -> None:
        while len(self._reserves):
            await asyncio.sleep(GIVE_BACK_SECONDS)
            if rests := self._reserves.rests(self._clock.now()):
                await self._reserving.give_back(rests)
        self._giving = None

    async def stop(self) -> None:
        """Give back everything."""
        if self._giving is not None:
            self._giving.cancel()
        if rests := self._reserves.rests(self._clock.now(), idle=0):
            await self._reserving.give_back(rests)
