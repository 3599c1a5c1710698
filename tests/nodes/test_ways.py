"""The way by which `benchmarks.nodes` stops a node: what PostgreSQL sees there, and afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from benchmarks.nodes.way import Message, Way
from tidings.testing import until

pytestmark = pytest.mark.postgres
ROWS = 2_000
COPYING = "WHERE query LIKE 'COPY said%' AND state = 'active'"


@pytest.fixture
def way(postgres_url: str) -> Iterator[Way]:
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("CREATE TABLE said (n INTEGER, word TEXT)")
    made = Way(postgres_url)
    yield made
    made.close()


def _ask(url: str, statement: str) -> Any:
    with psycopg.connect(url, autocommit=True) as db:
        return db.execute(statement.encode()).fetchall()


def _state(url: str) -> Any:
    """Of the connection that copies."""
    return _ask(url, f"SELECT state, wait_event FROM pg_stat_activity {COPYING}")


def _copy(way: Way) -> Thread:
    def copy() -> None:
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(way.url) as db,
            db.cursor() as cursor,
            cursor.copy("COPY said FROM STDIN") as rows,
        ):
            for number in range(ROWS):
                rows.write_row((number, "." * 100))

    thread = Thread(target=copy, daemon=True)
    thread.start()
    return thread


def test_a_copy_that_is_held_in_the_middle_of_a_message_continues(way: Way, postgres_url: str) -> None:
    def place(message: Message) -> int | None:
        return len(message.whole) // 2 if message.kind == b"d" and b"COPY said" in message.text else None

    hit = Event()
    way.stop_at(place, hit.set)
    thread = _copy(way)
    assert hit.wait(10)
    until(lambda: _state(postgres_url) == [("active", "ClientRead")], "the COPY waits")
    assert _ask(postgres_url, "SELECT COUNT(*) FROM said") == [(0,)]
    way.go_on()
    thread.join(10)
    assert _ask(postgres_url, "SELECT COUNT(*) FROM said") == [(ROWS,)]


def test_a_held_session_that_is_ended_breaks_for_both_sides(way: Way, postgres_url: str) -> None:
    hit = Event()
    way.stop_at(lambda message: 0 if message.kind == b"c" else None, hit.set)
    thread = _copy(way)
    assert hit.wait(10)
    until(lambda: _state(postgres_url), "the COPY waits")
    _ask(postgres_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity {COPYING}")
    way.go_on()
    thread.join(10)
    assert not thread.is_alive() and _ask(postgres_url, "SELECT COUNT(*) FROM said") == [(0,)]


def test_a_message_is_known_by_its_statement_and_by_those_before_it(way: Way, postgres_url: str) -> None:
    def place(message: Message) -> int | None:
        seen.append((message.kind, message.text, list(message.done), message.is_inside))
        return None

    seen: list[tuple[bytes, bytes, list[bytes], bool]] = []
    hit = Event()
    way.stop_at(place, hit.set)
    with psycopg.connect(way.url) as db:
        for number in range(8):
            db.execute("INSERT INTO said VALUES (%s, 'a')", [number], prepare=number > 3)
    insert = b"INSERT INTO said VALUES ($1, 'a')"
    executed = [each for each in seen if each[0] == b"E" and each[1] == insert]
    assert len(executed) == 8 and not hit.is_set()
    assert executed[-1][2] == [b"BEGIN", *[insert] * 7] and all(inside for _, _, _, inside in executed)
    assert seen[0][3] is False
    assert _ask(postgres_url, "SELECT COUNT(*) FROM said") == [(8,)]
