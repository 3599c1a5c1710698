"""The relay: publishes the events in the outbox's table, in order, and deletes each once it is stored.

A relay that dies in between repeats the batch later with the same ids, which stores nothing twice. A batch is stored
as a whole or not at all; if it is refused, its events are sent one by one, and those that the server refuses for their
content are put aside with the reason, so that they do not block all later events. If anything else goes wrong
(no response, a key without the scope, an unavailable database), the rows stay where they are and are tried again.
"""

from __future__ import annotations

import logging
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from tidings.client import ApiError, Client
from tidings.client.calls import BATCH_BYTES_MAX, event_text, given
from tidings.client.exchange import ClientRequest
from tidings.outbox.database import Connect, OutboxRow, OutboxTable, connector
from tidings.outbox.statements import TABLE

EVERY_SECONDS = 0.5
ROWS_MAX = 500
PAUSE_SECONDS_MAX = 30.0
REFUSING = frozenset({400, 409, 413, 422})
"""The response statuses that are caused by the content of an event. Other statuses would affect every event alike."""

log = logging.getLogger("tidings.outbox")


class Relayed(NamedTuple):
    """How many events a relay published, and how many it put aside because the server refused them."""

    published: int
    refused: int


class Relay:
    """Publishes the events of one outbox through one client.

    `database` is its URL (`database.connector`), or a function that opens a connection; in Django,
    `lambda: django.db.connection`. `every_seconds`: how often the table is checked if nothing calls `wake`.
    """

    def __init__(
        self,
        database: str | Connect,
        client: Client,
        *,
        table: str = TABLE,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self.table = OutboxTable(connector(database) if isinstance(database, str) else database, table)
        self._client = client
        self._every = every_seconds
        self._stopping = False
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Run in a new thread until `stop`."""
        self._stopping = False
        self._thread = threading.Thread(target=self.run, name="tidings outbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch in progress, and stop."""
        self._stopping = True
        self._awake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def wake(self) -> None:
        """Check the table now. Call this after a commit, from any thread, to publish without delay."""
        self._awake.set()

    def run(self) -> None:
        """Publish until `stop`. Never raises because of the database or the server: it logs, waits and tries again."""
        failures = 0
        while True:
            # Cleared before the table is read, so that no call of `wake` or `stop` goes unnoticed.
            self._awake.clear()
            if self._ending():
                break
            try:
                while any(self.step()) and not self._ending():
                    failures = _recovered(failures)
                failures = _recovered(failures)
                wait = self._every
            except Exception as wrong:
                # The database may raise anything: the relay outlives it.
                if not failures:
                    log.warning("Events are not published, and stay in the outbox: %s", str(wrong) or repr(wrong))
                failures += 1
                wait = self._pause(wrong, failures)
                self._close()
            self._awake.wait(wait)
        self._close()

    def run_until_signal(self) -> None:
        """Run until SIGTERM or SIGINT (Ctrl-C), then finish the batch in progress. For the main thread."""
        ends = (signal.SIGTERM, signal.SIGINT)
        # The signals are awaited, not handled: a handler could interrupt this thread while it holds the event's lock.
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        self.start()
        signal.sigwait(ends)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
        self.stop()

    def drain(self) -> Relayed:
        """Publish until only refused rows are left in the table.

        Raises ClientError, and what the database's library raises.
        """
        published = refused = 0
        while any(done := self.step()):
            published += done.published
            refused += done.refused
        return Relayed(published, refused)

    def step(self) -> Relayed:
        """Publish the first rows. Raises as `drain` does."""
        published = refused = 0
        rows = self.table.first(ROWS_MAX)
        for batch in _batches(rows):
            try:
                self._publish(batch)
            except ApiError as wrong:
                if wrong.status not in REFUSING:
                    raise
                done = self._one_by_one(batch)
                published += done.published
                refused += done.refused
            else:
                self.table.delete(batch)
                published += len(batch)
        return Relayed(published, refused)

    def _publish(self, rows: Sequence[OutboxRow]) -> None:
        body = b'{"events":[' + b",".join(map(_event, rows)) + b"]}"
        # No Idempotency-Key: the events' own ids do the same, without a time limit.
        self._client.send(ClientRequest("POST", "/v1/events:batch", body=body, repeatable=True))

    def _one_by_one(self, rows: Sequence[OutboxRow]) -> Relayed:
        refused = 0
        for row in rows:
            try:
                self._publish([row])
            except ApiError as wrong:
                if wrong.status not in REFUSING:
                    raise
                log.error("The event %s (%s) is refused, and stays in the outbox: %s", row.id, row.type, wrong)
                self.table.refuse(row, str(wrong))
                refused += 1
            else:
                self.table.delete([row])
        return Relayed(len(rows) - refused, refused)

    def _ending(self) -> bool:
        return self._stopping

    def _pause(self, wrong: Exception, failures: int) -> float:
        """How long to wait after a failure: longer each time, and as long as the server asks."""
        usual = min(self._every * 2.0 ** min(failures, 10), PAUSE_SECONDS_MAX) * (0.5 + random.random() / 2)  # noqa: S311
        asked = wrong.retry_after_seconds if isinstance(wrong, ApiError) else None
        return max(usual, asked or 0.0)

    def _close(self) -> None:
        try:
            self.table.close()
        except Exception as wrong:
            log.debug("The connection to the database did not close: %s", wrong)


def _recovered(failures: int) -> int:
    if failures:
        log.info("Events are published again.")
    return 0


def _event(row: OutboxRow) -> bytes:
    fields = given(id=row.id, type=row.type, time=row.time, subject=row.subject, tenant=row.tenant)
    return event_text(fields, row.data)


def _batches(rows: Sequence[OutboxRow]) -> Iterator[list[OutboxRow]]:
    """The rows in order, in batches that a server accepts by their size."""
    batch: list[OutboxRow] = []
    size = 0
    for row in rows:
        length = len(row.data.encode()) + 500
        if batch and size + length > BATCH_BYTES_MAX:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch
