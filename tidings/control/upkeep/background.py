"""A task that runs alongside requests, from when the server listens until it stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any


class Background:
    """One such task, called `name` in dumps of tasks."""

    def __init__(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._name, self._work = name, work
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the work."""
        self._task = loop.create_task(self._work(), name=self._name)

    async def stop(self) -> bool:
        """Cancel the work and wait until it has ended. Returns whether it was started."""
        if self._task is None:
            return False
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        return True
