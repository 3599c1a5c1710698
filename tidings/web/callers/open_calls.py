"""How many streams and long polls are open: each holds a connection and some memory for as long as its caller wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tidings.model.access import Key
from tidings.model.errors import LimitReached, Unavailable
from tidings.rules.share import Share

RETRY_AFTER_SECONDS = 5.0


class OpenCalls:
    """Counts open calls by key and by tenant. Belongs to one event loop."""

    def __init__(self, most: int, most_per_key: int) -> None:
        self.share = Share("streams", most)
        self._most_per_key = most_per_key
        self._by_key: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many calls are open now."""
        return self.share.used

    @contextmanager
    def one_more(self, key: Key) -> Iterator[None]:
        """Hold a place while a call is open.

        Raises LimitReached if the key, or its tenant's keys together, have too many open; Unavailable if the whole
        server has.
        """
        mine = self._by_key.get(key.id, 0)
        if mine >= self._most_per_key:
            raise LimitReached(
                f"This key already has {mine:,} streams, long polls, imports and exports open, which is the maximum. "
                "Close one, or wait.",
                code="too_many_open",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        if self.share.used >= self.share.total or not self.share.take(key.tenant):
            raise self._refusal(key)
        self._by_key[key.id] = mine + 1
        try:
            yield
        finally:
            self.share.give_back(key.tenant)
            self._by_key[key.id] -= 1
            if not self._by_key[key.id]:
                del self._by_key[key.id]

    def _refusal(self, key: Key) -> LimitReached | Unavailable:
        held = self.share.held(key.tenant)
        if not held:
            return Unavailable(
                f"{self.count:,} streams, long polls, imports and exports are open, which is the server's maximum.",
                code="too_many_open",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        whose = "The keys without a tenant" if key.tenant is None else f"The keys of {key.tenant}"
        return LimitReached(
            f"{whose} have a total of {held:,} streams, long polls, imports and exports open, which is their share "
            f"of the server's maximum of {self.share.total:,}. Close one, or wait.",
            code="too_many_open",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
