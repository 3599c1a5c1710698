"""A clock that tests move by hand (`tidings.model.moment.Clock`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tidings.model.moment import SECOND, Micros


class FakeClock:
    """Begins at `start` (by default now), and is moved with `advance` and `set_by`; with `ticking`, it also runs.

    May be read and moved from any thread. Each move wakes everything that sleeps by this clock.
    """

    def __init__(self, start: Micros | None = None, *, ticking: bool = False) -> None:
        self._lock = threading.Lock()
        self._wakes: list[Callable[[], None]] = []
        self._ticking = ticking
        self._begun = time.monotonic_ns()
        self._at: Micros = time.time_ns() // 1000 if start is None else start
        self.stepped: Micros = 0
        """The total by which `set_by` has moved the clock, in microseconds."""

    def now(self) -> Micros:
        """The time of day in microseconds since the epoch."""
        with self._lock:
            passed = (time.monotonic_ns() - self._begun) // 1000 if self._ticking else 0
            return self._at + passed

    def on_jump(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each move."""
        with self._lock:
            self._wakes.append(wake)

    def advance(self, seconds: float) -> Micros:
        """Move forward by `seconds`, which may be a fraction but not negative. Returns the new time."""
        if seconds < 0:
            raise ValueError(f"the clock can only move forward, not by {seconds:g} seconds")
        with self._lock:
            self._at += round(seconds * SECOND)
            wakes = list(self._wakes)
        for wake in wakes:
            wake()
        return self.now()

    def set_by(self, seconds: float) -> Micros:
        """Set the clock forwards or backwards, as an operator or NTP would: no time passes. Returns the new time."""
        with self._lock:
            self._at += round(seconds * SECOND)
            self.stepped += round(seconds * SECOND)
            wakes = list(self._wakes)
        for wake in wakes:
            wake()
        return self.now()
