"""Large bodies: a few are worked on at a time, tenants in turn, and everyone else proceeds between two steps.

Parsing holds the interpreter, and what was parsed takes many times the memory of its text, so of bodies above
LARGE_BYTES only AT_ONCE_BYTES are parsed, checked and written at the same time; the others wait as bytes. What is long
is parsed in slices (slices.py), and each round of the event loop has time for STEP_SECONDS of them. After a round that
took longer than LONG_SECONDS, large bodies rest for as long as it took: the interpreter is free for at least half the
time, because every other request, commit and delivery needs it several times before it is done.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidings.rules.share import Share
from tidings.store.share_queue import ShareQueue

LARGE_BYTES = 16 * 1024
BESIDE_BYTES = 128 * 1024
"""Larger bodies that cannot be parsed in slices are parsed in a thread next to the event loop, one at a time."""
AT_ONCE_BYTES = 8 * 1024 * 1024
"""The maximum size of the bodies that are worked on at the same time; a larger body is worked on alone. While these
bodies are written, other writes wait."""
STEP_SECONDS = 0.002
LONG_SECONDS, REST_SECONDS_MAX = 0.001, 0.1


class Work:
    """Which requests work on a large body now, and which wait. Belongs to one event loop."""

    def __init__(self) -> None:
        self.share = Share("work", AT_ONCE_BYTES)
        """Bytes of the bodies that are being parsed, checked and written."""
        self._places = ShareQueue(self.share)
        self._round_began: float | None = None
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for their tenant's turn."""
        return self._places.waiting

    @asynccontextmanager
    async def place(self, tenant: str | None, size: int) -> AsyncIterator[None]:
        """Wait for the tenant's turn, and hold its part until the work is done. `size`: bytes, or what counts alike."""
        await self._places.take(tenant, size)
        try:
            yield
        finally:
            self._places.leave(tenant, size)

    async def step(self) -> None:
        """Wait until the event loop has time for some milliseconds of work."""
        now = time.monotonic()
        if self._round_began is None:
            self._begin_round(now)
        elif self._line or now - self._round_began > STEP_SECONDS:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._line.append(turn)
            await turn

    def _begin_round(self, now: float) -> None:
        self._round_began = now
        asyncio.get_running_loop().call_soon(self._end_round)

    def _end_round(self) -> None:
        began = self._round_began
        took = 0.0 if began is None else time.monotonic() - began
        if took > LONG_SECONDS:
            # Others have the event loop and the interpreter for as long as it took.
            asyncio.get_running_loop().call_later(min(took, REST_SECONDS_MAX), self._next_round)
        else:
            self._next_round()

    def _next_round(self) -> None:
        self._round_began = None
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                # It works in the next round, before that round's end is called.
                turn.set_result(None)
                self._begin_round(time.monotonic())
                return
