"""What the migrations build is what the statements expect, the same on both engines, however old the database is."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import apsw
import psycopg
import pytest

from tidings.store.engines.migrate import migrations
from tidings.store.engines.opening import open_engine
from tidings.store.engines.statements import statements

Columns = dict[str, list[tuple[str, bool]]]
"""By table, its columns in order, and whether each may be NULL."""

IN_ONE_ROUND_TRIP = {
    "tally_add": "SQLite stores many rows faster one by one (`tally_add_one`)",
    "cursors_move": "the same, with `cursor_move`",
    "catalog_expect": "nobody else changes an SQLite database",
    "catalog_lock": "the same",
    "cursor_lock": "the same",
    "journal_join": "nobody joins an SQLite database",
    "events_number": "the same",
    "events_number_copied": "the same",
    "events_copied_make": "the same",
    "counter_free": "the same",
    "catalog_expect_collections": "the same",
    "call_count_begin": "the same",
    "call_count_reserve": "the same",
    "call_count_give_back": "the same",
    "wakes_tell": "the same",
    "wakes_look": "the same",
    "moving_hold": "the same",
    "moving_share": "the same",
    "moving_held": "the same",
    "moving_release": "the same",
}
"""Statements that PostgreSQL alone needs: each takes a journey over a network, and others write there."""


def sqlite_shape(file: Path) -> tuple[Columns, dict[str, set[str]]]:
    """Columns by table, and the names of the indexes by table."""
    with sqlite3.connect(file) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {
            table: [(row[1], not row[3]) for row in db.execute(f"PRAGMA table_info({table})")] for table in tables
        }
        indexes: dict[str, set[str]] = {table: set() for table in tables}
        for name, table in db.execute(
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ):
            indexes[table].add(name)
    return columns, indexes


def postgres_shape(url: str) -> tuple[Columns, dict[str, set[str]]]:
    """The same of a PostgreSQL database."""
    with psycopg.connect(url) as conn:
        columns: Columns = {}
        for table, column, null in conn.execute(
            "SELECT table_name, column_name, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        ):
            columns.setdefault(table, []).append((column, null == "YES"))
        indexes: dict[str, set[str]] = {table: set() for table in columns}
        for table, name in conn.execute("SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public'"):
            if not name.endswith(("_pkey", "_key")):
                indexes[table].add(name)
    return columns, indexes


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    open_engine("sqlite:a.db", tmp_path).close()
    before = list(dump(tmp_path / "a.db"))
    open_engine("sqlite:a.db", tmp_path).close()
    assert list(dump(tmp_path / "a.db")) == before


def test_the_database_says_what_the_migrations_say(tmp_path: Path) -> None:
    open_engine("sqlite:a.db", tmp_path).close()
    text = "\n".join(sql for _, _, sql in migrations())
    written = set(re.findall(r"CREATE TABLE (\w+)", text))
    columns, indexes = sqlite_shape(tmp_path / "a.db")
    assert set(columns) == written | {"migration"}
    assert {name for names in indexes.values() for name in names} == set(
        re.findall(r"CREATE (?:UNIQUE )?INDEX (\w+)", text)
    )
    with sqlite3.connect(tmp_path / "a.db") as db:
        # No column may take what it was not made for.
        loose = [row[1] for row in db.execute("PRAGMA table_list") if row[2] == "table" and not row[5]]
    assert [name for name in loose if not name.startswith("sqlite_")] == []


def test_every_migration_is_applied_once_and_in_order(tmp_path: Path) -> None:
    open_engine("sqlite:a.db", tmp_path).close()
    with sqlite3.connect(tmp_path / "a.db") as db:
        applied = db.execute("SELECT number, name FROM migration ORDER BY number").fetchall()
    assert applied == [(number, name) for number, name, _ in migrations()]
    assert [number for number, _ in applied] == list(range(1, len(applied) + 1))


@pytest.mark.slow
def test_every_statement_is_understood(tmp_path: Path) -> None:
    open_engine("sqlite:a.db", tmp_path).close()
    db = apsw.Connection(str(tmp_path / "a.db"))
    try:
        for name, sql in statements("sqlite").items():
            values = dict.fromkeys(re.findall(r"(?<!:):([a-z_]\w*)", sql))
            try:
                db.execute("EXPLAIN " + sql, values).fetchall()
            except apsw.Error as wrong:
                pytest.fail(f"{name}: {wrong}")
    finally:
        db.close()


@pytest.mark.slow
def test_both_engines_have_one_shape(tmp_path: Path, postgres_url: str) -> None:
    open_engine("sqlite:a.db", tmp_path).close()
    open_engine(postgres_url, tmp_path).close()
    columns, indexes = sqlite_shape(tmp_path / "a.db")
    other_columns, other_indexes = postgres_shape(postgres_url)
    assert columns == other_columns
    assert indexes == other_indexes


def test_both_engines_know_the_same_statements() -> None:
    assert set(statements("sqlite")) == set(statements("postgres")) - IN_ONE_ROUND_TRIP.keys()


def dump(file: Path) -> list[str]:
    """Everything that is in a database, as SQL."""
    with sqlite3.connect(file) as db:
        return list(db.iterdump())
