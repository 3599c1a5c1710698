"""Runs statements on the connections that applications have: psycopg, sqlite3, SQLAlchemy and Django.

None of these libraries is imported here: a caller that has a connection has already loaded its library.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

KINDS = ("psycopg", "sqlite3", "sqlalchemy", "django")
IDLE = 0
"""The status of a session without a transaction, in psycopg and libpq."""

_PARAMETER = re.compile(r":([a-z]+)")


def kind_of(connection: Any) -> str:
    """Which of KINDS a connection, session or cursor is. Raises TypeError for anything else."""
    for cls in type(connection).__mro__:
        library = cls.__module__.partition(".")[0]
        if library in KINDS:
            return library
    raise TypeError(
        f"The outbox needs a connection from psycopg, sqlite3, SQLAlchemy or Django, not {type(connection).__name__}."
    )


def is_awaited(connection: Any) -> bool:
    """Whether statements on it run only once they are awaited. Raises TypeError as `kind_of` does."""
    return kind_of(connection) != "django" and inspect.iscoroutinefunction(getattr(connection, "execute", None))


def dialect_of(connection: Any) -> str:
    """The database's kind: `postgresql`, `sqlite`, or another one that the library knows."""
    kind = kind_of(connection)
    if kind == "sqlalchemy":
        bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
        return str(bind.dialect.name)
    if kind == "django":
        return str(connection.vendor)
    return "postgresql" if kind == "psycopg" else "sqlite"


def execute(connection: Any, sql: str, parameters: Mapping[str, Any]) -> Any:
    """Run one statement with `:named` parameters; returns what the library returns (its cursor or result)."""
    kind = kind_of(connection)
    if kind == "sqlite3":
        return connection.execute(sql, parameters)
    if kind == "sqlalchemy":
        from sqlalchemy import text

        return connection.execute(text(sql), dict(parameters))
    if kind == "django":
        cursor = connection.cursor()
        cursor.execute(_pyformat(sql), dict(parameters))
        return cursor
    return connection.execute(_pyformat(sql), parameters)


def in_transaction(connection: Any) -> bool:
    """Whether what is written now is committed together with something else, rather than at once on its own."""
    kind = kind_of(connection)
    if kind == "django":
        return bool(connection.in_atomic_block) or not connection.get_autocommit()
    if kind == "sqlite3":
        # Without a transaction, the module begins one itself before an INSERT, unless that is turned off.
        connection = getattr(connection, "connection", connection)
        # Python 3.12 has another attribute for that; the isolation level means nothing then.
        implicit = getattr(connection, "autocommit", None) is not True and connection.isolation_level is not None
        return bool(connection.in_transaction) or implicit
    if kind == "psycopg":
        connection = getattr(connection, "connection", connection)
        return not connection.autocommit or connection.info.transaction_status != IDLE
    return _level_of(connection) != "AUTOCOMMIT"


def _level_of(connection: Any) -> str:
    """The isolation level that an SQLAlchemy connection or session was given, or its engine; empty if none was."""
    bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
    bind = getattr(bind, "sync_connection", None) or bind
    options = bind.get_execution_options() if hasattr(bind, "get_execution_options") else {}
    return str(options.get("isolation_level") or getattr(bind.dialect, "_on_connect_isolation_level", None) or "")


def _pyformat(sql: str) -> str:
    return _PARAMETER.sub(r"%(\1)s", sql)
