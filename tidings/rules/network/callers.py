"""How often each address may call: counts in fixed windows, in bounded memory, for every caller.

One IPv6 network has more addresses than can be counted, so its /64 counts as one address. Sites often have a /48,
which holds 65,536 of these, so that is counted as well. If more addresses call than are kept, the one counted first is
dropped, so nobody is refused because of others.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv6Address

from tidings.model.moment import SECOND, Micros

ADDRESSES_MAX = 10_000
SITE_TIMES = 16
"""A site (/48) may call this many times as often as a single address."""


def address_of(client: str) -> str:
    """A peer (`address:port`) without its port; of an IPv6 address only the /64, since a caller can use all of it."""
    return counted_as(client)[0]


def counted_as(client: str) -> tuple[str, ...]:
    """What a peer (`address:port`) is counted as: its address or, for IPv6, its /64 and its /48."""
    host = client.rpartition(":")[0].strip("[]")
    return _networks(host) if ":" in host else (host,)


class CallersCount:
    """Counts by address. `seconds`: the length of a window; `addresses_max`: how many are kept. Not thread-safe."""

    def __init__(self, seconds: int, addresses_max: int = ADDRESSES_MAX) -> None:
        self._length, self._most = seconds * SECOND, addresses_max
        self._window = 0
        self._counts: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses and sites are kept."""
        return len(self._counts)

    def take(self, client: str, most: int, now: Micros) -> int:
        """Count one more of a peer (`address:port`); returns how many its address has in this window.

        More than `most` is too many. If the peer's site is over its own limit, the site's count is returned, and its
        addresses take up no room.
        """
        window = now // self._length
        if window != self._window:
            self._counts.clear()
            self._window = window
        address, *site = counted_as(client)
        if site and (too_many := self._add(site[0]) - most * SITE_TIMES) > 0:
            return most + too_many
        return self._add(address)

    def rest_seconds(self, now: Micros) -> float:
        """How much longer this window lasts."""
        return (self._length - now % self._length) / SECOND

    def _add(self, name: str) -> int:
        counts = self._counts
        count = counts.get(name, 0) + 1
        if count == 1 and len(counts) >= self._most:
            counts.popitem(last=False)
        counts[name] = count
        return count


@lru_cache(maxsize=4_096)
def _networks(host: str) -> tuple[str, ...]:
    """The /64 and the /48 of an IPv6 address, however it is written; IPv4 inside IPv6 counts as IPv4."""
    try:
        address = IPv6Address(host)
    except ValueError:
        return (host,)
    if address.ipv4_mapped is not None:
        return (str(address.ipv4_mapped),)
    return str(IPv6Address(int(address) >> 64 << 64)), f"{IPv6Address(int(address) >> 80 << 80)}/48"
