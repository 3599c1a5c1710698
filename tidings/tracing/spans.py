"""Records of spans on their way out of the server: a list, and the thread that passes it to the exporter's process.

Adding a record only appends it. The thread passes on what is there, all at once, about twenty times a second. If the
exporter has no room, because the collector is slow or unavailable, spans are dropped and counted: nothing waits for
it, and nothing grows. If it exits, it is restarted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Sequence

from tidings.model.moment import Clock
from tidings.tracing.process import Exporter
from tidings.tracing.records import STOP_SECONDS, Record, Report, encode, plain

COLLECT_SECONDS = 0.04
"""How long records are collected before they are passed on, because each time costs a switch of threads."""
RESTART_SECONDS = 5.0
"""The minimum time between two starts of the exporter."""
LAST_SECONDS = 0.5
"""How long an exporter that has closed its connection may take to end."""
NOTE_SECONDS = 60.0
"""The minimum time between two log messages about lost spans."""

log = logging.getLogger("tidings.tracing")


class Spans:
    """The list and its thread. `has_room`, `add`, `add_all` and `drop` may be used from any thread."""

    def __init__(
        self,
        begin: Callable[[], Exporter],
        queue_max: int,
        clock: Clock,
    ) -> None:
        """`begin`: starts an exporter. Raises OSError. `queue_max`: how many records may wait here."""
        self._begin, self._queue_max, self._clock = begin, queue_max, clock
        self._records: list[bytes] = []
        self._is_idle = self._is_full = False
        self.has_room = True
        """Whether there is room for another span. If not, the span need not be recorded, and is dropped."""
        self._ended = threading.Event()
        self._exporter: Exporter | None = None
        self._began = -RESTART_SECONDS
        self._noted: dict[str, float] = {}
        self._was_failing = False
        self.counts = {"sent": 0, "failed": 0, "dropped": 0}
        """The number of spans that arrived, that the collector refused for good, and for which there was no room."""
        self._counted = Report()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        """Begin to pass on."""
        self._thread.start()

    def add(self, record: Record) -> None:
        """Have a span sent for which there was room a moment ago."""
        records = self._records
        try:
            records.append(encode(record))
        except UnicodeEncodeError:
            records.append(encode(plain(record)))
        if self._is_idle:
            self._wake()
        elif len(records) >= self._queue_max:
            self.has_room = False

    def add_all(self, records: Sequence[Record]) -> None:
        """The same for several, as far as there is room."""
        room = max(0, self._queue_max - len(self._records)) if self.has_room else 0
        if len(records) > room:
            self.counts["dropped"] += len(records) - room
            records = records[:room]
            self.has_room = False
        try:
            self._records += list(map(encode, records))
        except UnicodeEncodeError:
            self._records += [encode(plain(record)) for record in records]
        if self._is_idle and records:
            self._wake()

    def drop(self) -> None:
        """Count a span for which there is no room."""
        self.counts["dropped"] += 1

    def stop(self) -> None:
        """Send what is there, as far as that takes STOP_SECONDS at most."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        for each in (self._wake_read, self._wake_write):
            os.close(each)

    def _wake(self) -> None:
        self._is_idle = False
        os.write(self._wake_write, b"w")

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._turn()
            except OSError:
                self._lose()
            except Exception:
                # A bug must not end the thread.
                log.exception("traces cannot be passed on")
                self._lose()
            self._rest()
        try:
            self._finish(time.monotonic() + STOP_SECONDS)
        except OSError:
            self._lose()

    def _rest(self) -> None:
        """Wait until there is something to pass on or to read; then a moment longer, so that more gathers."""
        self._is_idle = True
        if not self._records and not self._ended.is_set():
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            if self._exporter is not None:
                poll.register(self._exporter, select.POLLIN)
            poll.poll(None if self._exporter is not None else RESTART_SECONDS * 1000)
        self._is_idle = False
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        if self._records:
            self._ended.wait(COLLECT_SECONDS)

    def _turn(self) -> None:
        """Hear what the exporter says, and pass on what there is. Raises OSError if it has ended."""
        exporter = self._exporter or self._start_exporter()
        if exporter is None:
            return
        if exporter.hear():
            self._count(exporter.report)
            self._note(exporter.report)
        if exporter.takes() and self._records:
            # Others only add to the end of the list in the meantime.
            records = self._records[:]
            del self._records[: len(records)]
            exporter.give(self._clock.now(), time.perf_counter(), records)
            self.has_room = not self._is_full

    def _finish(self, until: float) -> None:
        """Pass on the rest, and have it sent. Raises OSError if the exporter has ended."""
        if self._exporter is None:
            return
        while (not self._exporter.takes() or self._records) and time.monotonic() < until:
            self._turn()
            time.sleep(0.001)
        self._exporter.end(max(0.0, until - time.monotonic()))
        self._count(self._exporter.report)

    def _start_exporter(self) -> Exporter | None:
        if time.monotonic() - self._began < RESTART_SECONDS:
            return None
        self._began = time.monotonic()
        try:
            self._exporter = self._begin()
        except OSError as wrong:
            self._warn("start", "the process that sends traces cannot be started: %s", wrong)
        return self._exporter

    def _lose(self) -> None:
        """The exporter has ended, and what it had is lost."""
        exporter, self._exporter = self._exporter, None
        if exporter is None:
            return
        status, said = exporter.end(LAST_SECONDS), exporter.report
        self._count(said)
        lost = exporter.given - said.sent - said.failed - said.dropped
        self.counts["failed"] += lost
        self._counted, self._is_full = Report(), False
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        self._warn("end", "the process that sends traces has ended %s; it is started again. Spans lost: %d", how, lost)

    def _count(self, said: Report) -> None:
        before, self._counted = self._counted, said
        self.counts["sent"] += said.sent - before.sent
        self.counts["failed"] += said.failed - before.failed
        self.counts["dropped"] += said.dropped - before.dropped
        self._is_full = said.is_full
        self.has_room = not said.is_full and len(self._records) < self._queue_max

    def _note(self, said: Report) -> None:
        if said.wrong is not None:
            self._warn(
                "send",
                "traces cannot be sent (%s). Check that the collector runs, and OTEL_EXPORTER_OTLP_ENDPOINT and "
                "OTEL_EXPORTER_OTLP_HEADERS. Spans that wait: %d; lost since the start: %d",
                said.wrong,
                said.waiting + len(self._records),
                self.counts["dropped"] + self.counts["failed"],
            )
        elif self._was_failing:
            log.info("traces are sent again")
        elif dropped := self.counts["dropped"]:
            self._warn("full", "more spans than can be sent: %d were dropped since the start; sample fewer", dropped)
        self._was_failing = said.wrong is not None

    def _warn(self, about: str, text: str, *values: object) -> None:
        """Log a warning, at most once per NOTE_SECONDS for each subject."""
        now = time.monotonic()
        if now - self._noted.get(about, -NOTE_SECONDS) >= NOTE_SECONDS:
            self._noted[about] = now
            log.warning(text, *values)
