"""Write jobs of actions that store their own attempts. While the store accepts no writes, they wait here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tidings.model.errors import Unavailable
from tidings.store.base import Db
from tidings.store.jobs import Heavy
from tidings.store.writer import Writer

AGAIN_SECONDS = 1.0

Job = Callable[[Db, bool], Any]
"""A write job. Its second argument is True if an earlier run may have been committed although no result arrived."""
Done = Callable[[Any, Exception | None], None]


class Jobs:
    """Hands write jobs to the writer, and their results to the deliver thread. Belongs to the deliver thread."""

    def __init__(self, writer: Writer, inbox: Callable[[Callable[[], None]], None]) -> None:
        """`inbox`: has something called in the deliver thread; may be called from any thread."""
        self._writer, self._inbox = writer, inbox
        self._resting: deque[Callable[[], None]] = deque()
        self._rests_until = 0.0

    def submit(self, job: Job, done: Done, *, heavy: bool = False, again: bool = False) -> None:
        """Run a job, repeatedly until the store accepts it; `done` gets its result, or what it raised.

        `heavy`: it may take long.
        """

        def reply(result: Any, wrong: Exception | None) -> None:
            if isinstance(wrong, Unavailable):
                self._inbox(lambda: self._rest(lambda: self.submit(job, done, heavy=heavy, again=True)))
            else:
                self._inbox(lambda: done(result, wrong))

        def run(db: Db) -> Any:
            return job(db, again)

        self._writer.submit(Heavy(run, None) if heavy else run, reply)

    def retry(self) -> None:
        """Try again what the store refused a while ago."""
        if self._resting and time.monotonic() >= self._rests_until:
            resting, self._resting = self._resting, deque()
            for again in resting:
                again()

    def _rest(self, again: Callable[[], None]) -> None:
        self._rests_until = time.monotonic() + AGAIN_SECONDS
        self._resting.append(again)
