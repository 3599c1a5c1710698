"""Give memory back to the system once large work is over: the C library keeps what was freed for the next time."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import Callable

QUIET_SECONDS = 1.0
"""Memory is returned only after this long without large work, because more work would need it again."""
WORTH_BYTES = 4 * 1024 * 1024
"""Memory is returned only after this much work."""


class Memory:
    """Notes large work, and trims the heap some time after it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0

    def worked(self, size: int) -> None:
        """Record that this many bytes of large bodies were worked on."""
        loop = asyncio.get_running_loop()
        self._bytes += size
        self._last = loop.time()
        if self._timer is None and self._bytes >= WORTH_BYTES:
            self._timer = loop.call_later(QUIET_SECONDS, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._last + QUIET_SECONDS - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._look)
            return
        self._timer, self._bytes = None, 0
        # In a thread: it takes some milliseconds, in which others hold the interpreter.
        if _trim is not None:
            loop.run_in_executor(None, _trim, 0)


def _find_trim() -> Callable[[int], int] | None:
    """The C library's own function; None if it is another library (macOS, musl)."""
    if sys.platform != "linux":
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


_trim = _find_trim()
