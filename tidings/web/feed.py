"""A signal for those who wait for new events: long polls and streams."""

from __future__ import annotations

import asyncio


class Feed:
    """Wakes every waiter after a commit. Belongs to one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self.generation = 0
        """Grows with each commit. Read it before looking for events, and give it to `wait`."""
        self.closed = False
        """The server stops: waiters return, streams end."""

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say on which event loop the waiters are."""
        self._loop = loop

    def committed(self) -> None:
        """Something was committed; may be called from any thread."""
        self.generation += 1
        if self._waiters and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """Let everybody go; on the event loop."""
        self.closed = True
        self._wake()

    async def wait(self, timeout_seconds: float, seen: int | None = None) -> None:
        """Return once there was a commit after generation `seen` (by default: the present one), or the time is over."""
        if seen is None:
            seen = self.generation
        future = asyncio.get_running_loop().create_future()
        self._waiters.add(future)
        try:
            # Looked at after joining the waiters: the committer counts before it looks for waiters.
            if self.generation == seen and not self.closed:
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
