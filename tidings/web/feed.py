"""A signal for those who wait for new events: long polls and streams."""

from __future__ import annotations

import asyncio


class Feed:
    """Wakes every waiter after a commit. Belongs to one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say on which event loop the waiters are."""
        self._loop = loop

    def committed(self) -> None:
        """Something was committed; may be called from any thread."""
        if self._waiters and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    async def wait(self, timeout_seconds: float) -> None:
        """Return after the next commit, or when the time is over."""
        future = asyncio.get_running_loop().create_future()
        self._waiters.add(future)
        try:
            await asyncio.wait_for(future, timeout_seconds)
        except TimeoutError:
            return
        finally:
            self._waiters.discard(future)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for future in waiters:
            if not future.done():
                future.set_result(None)
