"""Work on a large request in a thread, next to the event loop.

Threads share the interpreter, so several would leave little of it to the event loop: one works at a time, and then
rests for as long as it worked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

REST_SECONDS_MAX = 0.1

P = ParamSpec("P")
T = TypeVar("T")


class Beside:
    """The one thread for large requests. Belongs to one event loop."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    async def run(self, large: bool, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Run `work` and return its result; for a large request in the thread, once it is free."""
        if not large:
            return work(*args, **named)
        await self._free.acquire()
        began = time.monotonic()
        try:
            return await asyncio.to_thread(work, *args, **named)
        finally:
            took = time.monotonic() - began
            asyncio.get_running_loop().call_later(min(took, REST_SECONDS_MAX), self._free.release)
