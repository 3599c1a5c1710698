"""Spans on their way to the collector: a queue with a limit, and the thread that empties it.

If the collector is slow or unavailable, spans stay in the queue until it takes them; those that do not fit are dropped
and counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from tidings.net.collector import NotSent
from tidings.rules.tracing.configured import Batching
from tidings.tracing.records import Report


class SpanQueue:
    """The queue and its thread. `add` is called from another one."""

    def __init__(
        self,
        export: Callable[[Sequence[bytes]], NotSent | None],
        tell: Callable[[Report], None],
        how: Batching,
    ) -> None:
        """`export`: sends spans; returns why it failed, or None. `tell`: called after it, and if the queue is full."""
        self._export, self._tell, self._how = export, tell, how
        self._queue: deque[bytes] = deque()
        self._awake, self._ended = threading.Event(), threading.Event()
        self._sent = self._failed = self._dropped = 0
        self._is_full = False
        self._wrong: NotSent | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sending", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def add(self, spans: Sequence[bytes]) -> None:
        """Have spans sent, as far as there is room for them."""
        with self._lock:
            room = max(0, self._how.queue_max - len(self._queue))
            self._queue.extend(spans[:room])
            self._dropped += max(0, len(spans) - room)
            was_full, self._is_full = self._is_full, len(spans) >= room
            if self._is_full and not was_full:
                self._report()
        if len(self._queue) >= self._how.batch_max:
            self._awake.set()

    def stop(self, seconds: float) -> None:
        """Send what is there, unless the collector is unavailable or it takes longer than this."""
        self._ended.set()
        self._awake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        batch_max = self._how.batch_max
        while not self._ended.is_set():
            is_crowded = self._awake.wait(self._how.delay_seconds)
            self._awake.clear()
            while self._queue and not self._ended.is_set() and (not is_crowded or len(self._queue) >= batch_max):
                self._send()
                if self._is_away:
                    self._ended.wait(self._how.delay_seconds)
        while self._queue and self._wrong is None:
            self._send()

    @property
    def _is_away(self) -> bool:
        return self._wrong is not None and not self._wrong.is_final

    def _send(self) -> None:
        queue = self._queue
        # The other thread only adds to its end, and not while this is copied.
        with self._lock:
            batch = list(islice(queue, self._how.batch_max))
        try:
            wrong = self._export(batch)
        except Exception as mistake:
            # A bug must not end the thread.
            wrong = NotSent(f"{type(mistake).__name__}: {mistake}", is_final=True)
        with self._lock:
            self._wrong = wrong
            if not self._is_away:
                self._sent += 0 if wrong else len(batch)
                self._failed += len(batch) if wrong else 0
                for _ in batch:
                    queue.popleft()
                self._is_full = len(queue) >= self._how.queue_max
            self._report()

    def _report(self) -> None:
        wrong = None if self._wrong is None else self._wrong.why
        self._tell(Report(self._sent, self._failed, self._dropped, len(self._queue), self._is_full, wrong))
