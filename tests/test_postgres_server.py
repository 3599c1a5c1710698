"""The suite's own PostgreSQL: each test gets an empty database, and what is acknowledged is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres_emptied import EmptiedDatabases
from tests.postgres_server import PostgresServer
from tidings.store.engines.migrate import migrations
from tidings.testing import TestServer


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


@pytest.fixture(scope="module")
def databases(postgres_server: PostgresServer) -> EmptiedDatabases:
    return EmptiedDatabases(postgres_server)


def contents(url: str) -> dict[str, list[Any]]:
    """Every row, by table."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {name: connection.execute(f"SELECT * FROM {name}".encode()).fetchall() for (name,) in names}


def test_a_new_database_has_the_schema_and_nothing_else(databases: EmptiedDatabases) -> None:
    with databases.one() as url:
        there = contents(url)
    assert {name for name, rows in there.items() if rows} == {"migration", "cursor", "store"}
    assert [number for number, _ in there["migration"]] == [number for number, _, _ in migrations()]


def test_what_a_test_leaves_in_a_database_is_gone_in_the_next(databases: EmptiedDatabases, tmp_path: Path) -> None:
    with databases.one() as first:
        new = contents(first)
    with databases.one() as url, psycopg.connect(url, autocommit=True) as left:
        assert url == first
        with TestServer(tmp_path, database=url) as server:
            server.api.put("/v1/collections/tasks", {"fields": {"name": {"type": "string", "filterable": True}}})
            server.api.post("/v1/items/tasks", {"name": "a"})
        left.execute("CREATE TABLE more (id int)")
        assert contents(url) != new
    with databases.one() as url:
        assert url == first and contents(url) == new
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE event ADD more int",
        "ALTER TABLE event RENAME TO events",
        "DROP TABLE event CASCADE",
        "CREATE INDEX more ON store (value)",
        "CREATE FUNCTION more() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE SCHEMA more CREATE TABLE more.more (id int)",
        "ALTER TABLE store ADD CHECK (name <> '')",
    ],
)
def test_a_database_of_another_shape_is_not_used_again(databases: EmptiedDatabases, change: str) -> None:
    with databases.one() as first, psycopg.connect(first) as connection:
        connection.execute(change.encode())
    with databases.one() as url:
        assert url != first and contents(url)["event"] == []
