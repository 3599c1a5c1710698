"""The suite's own PostgreSQL: each test gets an empty database, and what is acknowledged is on disk."""

from __future__ import annotations

import psycopg

from tests.postgres_server import PostgresServer
from tidings.store.engines.migrate import migrations


def test_version_and_durability(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.info.server_version >= 180000
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == ("on",)


def test_database_is_empty(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone() == (0,)


def test_a_migrated_database_has_the_schema_and_nothing_else(postgres_server: PostgresServer) -> None:
    with postgres_server.database(migrated=True) as url, psycopg.connect(url) as connection:
        done = connection.execute("SELECT number FROM migration ORDER BY number").fetchall()
        assert [number for (number,) in done] == [number for number, _, _ in migrations()]
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (0,)
