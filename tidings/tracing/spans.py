"""Spans that were recorded, on their way to the collector: a queue with a limit, and the thread that empties it.

Spans are encoded where they end (`otlp.py`); adding one only appends it. If the collector is slow or away, spans stay
in the queue until it takes them; what does not fit is dropped and counted: nothing waits for it, and nothing grows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from tidings.net.collector import NotSent
from tidings.rules.tracing.configured import Batching

RESTS_PER_BATCH = 4.0
"""How long the thread rests after a batch, as a multiple of the processor time that took: it uses a fifth at most."""
STOP_SECONDS = 2.0
NOTE_SECONDS = 60.0
"""How often the log says that spans are lost."""

log = logging.getLogger("tidings.tracing")


class Spans:
    """The queue and its thread. `add` may be called from any thread."""

    def __init__(
        self, export: Callable[[list[bytes]], NotSent | None], close: Callable[[], None], how: Batching
    ) -> None:
        """`export`: sends spans; returns why it failed, or None. `close`: ends what it has open."""
        self._export, self._close, self._how = export, close, how
        self._queue: deque[bytes] = deque()
        self._awake = threading.Event()
        self._ended = threading.Event()
        self._noted = -NOTE_SECONDS
        self._is_failing = self._is_away = False
        self.counts = {"sent": 0, "failed": 0, "dropped": 0}
        """Spans that arrived, that the collector refused for good, and that found the queue full."""
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def has_room(self) -> bool:
        """Whether a span would be sent; if not, it counts as dropped, and need not be made."""
        if len(self._queue) < self._how.queue_max:
            return True
        self.counts["dropped"] += 1
        return False

    def add(self, span: bytes) -> None:
        """Have a span sent, for which there was room just now."""
        queue = self._queue
        queue.append(span)
        if len(queue) >= self._how.batch_max and not self._awake.is_set():
            self._awake.set()

    def stop(self) -> None:
        """Send what is there, as far as that takes STOP_SECONDS at most."""
        self._ended.set()
        self._awake.set()
        self._thread.join(STOP_SECONDS)
        self._close()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._awake.wait(self._how.delay_seconds)
            self._awake.clear()
            while self._queue and not self._ended.is_set():
                began = time.thread_time()
                self._send()
                rest = RESTS_PER_BATCH * (time.thread_time() - began)
                self._ended.wait(max(rest, self._how.delay_seconds) if self._is_away else rest)
        while self._queue and not self._is_failing:
            self._send()

    def _send(self) -> None:
        queue = self._queue
        batch = [queue[n] for n in range(min(len(queue), self._how.batch_max))]
        try:
            wrong = self._export(batch)
        except Exception as mistake:
            # A mistake of ours must not end the thread.
            wrong = NotSent(f"{type(mistake).__name__}: {mistake}", is_final=True)
        self._is_away = wrong is not None and not wrong.is_final
        if not self._is_away:
            self.counts["sent" if wrong is None else "failed"] += len(batch)
            for _ in batch:
                queue.popleft()
        if wrong is None and self._is_failing:
            log.info("traces are sent again")
        self._is_failing = wrong is not None
        self._note(wrong)

    def _note(self, wrong: NotSent | None) -> None:
        now, dropped = time.monotonic(), self.counts["dropped"]
        if now - self._noted < NOTE_SECONDS or (wrong is None and not dropped):
            return
        self._noted = now
        if wrong is not None:
            log.warning(
                "traces cannot be sent (%s). Check that the collector runs, and OTEL_EXPORTER_OTLP_ENDPOINT and "
                "OTEL_EXPORTER_OTLP_HEADERS. Spans that wait: %d; lost since the start: %d",
                wrong.why,
                len(self._queue),
                dropped + self.counts["failed"],
            )
        else:
            log.warning("more spans than can be sent: %d were dropped since the start; sample fewer", dropped)
