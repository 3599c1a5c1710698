"""How many streams and long polls are open: each holds a connection and some memory for as long as its caller likes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tidings.model.access import Key
from tidings.model.errors import LimitReached, Unavailable

RETRY_AFTER_SECONDS = 5.0


class OpenCalls:
    """Counts them, of each key and of all. Belongs to one event loop."""

    def __init__(self, most: int, most_per_key: int) -> None:
        self._most, self._most_per_key = most, most_per_key
        self._by_key: dict[str, int] = {}
        self.count = 0
        """How many are open now."""

    @contextmanager
    def one_more(self, key: Key) -> Iterator[None]:
        """Hold a place while a call is open. Raises LimitReached (the key has too many) or Unavailable (all have)."""
        mine = self._by_key.get(key.id, 0)
        if mine >= self._most_per_key:
            raise LimitReached(
                f"This key has {mine:,} streams and long polls open, and may have no more. Close one, or wait.",
                code="too_many_open",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        if self.count >= self._most:
            raise Unavailable(
                f"There are {self.count:,} streams and long polls open, and the server holds no more.",
                code="too_many_open",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self.count += 1
        self._by_key[key.id] = mine + 1
        try:
            yield
        finally:
            self.count -= 1
            self._by_key[key.id] -= 1
            if not self._by_key[key.id]:
                del self._by_key[key.id]
