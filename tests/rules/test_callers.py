"""How often addresses may ask, however many of them one caller has."""

from __future__ import annotations

import pytest

from tidings.model.moment import SECOND
from tidings.rules.network.callers import SITE_TIMES, CallersCount, counted_as

NOW = 1_700_000_000 * SECOND
STRANGER = "[2001:db8:ffff::1]:1000"


def v6(site: int, network: int) -> str:
    return f"[2001:db8:{site:x}:{network:x}::1]:4000"


def test_an_address_is_counted_in_each_window() -> None:
    counts = CallersCount(60)
    assert [counts.take("192.0.2.1:1", 2, NOW) for _ in range(3)] == [1, 2, 3]
    assert counts.take("192.0.2.2:1", 2, NOW) == 1
    assert counts.take("192.0.2.1:1", 2, NOW + 60 * SECOND) == 1
    assert counts.rest_seconds(NOW) == 60 - NOW / SECOND % 60


@pytest.mark.slow
def test_a_site_with_many_networks_is_limited_and_strangers_are_not() -> None:
    counts = CallersCount(60, addresses_max=1_000)
    taken = sum(counts.take(v6(1, network), 5, NOW) <= 5 for network in range(20_000))
    assert taken == 5 * SITE_TIMES and len(counts) <= 5 * SITE_TIMES + 1
    assert counts.take(STRANGER, 5, NOW) == 1 and counts.take("192.0.2.1:1", 5, NOW) == 1


def test_many_sites_take_bounded_room_and_strangers_are_not_limited() -> None:
    counts = CallersCount(60, addresses_max=1_000)
    for site in range(5_000):
        counts.take(v6(site, 0), 5, NOW)
    assert len(counts) == 1_000
    assert all(counts.take(f"192.0.2.{each}:1", 5, NOW) == 1 for each in range(250))
    assert counts.take(STRANGER, 5, NOW) == 1 and counts.take(STRANGER, 5, NOW) == 2


def test_a_peer_is_counted_as_its_network_and_its_site() -> None:
    assert counted_as("[2001:db8:1:2:3:4:5:6]:443") == ("2001:db8:1:2::", "2001:db8:1::/48")
    assert counted_as("[::ffff:192.0.2.1]:443") == counted_as("192.0.2.1:443") == ("192.0.2.1",)
