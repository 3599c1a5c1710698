"""Statements that nobody waits for are sent with the next one, and change nothing but the number of round trips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tidings.store.base import Db, Engine, StoreError, UniqueViolation
from tidings.store.engines.opening import open_engine


@pytest.fixture
def db(engine: Engine) -> Iterator[Db]:
    made = engine.writer()
    made.begin()
    made.execute("CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT)", {})
    made.commit()
    yield made
    made.rollback()
    made.close()


PUT = "INSERT INTO t (id, n) VALUES (:id, :n)"


def rows(db: Db) -> list[Any]:
    return db.query("SELECT id, n FROM t ORDER BY id", {})


def put(db: Db, ident: str, n: int = 0) -> None:
    db.execute_later(PUT, {"id": ident, "n": n})


def test_what_was_put_off_is_seen_by_the_next_statement_and_stored_by_the_commit(db: Db) -> None:
    db.begin()
    put(db, "a", 1)
    db.append("t", ("id", "n"), [("b", 2), ("c", None), ('d"\\%', 2**62)])
    assert rows(db) == [("a", 1), ("b", 2), ("c", None), ('d"\\%', 2**62)]
    for n in range(200):
        put(db, f"e{n:03d}", n)
    db.commit()
    assert len(rows(db)) == 204
    db.begin()
    put(db, "last")
    db.rollback()
    assert len(rows(db)) == 204


def test_a_transaction_of_what_was_put_off_alone_is_stored(db: Db) -> None:
    db.begin()
    put(db, "a")
    db.commit()
    db.begin()
    db.commit()
    assert rows(db) == [("a", 0)]


def test_what_is_refused_fails_the_whole_transaction_and_not_the_next_one(db: Db) -> None:
    for ends in (lambda: db.commit(), lambda: rows(db)):
        db.begin()
        with pytest.raises(UniqueViolation) as caught:
            put(db, "x")
            put(db, "twice")
            put(db, "twice")
            put(db, "y")
            ends()
        assert not caught.value.unknown
        db.rollback()
        db.begin()
        put(db, "fine", 7)
        db.commit()
        assert rows(db) == [("fine", 7)]
        db.begin()
        db.execute("DELETE FROM t", {})
        db.commit()


def test_a_savepoint_keeps_its_own_failures_to_itself(db: Db) -> None:
    db.begin()
    put(db, "before")
    with db.savepoint():
        put(db, "first")
    with pytest.raises(UniqueViolation), db.savepoint():
        put(db, "lost")
        put(db, "first")
    with pytest.raises(ZeroDivisionError), db.savepoint():
        put(db, "lost too")
        raise ZeroDivisionError
    with db.savepoint():
        pass
    with db.savepoint():
        assert [ident for ident, _ in rows(db)] == ["before", "first"]
        put(db, "second")
    put(db, "after")
    db.commit()
    assert [ident for ident, _ in rows(db)] == ["after", "before", "first", "second"]


def test_a_failure_before_a_savepoint_is_not_taken_for_one_inside(db: Db) -> None:
    db.begin()
    put(db, "a")
    inside = False
    with pytest.raises(StoreError):
        put(db, "a")
        with db.savepoint():
            inside = True
    db.rollback()
    assert rows(db) == []
    assert not inside or db.__class__.__name__ == "SqliteDb"


@pytest.mark.slow
@pytest.mark.postgres
def test_a_connection_that_broke_while_idle_costs_no_transaction_and_one_in_the_middle_stores_nothing(
    migrated_url: str, tmp_path: Any
) -> None:
    db = open_engine(migrated_url, tmp_path).builder()
    with psycopg.connect(migrated_url, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT)")

        def end() -> None:
            conn.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'tidings@%'"
            )

        db.begin()
        put(db, "a")
        end()
        assert rows(db) == [("a", 0)]
        db.commit()
        end()
        db.begin()
        put(db, "b")
        db.commit()
        db.begin()
        put(db, "c")
        assert len(rows(db)) == 3
        end()
        put(db, "d")
        with pytest.raises(StoreError) as caught:
            db.commit()
        assert caught.value.unknown
        db.rollback()
        db.begin()
        assert rows(db) == [("a", 0), ("b", 0)]
        db.rollback()
    db.close()


def test_what_comes_after_a_failure_in_the_same_round_trip_works_later(db: Db) -> None:
    """A statement that PostgreSQL has skipped, as one before it failed, must not be taken for prepared."""
    for n in range(12):
        db.begin()
        try:
            put(db, f"a{n}")
            if n in (1, 5):
                put(db, "a0")
            db.execute_later("UPDATE t SET n = n + 1 WHERE id = :id", {"id": "a0"})
            db.commit()
        except UniqueViolation:
            db.rollback()
    assert [row[1] for row in rows(db) if row[0] == "a0"] == [10]
