"""Reads of one statement on PostgreSQL: awaited by the event loop, in groups, and as safe as those in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from tidings.model.errors import NotFound, Unavailable
from tidings.store.base import Db
from tidings.store.engines.opening import open_engine
from tidings.store.readers import Readers

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture
def conn(migrated_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(migrated_url, autocommit=True) as made:
        made.execute("CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT, price NUMERIC)")
        made.execute("INSERT INTO t SELECT 'i' || n, n, n / 10.0 FROM generate_series(0, 999) AS n")
        yield made


@pytest.fixture
def readers(migrated_url: str, conn: psycopg.Connection[Any], tmp_path: Any) -> Iterator[Readers]:
    made = Readers(open_engine(migrated_url, tmp_path))
    yield made
    made.close()


def backends(conn: psycopg.Connection[Any], which: LiteralString = "") -> list[int]:
    """The sessions of the server's readers."""
    named = "datname = current_database() AND application_name LIKE 'tidings@%'"
    return [pid for (pid,) in conn.execute(f"SELECT pid FROM pg_stat_activity WHERE {named} {which}")]


def one(ident: str) -> Any:
    def job(db: Db) -> Any:
        rows = db.query("SELECT id, n FROM t WHERE id = :id AND n > :least", {"id": ident, "least": -1})
        if not rows:
            raise NotFound(f"There is no {ident}.")
        return rows[0]

    return job


def sleeping(seconds: float) -> Any:
    return lambda db: db.query("SELECT CAST(pg_sleep(:seconds) AS TEXT)", {"seconds": seconds})


def test_reads_at_the_same_time_each_get_their_own_rows_over_few_connections(
    readers: Readers, conn: psycopg.Connection[Any]
) -> None:
    async def run() -> None:
        for _ in range(3):
            jobs = [readers.brief(one(f"i{n}"), f"tenant{n % 2}", single=True) for n in range(500)]
            assert await asyncio.gather(*jobs) == [(f"i{n}", n) for n in range(500)]
        missing = await asyncio.gather(readers.brief(one("none"), None, single=True), return_exceptions=True)
        assert isinstance(missing[0], NotFound)
        assert readers.share.used == 0

    asyncio.run(run())
    assert 1 <= len(backends(conn)) <= 5


def test_what_was_committed_before_a_read_began_is_seen(readers: Readers, conn: psycopg.Connection[Any]) -> None:
    async def run() -> None:
        for n in range(50):
            conn.execute("INSERT INTO t VALUES (%s, %s)", [f"new{n}", n])
            assert await readers.brief(one(f"new{n}"), None, single=True) == (f"new{n}", n)

    asyncio.run(run())


def test_a_refused_statement_fails_alone(readers: Readers) -> None:
    def wrong(db: Db) -> Any:
        return db.query("SELECT nothing FROM t WHERE id = :id", {"id": "x"})

    async def run() -> None:
        for _ in range(3):
            jobs = [wrong if n % 7 == 3 else one(f"i{n}") for n in range(30)]
            found = await asyncio.gather(
                *(readers.brief(job, None, single=True) for job in jobs), return_exceptions=True
            )
            for n, outcome in enumerate(found):
                assert isinstance(outcome, Unavailable) if n % 7 == 3 else outcome == (f"i{n}", n)

    asyncio.run(run())


def test_a_job_that_asks_twice_is_run_by_a_thread_at_one_moment(readers: Readers) -> None:
    def twice(db: Db) -> Any:
        moment = "SELECT CAST(pg_current_snapshot() AS TEXT), pg_sleep(0.01)"
        return [db.query(moment, {})[0][0] for _ in range(2)]

    async def run() -> None:
        first, second = await readers.brief(twice, None, single=True)
        assert first == second

    asyncio.run(run())


def test_a_table_that_was_altered_is_read_as_it_is_now(readers: Readers, conn: psycopg.Connection[Any]) -> None:
    def job(db: Db) -> Any:
        return db.query("SELECT * FROM t WHERE id = :id", {"id": "i7"})

    async def run() -> None:
        assert len((await readers.brief(job, None, single=True))[0]) == 3
        conn.execute("ALTER TABLE t ADD COLUMN more TEXT DEFAULT 'x'")
        assert (await readers.brief(job, None, single=True))[0][3] == "x"
        conn.execute("ALTER TABLE t ALTER COLUMN n TYPE TEXT")
        assert (await readers.brief(job, None, single=True))[0][1] == "7"

    asyncio.run(run())


def test_broken_connections_are_replaced_without_a_refusal(readers: Readers, conn: psycopg.Connection[Any]) -> None:
    async def run() -> None:
        for _ in range(3):
            jobs = [readers.brief(one(f"i{n}"), None, single=True) for n in range(100)]
            assert len(await asyncio.gather(*jobs)) == 100
            for pid in backends(conn):
                conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        # While one is under way, too.
        reading = asyncio.ensure_future(readers.brief(sleeping(0.5), None, single=True))
        while not (found := backends(conn, "AND state = 'active' AND query LIKE '%pg_sleep%'")):
            await asyncio.sleep(0.01)
        for pid in found:
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert len(await reading) == 1

    asyncio.run(run())


def test_a_slow_read_keeps_neither_others_waiting_nor_its_own_tenant(readers: Readers) -> None:
    async def run() -> None:
        await readers.brief(one("i1"), "quiet", single=True)
        slow = [asyncio.ensure_future(readers.brief(sleeping(20), "busy", single=True)) for _ in range(2)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(readers.brief(one("i2"), "quiet", single=True), 10) == ("i2", 2)
        assert await asyncio.wait_for(readers.brief(one("i3"), "busy", single=True), 10) == ("i3", 3)
        assert not any(each.done() for each in slow)
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    asyncio.run(run())


def test_many_rows_and_all_types_are_what_a_thread_reads(readers: Readers) -> None:
    def job(db: Db) -> Any:
        sql = "SELECT id, n, price, CAST(NULL AS TEXT), n > 5, '100%' FROM t WHERE n < :most ORDER BY n"
        return db.query(sql, {"most": 900})

    async def run() -> None:
        assert await readers.brief(job, None, single=True) == await readers.call(job)

    asyncio.run(run())


def test_an_event_loop_that_has_ended_leaves_the_next_one_no_connection_of_its_own(readers: Readers) -> None:
    for n in range(3):
        assert asyncio.run(readers.brief(one(f"i{n}"), None, single=True)) == (f"i{n}", n)


def test_statements_without_number_do_not_fill_the_server(readers: Readers, conn: psycopg.Connection[Any]) -> None:
    def numbered(n: int) -> Any:
        return lambda db: db.query(f"SELECT {n} FROM t WHERE id = :id", {"id": "i1"})

    async def run() -> None:
        began = time.monotonic()
        for n in range(450):
            assert await readers.brief(numbered(n), None, single=True) == [(n,)]
        assert time.monotonic() - began < 60

    asyncio.run(run())
    assert len(backends(conn)) <= 5
