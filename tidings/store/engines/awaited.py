"""Reads of PostgreSQL that an event loop awaits, one statement each.

Handing a read to a thread and back costs several times the statement itself, mostly in waiting for the interpreter.
Here the statement is sent, others are served, and its rows are taken when they have arrived, so nothing blocks,
however slow or distant the database is. A job cannot pause, so it is run twice: first to see what it asks, then with
the rows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

from tidings.store.base import Db, Lost, NotSingle, Outcome, Row, StoreBusy, StoreError, no_rest
from tidings.store.engines.round_trips import GOOD, numbered
from tidings.store.engines.session import translated, with_defaults
from tidings.store.engines.statements import statements, to_driver

PREPARED_MAX = 200
"""The number of prepared statements at which a connection is replaced."""
ROWS_MAX = 200
"""If there are more rows than this, they are converted in a thread."""


class PostgresReads:
    """Connections for reading, opened as they are needed. Belongs to the event loop's thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[_Session] = []

    async def run_all(self, jobs: Sequence[Callable[[Db], Any]]) -> list[Outcome]:
        """Run jobs that read with one statement each; all statements are sent at once."""
        outcomes, asked = dict[int, Outcome](), dict[int, _Asked]()
        for index, job in enumerate(jobs):
            found = _outcome(job, _Asking())
            if isinstance(found[1], _Asked):
                asked[index] = found[1]
            else:
                outcomes[index] = found
        answers = await self._answers(list(asked.values()))
        for (index, _), answer in zip(asked.items(), answers, strict=True):
            if isinstance(answer, StoreError):
                # The job has the last word, as it does with a real connection.
                outcomes[index] = _outcome(jobs[index], _Refusing(answer))
            elif len(answer) > ROWS_MAX:
                outcomes[index] = await asyncio.to_thread(_outcome, jobs[index], _Answering(answer))
            else:
                outcomes[index] = _outcome(jobs[index], _Answering(answer))
        return [outcomes[index] for index in range(len(jobs))]

    def close(self) -> None:
        """Close the connections that are not in use; the others are closed with their loop."""
        while self._idle:
            self._idle.pop().close()

    async def _answers(self, asked: Sequence[_Asked]) -> list[list[Row] | StoreError]:
        """The rows of each statement, or why there are none."""
        if not asked:
            return []
        try:
            session = await self._session()
        except StoreError as wrong:
            return [wrong for _ in asked]
        try:
            results = await session.ask(asked)
            large = sum(result.ntuples for result in results) > ROWS_MAX
            answers = await asyncio.to_thread(session.rows, results) if large else session.rows(results)
        except StoreError as wrong:
            session.close()
            return [Lost(wrong.detail, because=wrong.because) for _ in asked]
        except BaseException:
            # Nobody waits for the rows any more, but they may still arrive.
            session.close()
            raise
        if any(isinstance(answer, StoreError) for answer in answers):
            # Its prepared statements may be about tables that have changed since.
            session.close()
        else:
            self._idle.append(session)
        return answers

    async def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        while self._idle:
            session = self._idle.pop()
            if session.is_usable(loop):
                return session
            session.close()
        return _Session(await asyncio.to_thread(_connected, self._url), loop)


class _Session:
    """One connection in pipeline mode, and its statements in progress."""

    def __init__(self, conn: psycopg.Connection[Row], loop: asyncio.AbstractEventLoop) -> None:
        self._conn, self._pgconn, self._loop = conn, conn.pgconn, loop
        self._transformer = Transformer(conn)
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._done: asyncio.Future[None] | None = None
        self._results: list[pq.abc.PGresult] = []
        self._fd = self._pgconn.socket
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        # Also while it is idle, so that a lost connection is noticed.
        loop.add_reader(self._fd, self._on_readable)

    def is_usable(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it belongs to this loop, is alive, and has not prepared too much."""
        return self._loop is loop and not self._conn.closed and len(self._prepared) < PREPARED_MAX

    async def ask(self, asked: Sequence[_Asked]) -> list[pq.abc.PGresult]:
        """The results of some statements. Raises StoreBusy if the connection broke."""
        with translated():
            prepares = [self._send(each) for each in asked]
            # One sync for all: if a statement fails, those after it are not run.
            self._pgconn.pipeline_sync()
            self._done, self._results = self._loop.create_future(), []
            if self._pgconn.flush():
                self._loop.add_writer(self._fd, self._on_writable)
            await self._done
        results = iter(self._results)
        found = []
        for is_prepared in prepares:
            result = next(results)
            if not is_prepared:
                following = next(results)
                result = following if result.status in GOOD else result
            found.append(result)
        return found

    def rows(self, results: Sequence[pq.abc.PGresult]) -> list[list[Row] | StoreError]:
        """The rows of each result, as Python values."""
        found: list[list[Row] | StoreError] = []
        for result in results:
            try:
                with translated():
                    if result.status == pq.ExecStatus.PIPELINE_ABORTED:
                        raise Lost("another statement failed")
                    if result.status not in GOOD:
                        raise error_from_result(result, "utf-8")
                    self._transformer.set_pgresult(result)
                    found.append(cast(list[Row], self._transformer.load_rows(0, result.ntuples, tuple)))
            except StoreError as wrong:
                found.append(Lost(wrong.detail, because=wrong.because) if isinstance(wrong, StoreBusy) else wrong)
        return found

    def close(self) -> None:
        """Close it, even if statements are in progress."""
        with contextlib.suppress(RuntimeError):
            # The loop may have been closed before.
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        self._conn.close()

    def _send(self, asked: _Asked) -> bool:
        """Queue one statement; returns whether it was already prepared."""
        text, names = numbered(asked.sql)
        transformer = self._transformer
        values = transformer.dump_sequence([asked.params[name] for name in names], [PyFormat.AUTO] * len(names))
        types = transformer.types or ()
        name = self._prepared.get((text, types))
        is_prepared = name is not None
        if name is None:
            name = self._prepared[text, types] = b"r%d" % len(self._prepared)
            self._pgconn.send_prepare(name, text, types)
        self._pgconn.send_query_prepared(name, values, transformer.formats)
        return is_prepared

    def _on_writable(self) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._fd)
        except psycopg.Error as wrong:
            self._break(wrong)

    def _on_readable(self) -> None:
        try:
            self._pgconn.consume_input()
            while self._done is not None and not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    # The end of one statement's results.
                    continue
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    done, self._done = self._done, None
                    if not done.done():
                        done.set_result(None)
                    return
                self._results.append(result)
        except psycopg.Error as wrong:
            self._break(wrong)

    def _break(self, wrong: psycopg.Error) -> None:
        """The connection is lost."""
        self.close()
        done, self._done = self._done, None
        if done is not None and not done.done():
            done.set_exception(wrong)


class _Asked(Exception):
    """What a job asks the database."""

    def __init__(self, sql: str, params: dict[str, Any]) -> None:
        self.sql, self.params = sql, params


class _Asking:
    """A stand-in connection: it runs nothing, and reports the statement that a job would run."""

    dialect = "postgres"
    journal = 0
    noted = 0
    shares = False
    positions = None

    def __init__(self) -> None:
        self.rest, self.stamp = no_rest, None

    def one(self, name: str, /, **params: Any) -> Row | None:
        """The first row, or None."""
        rows = self._ask(statements("postgres")[name], params)
        return rows[0] if rows else None

    def all(self, name: str, /, **params: Any) -> Sequence[Row]:
        """Every row."""
        return self._ask(statements("postgres")[name], params)

    def query(self, sql: str, params: dict[str, Any]) -> Sequence[Row]:
        """The rows of a composed SELECT."""
        return self._ask(to_driver(sql, "postgres"), params)

    def _ask(self, sql: str, params: dict[str, Any]) -> Sequence[Row]:
        raise _Asked(sql, params)


class _Answering(_Asking):
    """A stand-in connection that has the rows of the only statement."""

    def __init__(self, rows: Sequence[Row]) -> None:
        super().__init__()
        self._rows: Sequence[Row] | None = rows

    def _ask(self, sql: str, params: dict[str, Any]) -> Sequence[Row]:
        rows, self._rows = self._rows, None
        if rows is None:
            raise NotSingle("the job asks more than once")
        return rows


class _Refusing(_Asking):
    """A stand-in connection whose only statement fails."""

    def __init__(self, wrong: StoreError) -> None:
        super().__init__()
        self._wrong = wrong

    def _ask(self, sql: str, params: dict[str, Any]) -> Sequence[Row]:
        raise self._wrong


def _outcome(job: Callable[[Db], Any], db: _Asking) -> Outcome:
    try:
        return job(cast(Db, db)), None
    except Exception as wrong:
        return None, wrong


def _connected(url: str) -> psycopg.Connection[Row]:
    """A new connection. Raises StoreError."""
    with translated():
        conn = psycopg.connect(with_defaults(url), autocommit=True)
        conn.execute("SET default_transaction_read_only = on")
    return conn
