"""The locks of joined nodes: they share the pen, one of them sends, and a server that works alone keeps them out."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from tidings.store.base import Db, Engine, StoreBusy, StoreError, Superseded, Taken
from tidings.store.engines import migrate, nodes, pen
from tidings.store.engines.opening import open_engine
from tidings.store.engines.postgres import PostgresDb
from tidings.store.seal import Sealer, keep_mark, refuse_other

Node = tuple[Engine, Db]
Join = Callable[..., Node]


@contextmanager
def joining(url: str, folder: Path) -> Iterator[Join]:
    """Opens the database as a joined node does, with the connection of its writer."""
    with ExitStack() as stack:

        def joined(wants_to_send: bool = True) -> Node:
            engine = open_engine(url, folder, joined=True, wants_to_send=wants_to_send)
            db = engine.writer()
            stack.callback(engine.close)
            stack.callback(db.close)
            return engine, db

        yield joined


@pytest.fixture
def join(migrated_url: str, tmp_path: Path) -> Iterator[Join]:
    with joining(migrated_url, tmp_path) as joined:
        yield joined


def end(url: str, db: Db) -> None:
    """The session of a connection is ended, as with a network failure."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [db.session])


def speaks(db: Db) -> bool:
    """As the writer uses its connection: a lost one is replaced when a transaction begins."""
    db.begin()
    try:
        return db.query("SELECT 1", {}) == [(1,)]
    finally:
        db.rollback()


def test_of_joined_nodes_the_first_that_wants_to_sends_and_all_write(join: Join) -> None:
    made = [join(wants_to_send=False), join(), join()]
    assert [engine.sends for engine, _ in made] == [False, True, False]
    assert all(engine.joined and db.shares and speaks(db) for engine, db in made)


def test_a_server_that_works_alone_refuses_to_start_beside_joined_ones(
    join: Join, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    join()
    monkeypatch.setattr(pen, "PEN_SECONDS", 0.1)
    with pytest.raises(Taken, match=r"in use by nodes that were started with --join .*start this one with --join too"):
        open_engine(migrated_url, tmp_path)


def test_a_joined_node_refuses_to_start_beside_a_server_that_works_alone(
    join: Join, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = open_engine(migrated_url, tmp_path)
    db = alone.writer()
    assert alone.sends and not alone.joined and not db.shares
    monkeypatch.setattr(pen, "PEN_SECONDS", 0.1)
    with pytest.raises(Taken, match=r"a server that was started without --join .*start it with --join too"):
        join()
    db.close()
    assert join()[0].sends


def test_a_sender_that_lost_its_session_remains_the_sender(join: Join, migrated_url: str) -> None:
    (first, db), (second, other) = join(), join()
    end(migrated_url, db)
    assert speaks(db) and speaks(other)
    assert first.sends and not second.sends
    third, _ = join()
    assert not third.sends, "its new session holds the lock again"


def test_a_sender_that_was_replaced_ends_and_its_successor_sends(join: Join, migrated_url: str) -> None:
    _, db = join()
    end(migrated_url, db)
    successor, _ = join()
    assert successor.sends
    with pytest.raises(Superseded, match="another node is the sender now"):
        speaks(db)
    with pytest.raises(Superseded):
        speaks(db)


def test_a_sender_ends_if_another_sent_in_the_meantime_though_that_one_is_gone(join: Join, migrated_url: str) -> None:
    _, db = join()
    end(migrated_url, db)
    _, successor = join()
    end(migrated_url, successor)
    with pytest.raises(Superseded, match="has sent from this database since this one lost its connection"):
        speaks(db)


@pytest.mark.parametrize("is_after_failover", [True, False])
def test_a_node_that_starts_waits_until_the_sender_before_a_failover_has_stopped(
    join: Join, migrated_url: str, monkeypatch: pytest.MonkeyPatch, is_after_failover: bool
) -> None:
    """That one may be cut off from the new primary, and sends until its proof ends."""
    engine, db = join()
    assert engine.node is not None
    own = nodes.Own(id=engine.node, version="1", joined=True)
    nodes.beat(db, own, db.session)
    # In real life the timeline changes, not what was stored.
    db.execute("UPDATE store SET value = value || :more WHERE name = 'writer_on'", {"more": "x" * is_after_failover})
    db.close()
    monkeypatch.setattr(pen, "PROOF_SECONDS", 1.5)
    began = time.monotonic()
    assert join()[0].sends
    assert (time.monotonic() - began > 1.0) is is_after_failover


def test_a_database_that_keeps_its_timeline_to_itself_can_be_joined(migrated_url: str, tmp_path: Path) -> None:
    """As with some who offer PostgreSQL as a service."""
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE guest LOGIN")
        try:
            admin.execute("GRANT ALL ON SCHEMA public TO guest; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
            admin.execute("REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC")
            with joining(migrated_url.replace("postgres@", "guest@"), tmp_path) as join:
                engine, db = join()
                assert engine.sends and engine.timeline() is None
                db.begin()
                engine.claim(db)
                db.commit()
        finally:
            admin.execute("DROP OWNED BY guest")
            admin.execute("DROP ROLE guest")


def test_a_node_that_takes_in_continues_after_it_lost_its_session(join: Join, migrated_url: str) -> None:
    (_, sender), (taking, db) = join(), join()
    end(migrated_url, sender)
    end(migrated_url, db)
    successor, _ = join()
    assert successor.sends
    assert speaks(db) and not taking.sends, "it does not become the sender with what it has in memory"


def test_a_lost_session_that_still_lives_is_ended(join: Join, migrated_url: str) -> None:
    """As after a network failure that the database has not noticed."""
    engine, db = join()
    before = db.session
    assert isinstance(db, PostgresDb) and db._conn is not None
    # The socket is closed on this side only after the new session has begun.
    kept, db._conn = db._conn, None
    assert speaks(db) and db.session != before and engine.sends
    kept.close()


def test_nodes_that_start_at_once_on_an_empty_database_all_open_it_and_one_sends(
    postgres_url: str, tmp_path: Path
) -> None:
    with joining(postgres_url, tmp_path) as join, ThreadPoolExecutor(5) as pool:
        made = list(pool.map(lambda _: join(), range(5)))
        assert sorted(engine.sends for engine, _ in made) == [False] * 4 + [True]
        assert len({engine.node for engine, _ in made}) == 5


def test_of_two_keys_at_two_first_starts_the_one_that_came_first_is_kept(join: Join, tmp_path: Path) -> None:
    """Each has seen a database without a key's mark before the other stored its own."""
    first, second = Sealer(b"a" * 32), Sealer(b"b" * 32)
    (_, db), (_, other) = join(), join()
    assert keep_mark(db, first) == first.mark
    assert keep_mark(other, second) == keep_mark(db, first) == first.mark
    given = base64.b64encode(b"b" * 32).decode()
    with pytest.raises(StoreError, match=f"is not the key of this database.* has the mark {first.mark}"):
        refuse_other(first.mark, second, given, tmp_path)


def test_a_change_that_older_versions_cannot_run_with_waits_until_other_nodes_have_stopped(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, db = join()
    known = migrate.migrations()
    newer = [*known, (len(known) + 1, "9999_breaks.sql", "CREATE TABLE IF NOT EXISTS fresh (a INTEGER);")]
    monkeypatch.setattr(migrate, "migrations", lambda: tuple(newer))
    with pytest.raises(StoreError, match="nodes of older versions cannot run on it: stop all other nodes first"):
        join()
    db.close()
    engine.close()
    join()


def test_an_sqlite_file_cannot_be_joined(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--join requires a PostgreSQL database"):
        open_engine("sqlite:test.db", tmp_path, joined=True)


def test_joined_nodes_refuse_a_database_that_does_not_wait_for_its_replica(migrated_url: str, join: Join) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as admin:
        row = admin.execute("SELECT current_database()").fetchone()
        assert row is not None
        admin.execute(f"ALTER DATABASE {row[0]} SET synchronous_commit = local".encode())
    with pytest.raises(StoreBusy, match="synchronous_commit=local, which does not wait for the replica"):
        join()
