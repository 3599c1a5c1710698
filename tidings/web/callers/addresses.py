"""A call limit for each address, kept before anybody is known: what asks too often costs no look-up of a key."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address

from tidings.model.errors import LimitReached
from tidings.model.moment import SECOND, Clock

WINDOW_SECONDS = 10
ADDRESSES_MAX = 100_000
"""More addresses than this in one window share one count."""


class Addresses:
    """Counts requests by address. Belongs to one event loop. `calls_max` in each window; 0: no limit."""

    def __init__(self, clock: Clock, calls_max: int) -> None:
        self._clock = clock
        self._calls_max = calls_max
        self._window = 0
        self._counts: dict[str, int] = {}

    def take(self, client: str) -> None:
        """Count one request of a peer (`address:port`). Raises LimitReached."""
        if not self._calls_max:
            return
        now = self._clock.now()
        window = now // (WINDOW_SECONDS * SECOND)
        if window > self._window:
            self._counts.clear()
            self._window = window
        address = address_of(client)
        if address not in self._counts and len(self._counts) >= ADDRESSES_MAX:
            address = ""
        count = self._counts[address] = self._counts.get(address, 0) + 1
        if count > self._calls_max:
            wait = (self._window + 1) * WINDOW_SECONDS - now / SECOND
            raise LimitReached(
                f"Each address may make {self._calls_max:,} calls in {WINDOW_SECONDS} seconds.",
                code="address_limit_reached",
                retry_after_seconds=wait,
            )


def address_of(client: str) -> str:
    """The peer without its port; of IPv6 the /64, since one caller has as many addresses as they like."""
    host = client.rpartition(":")[0].strip("[]")
    return _network(host) if ":" in host else host


@lru_cache(maxsize=4_096)
def _network(host: str) -> str:
    """The /64 of an IPv6 address, however it is written; what is IPv4 inside of one stays that."""
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))
