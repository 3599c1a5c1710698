"""The clock was set: whatever is due in an hour is still due in an hour, here and in the store."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from tidings.model.moment import SECOND, Clock, Micros, Steps
from tidings.store.writer import Writer

log = logging.getLogger("tidings.deliver")


class DueTimes:
    """Moves the stored due times by as much as the clock was set. Belongs to the deliver thread."""

    def __init__(
        self, clock: Clock, writer: Writer, inbox: deque[Callable[[], None]], wake: Callable[[], None]
    ) -> None:
        self._steps = Steps(clock)
        self._writer, self._inbox, self._wake = writer, inbox, wake
        self._owed: Micros = 0
        self._is_storing = False

    def step(self, now: Micros) -> Micros:
        """By how much the clock was set since the last check."""
        if by := self._steps.taken(now):
            self._owed += by
        return by

    def store(self, then: Callable[[], None]) -> None:
        """Move them if necessary; `then` is called in the deliver thread once that is durable."""
        if self._is_storing or not self._owed:
            return
        by, self._owed, self._is_storing = self._owed, 0, True

        def stored(result: Any, wrong: Exception | None) -> None:
            self._inbox.append(lambda: self._stored(by, wrong, then))
            self._wake()

        # It is a single statement: whatever is written after it is already right.
        self._writer.submit(lambda db: db.run("waiting_move", by=by), stored)

    def _stored(self, by: Micros, wrong: Exception | None, then: Callable[[], None]) -> None:
        self._is_storing = False
        if wrong is not None:
            self._owed += by
            return
        log.warning("the clock was set by %.0f s; deliveries keep their remaining delays", by / SECOND)
        then()
