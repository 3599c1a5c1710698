"""PostgreSQL through psycopg 3 (the only file that imports it)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString
from urllib.parse import urlsplit

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tidings.store.base import (
    Builder,
    Db,
    Held,
    Lost,
    Outdated,
    Row,
    StoreBusy,
    StoreError,
    StoreFull,
    UniqueViolation,
    no_rest,
)
from tidings.store.engines.statements import statements, to_driver
from tidings.store.watch import Watch

CONNECT_SECONDS = 5
PEN_SECONDS = 3
WRITER_LOCK = 0x7469_6469_6E67_73
"""The advisory lock that the one writer of a database holds for as long as it is connected."""


class PostgresDb:
    """One connection. Not shared between threads at the same time. Reconnects after it was lost."""

    dialect = "postgres"
    journal = 0

    def __init__(self, url: str, *, readonly: bool, beside: bool = False) -> None:
        """`beside`: it writes without the writer's lock, such as indexes."""
        self._url = url
        self._readonly = readonly
        self._beside = beside
        self._sql = statements("postgres")
        self.watched: dict[str, Watch] = {}
        self.rest = no_rest
        self._conn: psycopg.Connection[Row] | None = None
        self._inside = False
        self._outdated = False
        """Whether what was prepared on this connection may be of other tables than those after a rollback."""
        self._forgotten = 0
        self._connect()

    def one(self, name: str, /, **params: Any) -> Row | None:
        with self._cursor() as cur:
            return cur.execute(self._sql[name], params).fetchone()

    def all(self, name: str, /, **params: Any) -> list[Row]:
        with self._cursor() as cur:
            return cur.execute(self._sql[name], params).fetchall()

    def run(self, name: str, /, **params: Any) -> int:
        with self._cursor() as cur:
            return cur.execute(self._sql[name], params).rowcount

    def query(self, sql: str, params: dict[str, Any]) -> list[Row]:
        with self._cursor() as cur:
            return cur.execute(to_driver(sql, "postgres"), params).fetchall()

    def execute(self, sql: str, params: dict[str, Any]) -> int:
        with self._cursor() as cur:
            count = cur.execute(to_driver(sql, "postgres"), params).rowcount
        if sql.startswith(("ALTER ", "DROP ")):
            self._forget()
        if sql.startswith(("ALTER ", "DROP ", "CREATE TABLE ")):
            self._outdated = True
        return count

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        copy_sql = f"COPY {table} ({','.join(columns)}) FROM STDIN"
        with self._cursor() as cur, cur.copy(copy_sql) as copy:
            for row in rows:
                copy.write_row(row)

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        with self._cursor() as cur:
            cur.executemany(self._sql[name], rows)

    def execute_many(self, sql: str, rows: Sequence[dict[str, Any]]) -> None:
        with self._cursor() as cur:
            cur.executemany(to_driver(sql, "postgres"), rows)

    def begin(self, *, write: bool = True) -> None:
        self._inside = False
        sql: LiteralString = "BEGIN" if write else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        try:
            self._plain(sql)
        except Lost:
            # It broke while idle, as when PostgreSQL was restarted: nothing was under way.
            self._plain(sql)
        self._inside = True

    def commit(self) -> None:
        try:
            with self._cursor() as cur:
                cur.execute("COMMIT")
                said = cur.statusmessage
        except StoreError as wrong:
            raise type(wrong)(wrong.detail, unknown=True, because=wrong.because) from wrong
        finally:
            self._inside = False
        self._outdated = False
        if said != "COMMIT":
            raise StoreError("PostgreSQL rolled the transaction back")

    def rollback(self) -> None:
        self._inside = False
        if self._conn is not None and not self._conn.closed:
            with contextlib.suppress(StoreError, psycopg.Error):
                self._plain("ROLLBACK")
                if self._outdated:
                    self._forget()
                    self._outdated = False

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        self._plain("SAVEPOINT s")
        try:
            yield
        except BaseException:
            self._plain("ROLLBACK TO SAVEPOINT s")
            self._plain("RELEASE SAVEPOINT s")
            if self._outdated:
                self._forget()
            raise
        self._plain("RELEASE SAVEPOINT s")

    def script(self, sql: str) -> None:
        """Run several statements (migrations)."""
        self._plain(sql)

    def cancel(self) -> None:
        """Cancel the running statement, from another thread."""
        if self._conn is not None and not self._conn.closed:
            with contextlib.suppress(psycopg.Error):
                self._conn.cancel_safe(timeout=CONNECT_SECONDS)

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def _forget(self) -> None:
        """Prepare everything again: statements prepared before the column types changed fail on every use.

        The driver would do so after ALTER, DROP and ROLLBACK, but checks only texts that it has not run before.
        """
        self._forgotten += 1
        with self._cursor() as cur:
            cur.execute(b"DEALLOCATE ALL -- %d" % self._forgotten)

    def _plain(self, sql: LiteralString) -> None:
        with self._cursor() as cur:
            cur.execute(sql)

    def _connect(self) -> None:
        with _translated():
            conn = psycopg.connect(_with_defaults(self._url), autocommit=True)
        with _translated():
            if self._readonly:
                conn.execute("SET default_transaction_read_only = on")
            elif not self._beside:
                _refuse_unsafe(conn)
                _take_writer_lock(conn)
                for name, seconds in _PEN_TIMEOUTS.items():
                    conn.execute(f"SET {name} = '{seconds}s'".encode())
        self._conn = conn

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor[Row]]:
        if self._conn is None or self._conn.closed:
            if self._inside:
                # A new connection is not in this transaction: what follows would be stored alone.
                raise StoreBusy("the connection to PostgreSQL was lost in the middle of a transaction")
            self._connect()
        assert self._conn is not None
        try:
            with _translated(), self._conn.cursor() as cur:
                yield cur
        except Outdated:
            self._outdated = True
            raise
        except StoreBusy as wrong:
            if self._conn.closed:
                raise Lost(wrong.detail, because=wrong.because) from wrong
            raise


class PostgresEngine:
    """A PostgreSQL database, version 14 or later."""

    dialect = "postgres"

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.where = f"postgresql://{parts.hostname or 'local socket'}{parts.path}"

    def writer(self) -> Db:
        return PostgresDb(self._url, readonly=False)

    def reader(self) -> Db:
        return PostgresDb(self._url, readonly=True)

    def brief_reader(self) -> None:
        """None: each statement waits for an answer over a socket."""

    def builder(self) -> Builder:
        return PostgresDb(self._url, readonly=False, beside=True)

    def check_safety(self) -> None:
        # Without the writer's lock, so that it can be asked beside a running server; each writer looks again itself.
        with _translated():
            conn: psycopg.Connection[Row] = psycopg.connect(_with_defaults(self._url), autocommit=True)
            try:
                _refuse_unsafe(conn)
            finally:
                conn.close()

    def close(self) -> None:
        """Connections are closed by whoever opened them."""


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
    with _translated(), psycopg.connect(_with_defaults(url), autocommit=True) as conn:

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


_PEN_TIMEOUTS = {"idle_in_transaction_session_timeout": 60, "idle_session_timeout": 300}
"""A frozen server loses its session, and with it the writer's lock; a running one says something once a minute."""


def _with_defaults(url: str) -> str:
    """The URL with what a connection needs to notice that the other side is gone, unless it says otherwise."""
    wanted = {
        "application_name": f"tidings@{socket.gethostname()}:{os.getpid()}",
        "connect_timeout": str(CONNECT_SECONDS),
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }
    try:
        return make_conninfo("", **{**wanted, **conninfo_to_dict(url)})
    except psycopg.Error as wrong:
        raise StoreBusy("PostgreSQL cannot be reached", because=str(wrong).strip()) from wrong


_SAFE = {
    "fsync": {"on"},
    "full_page_writes": {"on"},
    "synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
}


def _refuse_unsafe(conn: psycopg.Connection[Row]) -> None:
    settings = {name: conn.execute(f"SHOW {name}".encode()).fetchone() for name in _SAFE}
    wrong = [f"{name}={row[0]}" for name, row in settings.items() if row is not None and row[0] not in _SAFE[name]]
    if wrong:
        conn.close()
        raise StoreBusy(
            f"PostgreSQL runs with {', '.join(wrong)}: acknowledged events could be lost. "
            "Set fsync=on, full_page_writes=on and synchronous_commit=on"
        )


def _take_writer_lock(conn: psycopg.Connection[Row]) -> None:
    # PostgreSQL notices only after a moment that the last writer has gone.
    patience_until = time.monotonic() + PEN_SECONDS
    while True:
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", [WRITER_LOCK]).fetchone()
        if row is not None and row[0]:
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


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as wrong:
        raise UniqueViolation("a value is taken", because=str(wrong).strip()) from wrong
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as wrong:
        raise StoreFull("PostgreSQL has run out of space", because=str(wrong).strip()) from wrong
    except psycopg.errors.LockNotAvailable as wrong:
        raise Held("a table is in use", because=str(wrong).strip()) from wrong
    except (psycopg.OperationalError, psycopg.InterfaceError) as wrong:
        raise StoreBusy("PostgreSQL cannot be reached", because=str(wrong).strip()) from wrong
    except psycopg.errors.FeatureNotSupported as wrong:
        # "cached plan must not change result type": it has no code of its own, and no other statement causes it.
        raise Outdated("PostgreSQL refused", because=str(wrong).strip()) from wrong
    except psycopg.Error as wrong:
        raise StoreError("PostgreSQL refused", because=str(wrong).strip()) from wrong
