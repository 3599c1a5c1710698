"""A call limit per address, applied before the caller is identified: calling too often costs no look-up of a key."""

from __future__ import annotations

from tidings.model.errors import LimitReached
from tidings.model.moment import Clock
from tidings.rules.network.callers import CallersCount

WINDOW_SECONDS = 10
ADDRESSES_MAX = 100_000


class Addresses:
    """Counts requests by address. Belongs to one event loop. `calls_max` in each window; 0: no limit."""

    def __init__(self, clock: Clock, calls_max: int) -> None:
        self._clock = clock
        self._calls_max = calls_max
        self._counts = CallersCount(WINDOW_SECONDS, ADDRESSES_MAX)

    def take(self, client: str) -> None:
        """Count one request of a peer (`address:port`). Raises LimitReached."""
        if not self._calls_max:
            return
        now = self._clock.now()
        if self._counts.take(client, self._calls_max, now) > self._calls_max:
            raise LimitReached(
                f"Each address may make {self._calls_max:,} calls in {WINDOW_SECONDS} seconds.",
                code="address_limit_reached",
                retry_after_seconds=self._counts.rest_seconds(now),
            )
