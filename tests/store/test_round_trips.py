"""One round trip for several statements on PostgreSQL: in order, all or up to the first failure, however large."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tidings.store.engines import round_trips
from tidings.store.engines.round_trips import RoundTrips

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture
def conn(migrated_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(migrated_url, autocommit=True) as made:
        made.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)")
        yield made


PUT = "INSERT INTO t (id, name) VALUES (%(id)s, %(name)s)"
COUNT = "SELECT COUNT(*), '100%%' FROM t"


def test_results_are_those_of_the_last_statement(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    sends = RoundTrips(conn)
    for start in range(0, 40, 10):
        found = sends.run([*((PUT, {"id": start + n, "name": None if n % 2 else "x"}) for n in range(10)), (COUNT, {})])
        assert found.one() == (start + 10, "100%")
        assert found.all() == [(start + 10, "100%")]
    assert sends.run([("UPDATE t SET name = 'y' WHERE id < %(id)s", {"id": 7})]).count == 7
    assert sends.run([("SELECT 1 FROM t WHERE id = %(id)s", {"id": -1})]).one() is None
    assert sends.run([("BEGIN", None), ("COMMIT", None)]).message == "COMMIT"


def test_the_first_failure_is_raised_and_nothing_behind_it_runs(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    sends = RoundTrips(conn)
    for n in range(10, 15):
        with pytest.raises(psycopg.errors.UniqueViolation):
            sends.run([("BEGIN", None), (PUT, {"id": n, "name": "a"}), (PUT, {"id": n, "name": "b"}), ("COMMIT", None)])
        sends.run([("ROLLBACK", None)])
        assert sends.run([(COUNT, {})]).one() == (0, "100%")
    with pytest.raises(psycopg.DataError):
        sends.run([(PUT, {"id": 1, "name": "a"}), (PUT, {"id": 2, "name": "\0"})])
    assert sends.run([(COUNT, {})]).one() == (0, "100%"), "what cannot be written as a parameter is refused first"


def test_more_than_both_sockets_hold_does_not_stop_it(conn: psycopg.Connection[tuple[object, ...]]) -> None:
    echo = ("SELECT %(text)s || '.'", {"text": "x" * 1_000_000})
    found = RoundTrips(conn).run([echo] * 20).one()
    assert found is not None
    assert len(str(found[0])) == 1_000_001


def test_only_so_many_statements_stay_prepared(
    conn: psycopg.Connection[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_trips, "PREPARED_MAX", 5)
    sends = RoundTrips(conn)
    for _ in range(4):
        for n in range(12):
            assert sends.run([(f"SELECT {n} + %(n)s", {"n": 1})]).one() == (n + 1,)
    prepared = sends.run([("SELECT COUNT(*) FROM pg_prepared_statements", None)]).one()
    assert prepared == (5,)
    conn.execute("ALTER TABLE t ADD COLUMN more TEXT")
    sends.forget()
    assert sends.run([("SELECT COUNT(*) FROM pg_prepared_statements WHERE name LIKE 't%%'", {})]).one() == (0,)


def test_a_session_that_ends_meanwhile_is_an_error_and_the_connection_is_closed(
    conn: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    sends = RoundTrips(conn)
    with pytest.raises(psycopg.OperationalError):
        sends.run([("SELECT pg_terminate_backend(pg_backend_pid())", None), ("SELECT 1", None)])
    with pytest.raises(psycopg.OperationalError):
        sends.run([("SELECT 1", None)])
    assert conn.closed
