"""PostgreSQL through psycopg 3: one connection, and the engine that opens them.

Each round trip waits for PostgreSQL, and then for the interpreter. So statements whose result nobody needs are put off
and sent with the next one.
"""

from __future__ import annotations

import contextlib
import secrets
import select
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, LiteralString

import msgspec
import psycopg

from tidings.store.base import (
    NO_HOOKS,
    Builder,
    Db,
    Lost,
    Outdated,
    Positions,
    Row,
    StoreBusy,
    StoreError,
)
from tidings.store.engines import pen
from tidings.store.engines.awaited import PostgresReads
from tidings.store.engines.nodes import OPENING
from tidings.store.engines.round_trips import Returned, RoundTrips, Statement
from tidings.store.engines.session import (
    CONNECT_SECONDS,
    ends_session,
    has_several_hosts,
    place,
    translated,
    with_defaults,
)
from tidings.store.engines.statements import statements, to_driver
from tidings.store.watch import Watch

PUT_OFF_MAX = 64
MANY_MAX = 500
"""The maximum number of statements that are sent in one round trip."""
APPENDED_ROWS_MAX, APPENDED_CHARS_MAX = 256, 256 * 1024
"""If there are more rows or characters than this, they are sent with COPY, which takes another round trip, but less
time per row."""
_json = msgspec.json.Encoder().encode


class PostgresDb:
    """One connection. Not to be used by two threads at once. Reconnects after it was lost."""

    dialect = "postgres"
    journal = 0
    noted = 0
    positions: Positions | None = None

    def __init__(self, url: str, *, readonly: bool = False, holder: pen.Holder | None = None) -> None:
        """`holder`: who holds the pen with this connection; None if it writes without the pen, for example indexes."""
        self._url = url
        self._readonly = readonly
        self._holder = holder
        self.shares = holder is not None and holder.joined
        self._pen_session: pen.Session | None = None
        """The session that holds the pen, or was the last to hold it."""
        self._sql = statements("postgres")
        self.watched: dict[str, Watch] = {}
        self.rest, self.stamp = NO_HOOKS
        self._conn: psycopg.Connection[Row] | None = None
        self._inside = False
        self._outdated = False
        """Whether statements prepared on this connection may no longer fit the tables, because of a rollback."""
        self._later: list[Statement] = []
        """Statements of this transaction whose results nobody waits for. They are sent together with the next one."""
        self._unbegun = False
        """Whether nothing of this transaction has been sent yet, not even its BEGIN."""
        self._connect()

    def one(self, name: str, /, **params: Any) -> Row | None:
        with translated():
            return self._executed(self._sql[name], params).one()

    def all(self, name: str, /, **params: Any) -> list[Row]:
        with translated():
            return self._executed(self._sql[name], params).all()

    def run(self, name: str, /, **params: Any) -> int:
        return self._executed(self._sql[name], params).count

    def query(self, sql: str, params: dict[str, Any]) -> list[Row]:
        with translated():
            return self._executed(to_driver(sql, "postgres"), params).all()

    def execute(self, sql: str, params: dict[str, Any]) -> int:
        count = self._executed(to_driver(sql, "postgres"), params).count
        if sql.startswith(("ALTER ", "DROP ")):
            self._forget()
        if sql.startswith(("ALTER ", "DROP ", "CREATE TABLE ")):
            self._outdated = True
        return count

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self._flush()
        copy_sql = f"COPY {table} ({','.join(columns)}) FROM STDIN"
        with self._session() as conn, conn.cursor() as cur, cur.copy(copy_sql) as copy:
            for row in rows:
                copy.write_row(row)

    def append(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        if not self._inside or len(rows) > APPENDED_ROWS_MAX:
            self.insert(table, columns, rows)
            return
        text = _json([dict(zip(columns, row, strict=True)) for row in rows]).decode()
        if len(text) > APPENDED_CHARS_MAX:
            self.insert(table, columns, rows)
            return
        names = ",".join(columns)
        row = f"json_populate_recordset(NULL::{table}, %(rows)s::json)"
        sql = f"INSERT INTO {table} ({names}) SELECT {names} FROM {row}"  # noqa: S608 -- our own names
        self._put_off(sql, {"rows": text})

    def run_later(self, name: str, /, **params: Any) -> None:
        self._put_off(self._sql[name], params)

    def execute_later(self, sql: str, params: dict[str, Any]) -> None:
        self._put_off(to_driver(sql, "postgres"), params)

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        self._many(self._sql[name], rows)

    def execute_many(self, sql: str, rows: Sequence[dict[str, Any]]) -> None:
        self._many(to_driver(sql, "postgres"), rows)

    def _many(self, sql: str, rows: Sequence[dict[str, Any]]) -> None:
        for first in range(0, len(rows), MANY_MAX):
            *before, last = rows[first : first + MANY_MAX]
            self._later += [(sql, row) for row in before]
            self._executed(sql, last)

    def begin(self, *, write: bool = True) -> None:
        # It is sent with the first statement.
        self._later = [("BEGIN" if write else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", None)]
        self._inside = self._unbegun = True
        self.noted = 0

    def commit(self) -> None:
        if self._unbegun and len(self._later) == 1:
            self._end()
            return
        alone = not self._later
        try:
            said = self._executed("COMMIT").message
        except StoreError as wrong:
            if not alone and not isinstance(wrong, StoreBusy):
                # PostgreSQL refused a statement that was put off, and ran none after it.
                raise
            raise type(wrong)(wrong.detail, unknown=True, because=wrong.because) from wrong
        finally:
            self._end()
        self._outdated = False
        if said != "COMMIT":
            raise StoreError("PostgreSQL rolled the transaction back")

    def rollback(self) -> None:
        unbegun = self._unbegun
        self._end()
        if not unbegun and self._conn is not None and not self._conn.closed:
            with contextlib.suppress(StoreError, psycopg.Error):
                self._plain("ROLLBACK")
                if self._outdated:
                    self._forget()
                    self._outdated = False

    def _end(self) -> None:
        self._inside = self._unbegun = False
        self._later = []

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        # Statements that were put off before must not fail inside.
        self._plain("SAVEPOINT s")
        noted = self.noted
        mark = None if self.positions is None else self.positions.mark()
        try:
            yield
            if self._later:
                # Statements that were put off fail inside, or not at all.
                self._plain("RELEASE SAVEPOINT s")
            else:
                self._put_off("RELEASE SAVEPOINT s", None)
        except BaseException:
            self._later, self.noted = [], noted
            self._later = []
            if self.positions is not None and mark is not None:
                self.positions.back(mark)
            self._plain("ROLLBACK TO SAVEPOINT s")
            self._plain("RELEASE SAVEPOINT s")
            if self._outdated:
                self._forget()
            raise

    def script(self, sql: str) -> None:
        """Run several statements (migrations)."""
        self._flush()
        with self._session() as conn:
            conn.execute(sql.encode())

    def cancel(self) -> None:
        """Cancel the running statement, from another thread."""
        if self._conn is not None and not self._conn.closed:
            with contextlib.suppress(psycopg.Error):
                self._conn.cancel_safe(timeout=CONNECT_SECONDS)

    @property
    def session(self) -> int | None:
        """The session's number in the database; None while there is none."""
        conn = self._conn
        return None if conn is None or conn.closed else conn.info.backend_pid

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    @contextlib.contextmanager
    def opening(self) -> Iterator[bool]:
        """Among joined nodes that start, hold the right to change the schema; gives whether others work there."""
        with self._session() as conn:
            pen.wait_to_open(conn)
            others = pen.has_others(conn)
        try:
            yield others
        finally:
            with contextlib.suppress(StoreError):
                self.query("SELECT pg_advisory_unlock(:lock)", {"lock": OPENING})

    def _forget(self) -> None:
        """Prepare everything again: statements prepared before the column types changed fail on every use."""
        with self._session():
            self._trips.forget()

    def _plain(self, sql: LiteralString) -> None:
        self._executed(sql)

    def _executed(self, sql: LiteralString | str, params: Mapping[str, Any] | None = None) -> Returned:
        """Run a statement. What was put off is sent with it, in one round trip."""
        later, self._later = self._later, []
        if self._unbegun and self._conn is not None and _has_ended(self._conn):
            # It broke while idle, as when PostgreSQL was restarted.
            self._conn.close()
        try:
            return self._sent(later, sql, params)
        except Lost:
            if not self._unbegun or sql == "COMMIT":
                # Its COMMIT was sent, so the transaction may be stored.
                raise
            # The same, but unnoticed: nothing of this transaction had been sent.
            return self._sent(later, sql, params)
        finally:
            self._unbegun = False

    def _sent(self, later: Sequence[Statement], sql: str, params: Mapping[str, Any] | None) -> Returned:
        with self._session():
            return self._trips.run([*later, (sql, params)])

    def _put_off(self, sql: str, params: Mapping[str, Any] | None) -> None:
        if not self._inside:
            self._executed(sql, params)
            return
        if len(self._later) >= PUT_OFF_MAX:
            self._flush()
        self._later.append((sql, params))

    def _flush(self) -> None:
        """Send what was put off."""
        if self._later:
            self._executed(*self._later.pop())

    def _connect(self) -> None:
        with translated():
            conn = psycopg.connect(with_defaults(self._url), autocommit=True)
        try:
            with translated():
                if self._readonly:
                    conn.execute("SET default_transaction_read_only = on")
                elif self._holder is not None:
                    pen.refuse_unsafe(conn, several_hosts=has_several_hosts(self._url), joined=self._holder.joined)
                    pen.begin(conn, self._url, self._holder)
                    self._pen_session = pen.take(conn, self._holder, self._pen_session)
        except BaseException:
            conn.close()
            raise
        self._conn, self._trips = conn, RoundTrips(conn)

    @contextlib.contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Row]]:
        """The connection, opened again if it was lost."""
        if self._conn is None or self._conn.closed:
            if self._inside and not self._unbegun:
                # A new connection is not in this transaction: the following statements would be stored on their own.
                raise StoreBusy("the connection to PostgreSQL was lost in the middle of a transaction")
            self._connect()
        assert self._conn is not None
        try:
            with translated():
                yield self._conn
        except Outdated:
            self._outdated = True
            raise
        except StoreBusy as wrong:
            if self._conn.closed or ends_session(wrong.__cause__):
                # Its last message may arrive before the connection ends.
                self._conn.close()
                raise Lost(wrong.detail, because=wrong.because) from wrong
            raise


def _has_ended(conn: psycopg.Connection[Row]) -> bool:
    """Whether an idle connection has ended: PostgreSQL sends nothing else unasked."""
    return not conn.closed and bool(select.select([conn.fileno()], [], [], 0)[0])


class PostgresEngine:
    """A PostgreSQL database, version 14 or later."""

    dialect = "postgres"

    def __init__(self, url: str, *, joined: bool = False, wants_to_send: bool = True) -> None:
        self._url = url
        self.joined = joined
        self._holder = pen.Holder(secrets.token_hex(8), joined=joined, wants_to_send=wants_to_send)
        self._opened: PostgresDb | None = None
        self.where = place(url)

    @property
    def node(self) -> str:
        """The id of this node, made at each start."""
        return self._holder.node

    @property
    def sends(self) -> bool:
        return not self.joined or self._holder.sends is True

    @property
    def wants_to_send(self) -> bool:
        return self._holder.wants_to_send

    @wants_to_send.setter
    def wants_to_send(self, wants: bool) -> None:
        self._holder.wants_to_send = wants

    def writer(self) -> PostgresDb:
        opened, self._opened = self._opened, None
        return opened or PostgresDb(self._url, holder=self._holder)

    def keep(self, db: Any) -> None:
        self._opened = db

    def timeline(self) -> str | None:
        return self._holder.timeline

    def claim(self, db: Db) -> None:
        if not self.sends:
            return
        pen.claim(db, self._holder)

    def note_reached(self, event: int) -> None:
        """This event is known to be stored, on every replica that commits wait for."""
        self._holder.reached = max(self._holder.reached, event)

    def reader(self) -> Db:
        return PostgresDb(self._url, readonly=True)

    def brief_reader(self) -> None:
        """None: each statement waits for a response over a socket."""

    def awaited_reads(self) -> PostgresReads:
        return PostgresReads(self._url)

    def builder(self) -> Builder:
        return PostgresDb(self._url)

    def check_safety(self) -> None:
        # Without the pen, so that it can be asked next to a running server; a writer asks all of this itself.
        with translated():
            conn: psycopg.Connection[Row] = psycopg.connect(with_defaults(self._url), autocommit=True)
            try:
                pen.refuse_unsafe(conn, several_hosts=has_several_hosts(self._url), joined=self.joined)
                pen.refuse_wrong_clock(conn)
                pen.refuse_pooler(conn, self._url)
            finally:
                conn.close()

    def close(self) -> None:
        """Other connections are closed by the code that opened them."""
        if self._opened is not None:
            self._opened.close()
