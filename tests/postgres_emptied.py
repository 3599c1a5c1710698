"""Databases with the present schema that tests use one after another: to empty one takes a fraction of making one.

What a test leaves is removed: its sessions, its rows, the tables of its collections. A database that still differs from
a new one after that is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from tidings.store.engines.opening import open_engine

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer

END_SECONDS = 5
SMALL_BYTES = 32_768
"""Of a table whose rows are deleted. To truncate it gives it and each of its indexes new files, which takes longer."""

_END_OTHERS: LiteralString = """
SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES: LiteralString = """
SELECT relname, pg_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""
_SHAPE: LiteralString = """
SELECT
    (SELECT md5(string_agg(concat_ws(' ', c.oid, relname, attname, atttypid, attnotnull), ',' ORDER BY c.oid, attnum))
        FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid WHERE c.oid >= 16384),
    (SELECT count(*) FROM pg_index WHERE NOT indisvalid),
    (SELECT count(*) FROM pg_depend), (SELECT count(*) FROM pg_db_role_setting)
"""
"""Tables, indexes and their columns; half-built indexes; how many functions, constraints and more; settings."""
_DELETE = sql.SQL("DELETE FROM {}")


class EmptiedDatabases:
    """The databases of one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._free: list[_Database] = []
        self._template: str | None = None
        """The database that the others are copied from, made for the first."""
        self._rows: dict[str, str] = {}
        """The rows of a new database, as JSON by table."""

    @contextmanager
    def one(self) -> Iterator[str]:
        """The address of a database of one's own, which has the schema and nothing else in it."""
        database = self._free.pop() if self._free else self._made()
        try:
            yield database.url
        finally:
            if database.emptied(self._rows):
                self._free.append(database)
            else:
                database.close()
                self._server.drop(database.name)

    def _made(self) -> _Database:
        if self._template is None:
            self._template = self._server.create()
            url = self._server.url(self._template)
            open_engine(url, self._server.folder).close()
            with psycopg.connect(url) as connection:
                names = [name for name, filled in connection.execute(_TABLES).fetchall() if filled]
                self._rows = {name: _rows(connection, name) for name in names}
        name = self._server.create(self._template)
        return _Database(name, self._server.url(name))


class _Database:
    """One of them, and the session that empties it."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self._connection: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self._tables = {table for table, _ in self._tables_now()}
        self._shape = self._shape_now()

    def close(self) -> None:
        self._connection.close()

    def emptied(self, rows: dict[str, str]) -> bool:
        """Empty it; whether it is as good as new."""
        try:
            self._connection.execute(_END_OTHERS, [END_SECONDS * 1000])
            tables = self._tables_now()
            changed = [name for name, there in rows.items() if _rows(self._connection, name) != there]
            filled = {name: size for name, size in tables if size > 0 and name in self._tables - rows.keys()}
            steps = [
                sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(name))
                for name, _ in tables
                if name not in self._tables
            ]
            emptied = dict.fromkeys(changed, 0) | filled
            steps += [_DELETE.format(sql.Identifier(name)) for name, size in emptied.items() if size <= SMALL_BYTES]
            if truncated := [name for name, size in emptied.items() if size > SMALL_BYTES]:
                steps.append(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(sql.Identifier, truncated))))
            refill = sql.SQL("INSERT INTO {0} SELECT * FROM json_populate_recordset(NULL::{0}, {1})")
            steps += [refill.format(sql.Identifier(name), sql.Literal(rows[name])) for name in changed]
            if steps:
                self._connection.execute(sql.SQL("; ").join(steps))
            return self._shape_now() == self._shape
        except psycopg.Error:
            return False

    def _tables_now(self) -> list[tuple[str, int]]:
        """Each table, and its size; 0 if nothing was ever written to it."""
        return self._connection.execute(_TABLES, prepare=True).fetchall()

    def _shape_now(self) -> tuple[Any, ...] | None:
        return self._connection.execute(_SHAPE, prepare=True).fetchone()


def _rows(connection: psycopg.Connection[Any], table: str) -> str:
    asked = sql.SQL("SELECT json_agg(t) FROM {} AS t").format(sql.Identifier(table))
    [found] = connection.execute(asked, prepare=True).fetchall()
    return json.dumps(found[0])
