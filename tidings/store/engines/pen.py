"""The pen: the lock that lets one server write to a PostgreSQL database, and what is to be known before it is taken."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, LiteralString

import msgspec
import psycopg

from tidings.store.base import Row, StoreBusy
from tidings.store.engines.session import translated, with_defaults

PEN_SECONDS = 3
WRITER_LOCK = 0x7469_6469_6E67_73
"""The advisory lock that the one writer of a database holds for as long as it is connected."""

TIMEOUTS = {"idle_in_transaction_session_timeout": 60, "idle_session_timeout": 300}
"""A frozen server loses its session, and with it the writer's lock; a running one says something once a minute."""
_SAFE = {
    "fsync": {"on"},
    "full_page_writes": {"on"},
    "synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
}


def refuse_unsafe(conn: psycopg.Connection[Row]) -> None:
    """Close the connection and raise StoreBusy if the database could lose what it has acknowledged."""
    settings = {name: conn.execute(f"SHOW {name}".encode()).fetchone() for name in _SAFE}
    wrong = [f"{name}={row[0]}" for name, row in settings.items() if row is not None and row[0] not in _SAFE[name]]
    if wrong:
        conn.close()
        raise StoreBusy(
            f"PostgreSQL runs with {', '.join(wrong)}: acknowledged events could be lost. "
            "Set fsync=on, full_page_writes=on and synchronous_commit=on"
        )


def take(conn: psycopg.Connection[Row]) -> None:
    """Make this connection the writer's. Closes it and raises StoreBusy if another server keeps the pen."""
    # PostgreSQL notices only after a moment that the last writer has gone.
    patience_until = time.monotonic() + PEN_SECONDS
    while True:
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", [WRITER_LOCK]).fetchone()
        if row is not None and row[0]:
            for name, seconds in TIMEOUTS.items():
                conn.execute(f"SET {name} = '{seconds}s'".encode())
            return
        if time.monotonic() > patience_until:
            break
        time.sleep(0.02)
    holder = _writer(conn)
    conn.close()
    who, end = (
        (f" ({holder[1]})", f"pg_terminate_backend({holder[0]})") if holder else ("", "pg_terminate_backend(...)")
    )
    raise StoreBusy(
        f"another Tidings server is writing to this database{who}; stop it first, or wait until it has stopped. "
        f"If it is frozen or its machine is gone, its session ends in 5 minutes, or at once with: SELECT {end}"
    )


_HOLDER = """
SELECT a.pid, a.application_name, COALESCE(host(a.client_addr), 'a local socket'), a.backend_start, a.state_change
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) = %s
"""


def _writer(conn: psycopg.Connection[Row]) -> tuple[int, str] | None:
    """Who holds the writer's lock: the session's number, and in words from where, since when, and when last heard."""
    row = conn.execute(_HOLDER, [WRITER_LOCK]).fetchone()
    if row is None:
        return None
    pid, name, host, since, heard = row
    said = f"session {pid} of {name or 'an unnamed program'} from {host}, since {_moment(since)}"
    return pid, f"{said}, last heard {_moment(heard)}" if heard is not None else said


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup needs to know about a database."""

    version: str
    bytes: int
    schema: int | None
    """The last migration; None: nothing of Tidings is in it."""
    secret_mark: str | None
    archives: bool
    """Whether it archives its WAL, so that it can be restored to any moment."""
    writer: str | None
    """The server that writes to it, as `pg_stat_activity` has it; None if there is none."""


def describe(url: str) -> Described:
    """Inspect a database without the writer's lock. Raises StoreError."""
    with translated(), psycopg.connect(with_defaults(url), autocommit=True) as conn:

        def one(sql: LiteralString) -> Any:
            row = conn.execute(sql).fetchone()
            return None if row is None else row[0]

        there = one("SELECT to_regclass('migration')") is not None
        schema = one("SELECT MAX(number) FROM migration") if there else None
        mark = None
        if one("SELECT to_regclass('store')") is not None:
            mark = one("SELECT value FROM store WHERE name = 'secret_mark'")
        return Described(
            version=str(one("SHOW server_version")).partition(" ")[0],
            bytes=one("SELECT pg_database_size(current_database())"),
            schema=schema,
            secret_mark=mark,
            archives=one("SHOW archive_mode") != "off",
            writer=None if (found := _writer(conn)) is None else found[1],
        )
