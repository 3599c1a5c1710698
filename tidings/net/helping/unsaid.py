"""What is to be said on a connection: any thread adds to it, and the connection's event loop takes it in messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from tidings.net.helping.messages import MESSAGE_BYTES

Item = TypeVar("Item")


class Unsaid(Generic[Item]):
    """A queue that wakes its event loop once for many items. What does not say otherwise belongs to that loop."""

    def __init__(self, size: Callable[[Item], int]) -> None:
        """`size`: about how many bytes an item has in a message."""
        self._size = size
        self._items: deque[Item] = deque()
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._is_told = False

    def add(self, item: Item) -> None:
        """Add an item; from any thread."""
        self._items.append(item)
        if not self._is_told:
            self._is_told = True
            self.tell(self.wake)

    def tell(self, call: Callable[[], None]) -> None:
        """Have the event loop call something; from any thread. If the loop has ended, nobody is left who cares."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def wake(self) -> None:
        """End a wait for the next message."""
        self._news.set()

    async def message(self, seconds: float) -> list[Item]:
        """The items of the next message, as soon as there are any; none after this time, or if it was woken."""
        if not self._items:
            # Not `wait_for`, which ignores being cancelled in the moment in which there is news.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        self._news.clear()
        # An item that is added from here on tells again.
        self._is_told = False
        found, size = list[Item](), 0
        while self._items and size < MESSAGE_BYTES:
            found.append(self._items.popleft())
            size += self._size(found[-1])
        if self._items:
            self._news.set()
        return found
