"""One round trip with PostgreSQL: several statements are sent at once, and all results are taken when they have
arrived.

psycopg's own pipeline asks the socket after each statement, which costs more than most statements, and wakes PostgreSQL
for each. So this uses libpq directly, as do the reads that an event loop awaits (`awaited.py`).
"""

from __future__ import annotations

import re
import select
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

from tidings.store.base import Row

Statement = tuple[str, Mapping[str, Any] | None]
PREPARED_FROM = 3
"""The number of times that a statement has to run to be prepared."""
PREPARED_MAX = 300
SEEN_MAX = 2_000
Key = tuple[bytes, tuple[int, ...]]
"""The text of a statement, and the types of its parameters."""
GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_PARAM = re.compile(r"%\((\w+)\)s|%%")


class Returned:
    """The result of a statement."""

    def __init__(self, result: pq.abc.PGresult, transformer: Any) -> None:
        self._result, self._transformer = result, transformer

    def all(self) -> list[Row]:
        """Its rows."""
        self._transformer.set_pgresult(self._result)
        return cast(list[Row], self._transformer.load_rows(0, self._result.ntuples, tuple))

    def one(self) -> Row | None:
        """Its first row."""
        if not self._result.ntuples:
            return None
        self._transformer.set_pgresult(self._result)
        return cast(Row, self._transformer.load_row(0, tuple))

    @property
    def count(self) -> int:
        """How many rows it changed, or returned."""
        changed = self._result.command_tuples
        return -1 if changed is None else changed

    @property
    def message(self) -> str:
        """The command that it was, as PostgreSQL reports it, such as COMMIT."""
        return (self._result.command_status or b"").decode()


class RoundTrips:
    """Sends statements on one connection, and knows which it has prepared there."""

    def __init__(self, conn: psycopg.Connection[Row]) -> None:
        self._pgconn, self._transformer = conn.pgconn, Transformer(conn)
        self._encoding = conn.info.encoding
        self._fd = conn.fileno()
        self._poll = select.poll()
        self._prepared: dict[Key, bytes] = {}
        self._seen: dict[Key, int] = {}
        self._names = 0

    def run(self, statements: Sequence[Statement]) -> Returned:
        """Run them in one round trip; returns the result of the last one. Raises psycopg's errors.

        If one fails, those after it are not run.
        """
        pgconn = self._pgconn
        # This comes first, because values that cannot be parameters are refused here.
        dumped = [self._dump(sql, params) for sql, params in statements]
        new: list[Key] = []
        try:
            pgconn.enter_pipeline_mode()
            for each in dumped:
                self._send(*each, new)
            pgconn.pipeline_sync()
            self._flush()
            last, failed = self._results()
            if pgconn.status != pq.ConnStatus.BAD:
                pgconn.exit_pipeline_mode()
        except BaseException:
            # Results may still arrive for the statements that were sent.
            pgconn.finish()
            raise
        if failed is not None:
            for key in new:
                # Perhaps it was no longer prepared.
                self._prepared.pop(key, None)
            raise error_from_result(failed, self._encoding)
        assert last is not None
        return Returned(last, self._transformer)

    def forget(self) -> None:
        """Prepare everything again. Raises psycopg's errors."""
        self._prepared.clear()
        result = self._pgconn.exec_(b"DEALLOCATE ALL")
        if result.status not in GOOD:
            raise error_from_result(result, self._encoding)

    def _dump(self, sql: str, params: Mapping[str, Any] | None) -> tuple[Key, Any, Any]:
        text, names = numbered(sql)
        given: Sequence[Any] = () if params is None else [params[name] for name in names]
        values = self._transformer.dump_sequence(given, [PyFormat.AUTO] * len(given))
        return (text, self._transformer.types or ()), values, self._transformer.formats

    def _send(self, key: Key, values: Any, formats: Any, new: list[Key]) -> None:
        pgconn = self._pgconn
        name = self._prepared.get(key)
        if name is None:
            times = self._seen.get(key, 0) + 1
            if times < PREPARED_FROM:
                if len(self._seen) >= SEEN_MAX:
                    self._seen.clear()
                self._seen[key] = times
                pgconn.send_query_params(key[0], values, key[1], formats)
                return
            if len(self._prepared) >= PREPARED_MAX:
                oldest = self._prepared.pop(next(iter(self._prepared)))
                pgconn.send_query_params(b"DEALLOCATE " + oldest, None)
            self._names += 1
            name = self._prepared[key] = b"t%d" % self._names
            new.append(key)
            pgconn.send_prepare(name, *key)
        pgconn.send_query_prepared(name, values, formats)

    def _flush(self) -> None:
        """Send everything, and take what arrives in the meantime; otherwise both sides could wait for each other."""
        while self._pgconn.flush():
            self._wait(select.POLLIN | select.POLLOUT)

    def _results(self) -> tuple[pq.abc.PGresult | None, pq.abc.PGresult | None]:
        """The last result, and the first that is an error."""
        pgconn = self._pgconn
        last = failed = None
        while True:
            while pgconn.is_busy():
                self._wait(select.POLLIN)
            result = pgconn.get_result()
            if result is None:
                # The end of one statement's results.
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return last, failed
            if result.status not in GOOD and failed is None:
                failed = result
                if pgconn.status == pq.ConnStatus.BAD:
                    return last, failed
            last = result

    def _wait(self, events: int) -> None:
        """Wait for the socket. Raises OperationalError if the connection broke."""
        self._poll.register(self._fd, events)
        found = self._poll.poll()
        if found[0][1] & ~select.POLLOUT:
            self._pgconn.consume_input()


@lru_cache(maxsize=4096)
def numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """The text with `$1` in place of `%(x)s`, and the names of the parameters in that order."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return "%" if found[1] is None else f"${names.setdefault(found[1], len(names) + 1)}"

    return _PARAM.sub(number, sql).encode(), tuple(names)
