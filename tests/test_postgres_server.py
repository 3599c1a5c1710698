"""The suite's own PostgreSQL: each test gets an empty database, and what is acknowledged is on disk."""

from __future__ import annotations

import psycopg


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
