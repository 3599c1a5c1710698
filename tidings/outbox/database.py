"""The relay's side of the outbox's table: rows are read in order, and deleted once published, or put aside."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tidings.outbox.connections import dialect_of, execute, is_awaited, kind_of
from tidings.outbox.statements import DIALECTS, Statements

SQLITE_WAIT_SECONDS = 30.0
CONNECT_SECONDS = 10

_DRIVER = re.compile(r"^(postgresql|postgres|sqlite)\+[a-z0-9_]+:")

Connect = Callable[[], Any]
"""Opens a connection of a kind that `connections.py` supports."""


class OutboxRow(NamedTuple):
    """One event that was added but is not published yet. `data` is JSON text, and `time` is in RFC 3339 format."""

    position: int
    id: str
    type: str
    subject: str | None
    tenant: str | None
    time: str
    data: str


class RefusedRow(NamedTuple):
    """One event that the server refused, and why."""

    position: int
    id: str
    type: str
    time: str
    reason: str


class OutboxTable:
    """The outbox's table, through one connection that is opened when needed, and again after `close`.

    Every statement is committed separately. Raises what the database's library raises.
    """

    def __init__(self, connect: Connect, table: str) -> None:
        self._connect = connect
        self._statements = Statements(table)
        self._connection: Any = None
        self._dialect = ""

    def first(self, limit: int) -> list[OutboxRow]:
        """The first rows to publish, in the order in which they were added."""
        return [OutboxRow(*_values(row)) for row in self._read(self._statements.first, {"limit": limit})]

    def refused(self, limit: int) -> list[RefusedRow]:
        """The first refused rows."""
        return [RefusedRow(*_values(row)) for row in self._read(self._statements.refused, {"limit": limit})]

    def delete(self, rows: Sequence[OutboxRow]) -> None:
        """Remove rows that are published."""
        positions = json.dumps([row.position for row in rows])
        connection = self._open()
        self._write(connection, self._statements.delete(self._dialect), {"positions": positions})

    def refuse(self, row: OutboxRow, reason: str) -> None:
        """Put a row aside, so that those after it are published."""
        self._write(self._open(), self._statements.refuse, {"reason": reason, "position": row.position})

    def retry(self) -> int:
        """Let refused rows be published again; returns how many."""
        return self._write(self._open(), self._statements.retry, {})

    def drop(self, id: str) -> int:
        """Remove a refused event, which is then never published; returns how many rows it had."""
        return self._write(self._open(), self._statements.drop, {"id": id})

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> Any:
        if self._connection is None:
            connection = self._connect()
            if is_awaited(connection):
                raise TypeError("The relay needs a synchronous connection.")
            dialect = dialect_of(connection)
            if dialect not in DIALECTS:
                raise ValueError(f"The outbox works with {' and '.join(DIALECTS)}, not with {dialect}.")
            self._connection, self._dialect = connection, dialect
        return self._connection

    def _read(self, sql: str, parameters: dict[str, Any]) -> list[Any]:
        connection = self._open()
        rows: list[Any] = execute(connection, sql, parameters).fetchall()
        _commit(connection)
        return rows

    def _write(self, connection: Any, sql: str, parameters: dict[str, Any]) -> int:
        count: int = execute(connection, sql, parameters).rowcount
        _commit(connection)
        return count


def connector(url: str) -> Connect:
    """A function that opens connections to a database: `postgresql://USER@HOST/NAME`, `sqlite:///PATH`, or a file's
    path.

    SQLAlchemy's URLs with a driver, such as `postgresql+psycopg://`, work as well. Raises ValueError.
    """
    plain = _DRIVER.sub(r"\1:", url)
    if plain.startswith(("postgresql://", "postgres://")):
        return _postgres(plain)
    if plain.startswith("sqlite:///"):
        return lambda: _sqlite(plain.removeprefix("sqlite:///"))
    if "://" in plain or not plain:
        raise ValueError(
            "The outbox's database must be a URL such as postgresql://USER@HOST/NAME, or the path of an SQLite file."
        )
    return lambda: _sqlite(plain)


def _postgres(url: str) -> Connect:
    from tidings.rules.network import database_url
    from tidings.store.engines.opening import NO_DRIVER

    try:
        import psycopg
    except ImportError as wrong:
        raise ValueError(f"{NO_DRIVER}.") from wrong
    database_url.check(url)
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        # libpq's message quotes the part that it does not understand, which may be part of the password.
        raise ValueError(database_url.WRONG) from None
    name = "tidings outbox"
    return lambda: psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name=name)


def _sqlite(path: str) -> Any:
    import sqlite3

    # A relay waits for the application's file, and does not create it: an empty file would hide a misspelled path.
    uri = f"file:{_escaped(path)}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=SQLITE_WAIT_SECONDS, isolation_level=None)


def _escaped(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def _values(row: Any) -> Iterable[Any]:
    """A row's values: connections of the application's own making may return dictionaries."""
    return row.values() if isinstance(row, Mapping) else row


def _commit(connection: Any) -> None:
    # Connections of the application's own making may not be in autocommit mode. Django's are, unless a project says so.
    if kind_of(connection) != "django" or not (connection.get_autocommit() or connection.in_atomic_block):
        connection.commit()
