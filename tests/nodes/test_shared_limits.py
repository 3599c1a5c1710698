"""Call limits where several nodes work at once: never more calls than a key may make, and nearly all of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.nodes.peers import neighbour
from tests.postgres_server import PostgresServer
from tidings.model.access import CallLimit, Key, SharedLimit
from tidings.model.errors import LimitReached, Unavailable
from tidings.model.moment import SECOND
from tidings.rules.limits.reserves import Ask, Got, Reserves
from tidings.store.engines.postgres import PostgresEngine
from tidings.store.joined.reserving import Reserving
from tidings.testing import FakeClock
from tidings.web.callers.shared_limits import SharedLimits

HOUR = 3600
START = 1_800_000_000 * SECOND
"""The begin of an hour."""


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database(migrated=True) as url:
        with psycopg.connect(url) as db:
            # Four that are alive, and one that is not.
            for n, ago in enumerate((0, 1, 2, 3, 60)):
                db.execute(
                    "INSERT INTO node (id, name, version, started, seen) "
                    "SELECT %s, 'n', '1', 0, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint - %s",
                    [f"n{n}", ago * 1_000_000],
                )
        yield url


def key(ident: str, *limits: tuple[int, int], shared: tuple[SharedLimit, ...] = ()) -> Key:
    found = tuple(CallLimit(calls=calls, seconds=seconds) for calls, seconds in limits)
    return Key(id=ident, hash=ident, name="", scopes=(), limits=found, shared_limits=shared)


def run(
    url: str, count: int, play: Callable[[list[SharedLimits], list[FakeClock]], Awaitable[None]], *, stop: bool = True
) -> None:
    """Play with the limits of `count` nodes."""

    async def whole() -> None:
        clocks = [FakeClock(START) for _ in range(count)]
        reserving = [Reserving(PostgresEngine(url).builder) for _ in clocks]
        nodes = [SharedLimits(clock, each) for clock, each in zip(clocks, reserving, strict=True)]
        try:
            await play(nodes, clocks)
        finally:
            for node, each in zip(nodes, reserving, strict=True):
                if stop:
                    await node.stop()
                each.close()

    asyncio.run(whole())


async def allowed(node: SharedLimits, key: Key) -> bool:
    try:
        await node.take(key)
    except LimitReached:
        return False
    return True


def counted(url: str, ident: str) -> int:
    with psycopg.connect(url) as db:
        row = db.execute("SELECT calls FROM call_count WHERE key = %s", [ident]).fetchone()
        assert row is not None
        return int(row[0])


def window_of(db: psycopg.Connection[Any], ident: str) -> int:
    row = db.execute("SELECT window_start FROM call_count WHERE key = %s", [ident]).fetchone()
    assert row is not None
    return int(row[0])


def test_four_nodes_allow_as_many_calls_as_one_would(url: str) -> None:
    """I9, with callers at all nodes at once, however they are spread."""

    async def play(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        for name, weights in (("even", (1, 1, 1, 1)), ("uneven", (100, 10, 3, 1))):
            limited = key(name, (10_000, HOUR))
            chance = random.Random(name)

            async def caller() -> int:
                count = 0
                for node in chance.choices(nodes, weights, k=300):
                    count += await allowed(node, limited)
                return count

            made = sum(await asyncio.gather(*(caller() for _ in range(40))))
            assert 9_000 <= made <= 10_000
            assert counted(url, name) <= 10_000

    run(url, 4, play)


def test_what_a_node_does_not_use_it_gives_back(url: str) -> None:
    async def play(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        limited = key("given back", (1_000, HOUR))
        assert all([await allowed(nodes[0], limited) for _ in range(300)])
        held = counted(url, "given back") - 300
        assert held > 0, "it reserves more than it needs at the moment"
        await nodes[0]._reserving.give_back(nodes[0]._reserves.rests(clocks[0].now() + 2 * SECOND))
        assert counted(url, "given back") == 300
        assert sum([await allowed(nodes[1], limited) for _ in range(800)]) == 700

    run(url, 2, play)


def test_a_killed_node_takes_no_more_than_its_chunk_with_it(url: str) -> None:
    limited = key("killed", (10_000, HOUR))

    async def begin(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        assert all([await allowed(nodes[0], limited) for _ in range(1_000)])

    run(url, 1, begin, stop=False)
    lost = counted(url, "killed") - 1_000
    assert 0 <= lost <= 10_000 / 16

    async def rest(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        made = sum([await allowed(nodes[0], limited) for _ in range(10_000)])
        assert made == 9_000 - lost

    run(url, 1, rest)


def test_clocks_that_differ_open_no_window_twice(url: str) -> None:
    async def play(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        limited, made = key("skewed", (100, 60)), Counter[int]()
        clocks[1].advance(seconds=30)
        with psycopg.connect(url, autocommit=True) as db:
            for _ in range(24):
                for node in (*nodes, *nodes):
                    for _ in range(30):
                        is_allowed = await allowed(node, limited)
                        made[window_of(db, "skewed")] += is_allowed
                for clock in clocks:
                    clock.advance(seconds=5)
        # What was reserved in a window may be used a little later.
        assert len(made) in (3, 4)
        assert 100 * (len(made) - 1) < made.total() <= 100 * len(made)

    run(url, 2, play)


def test_all_windows_count_and_a_key_counts_in_its_makers_window(url: str) -> None:
    async def play(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        maker = key("maker", (50, HOUR))
        made = key("made", (30, 1), shared=maker.passed_on)
        taken = [await allowed(nodes[n % 2], made) for n in range(40)]
        assert sum(taken) == 30
        for clock in clocks:
            clock.advance(seconds=1)
        assert sum([await allowed(nodes[n % 2], made) for n in range(40)]) == 20
        assert sum([await allowed(nodes[n % 2], maker) for n in range(5)]) == 0

    run(url, 2, play)


def test_the_headers_promise_no_more_than_there_is(url: str) -> None:
    async def play(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        limited = key("promised", (500, HOUR))
        for made in range(1, 501):
            for clock in clocks:
                clock.advance(seconds=1)
            headers = dict(await nodes[made % 3].take(limited))
            assert headers["RateLimit-Policy"] == '"hour";q=500;w=3600'
            said = int(headers["RateLimit"].partition("r=")[2].partition(";")[0])
            assert said <= 500 - made
            assert said >= (500 - made) - 6, "a few less than there are, of what the others have just taken"
        with pytest.raises(LimitReached):
            await nodes[0].take(limited)

    run(url, 3, play)


def test_where_the_store_cannot_be_asked_nothing_is_allowed_beyond_what_was_reserved() -> None:
    async def play(nodes: list[SharedLimits], clocks: list[FakeClock]) -> None:
        with pytest.raises(Unavailable):
            await nodes[0].take(key("unknown", (5, HOUR)))

    run("postgresql://postgres@127.0.0.1:1/nothing", 1, play)


def test_a_clock_that_is_set_back_neither_opens_nor_blocks_a_window() -> None:
    reserves, limits, now = Reserves(), (CallLimit(calls=2, seconds=60),), 1_000_000 * SECOND
    [ask] = reserves.asks("k", limits, now)
    reserves.put(ask, Got(ask.start, 1, 2), now)
    assert reserves.take("k", limits, now).allowed and not reserves.take("k", limits, now).allowed
    assert not reserves.asks("k", limits, now), "it is full, and was asked a moment ago"
    before = now - HOUR * SECOND
    assert reserves.asks("k", limits, before) == [Ask("k", 60, 2, ask.start, 1)]
    assert reserves.take("k", limits, before).reset_seconds == 60


def test_two_servers_count_the_calls_of_one_key(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with (
        postgres_server.database(migrated=True) as url,
        neighbour(url, tmp_path / "a") as a,
        neighbour(url, tmp_path / "b") as b,
    ):
        made = a.api.post("/v1/keys", {"scopes": ["events:read"], "limits": [{"calls": 100, "seconds": 86_400}]})
        callers = [node.api.with_key(made["key"]) for node in (a, b)]
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda n: callers[n % 2].call("GET", "/v1/events?limit=1"), range(150)))
        assert sorted(reply.status for reply in replies) == [200] * 100 + [429] * 50
        refused = next(reply for reply in replies if reply.status == 429)
        assert refused.headers["ratelimit"].startswith('"day";r=0;') and "retry-after" in refused.headers
