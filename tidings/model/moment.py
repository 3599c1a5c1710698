"""Time: microseconds since the epoch (UTC) as integers, their text form, and the clock."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Protocol

Micros = int
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND: Micros = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_MIN, _END = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND
"""The start of year 1 and the end of year 9999: the range that both `datetime` and PostgreSQL support."""
_TWO = "[0-9]{2}"
_TEXT = re.compile(rf"[0-9]{{4}}-{_TWO}-{_TWO}[Tt ]{_TWO}:{_TWO}:{_TWO}(\.[0-9]+)?([Zz]|[+-]{_TWO}:{_TWO})")
TEXT_CHARS_MAX = 40


BELIEVE_AFTER: Micros = 10 * SECOND
SMALL_STEP: Micros = 1 * SECOND

_log = logging.getLogger("tidings.clock")


_steady_ns: Callable[[], int] = time.monotonic_ns
"""Returns elapsed time in nanoseconds, including the time that the machine slept, if the system measures that."""
if sys.platform == "linux":
    _steady_ns = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


class Clock(Protocol):
    """The time of day. Tests pass one that they move by hand.

    A clock that can be set has `stepped`, the total by which it was set: that is not elapsed time (see Steps).
    """

    def now(self) -> Micros:
        """The time of day in microseconds since the epoch."""

    def on_jump(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever the clock is set."""


class SystemClock:
    """The machine's clock, without its jumps.

    A machine's clock may be set, by hand or by NTP, sometimes wrongly for a moment. Elapsed time is counted by the
    steady clock, which nobody sets and which continues while the machine sleeps. The difference of the two makes the
    time of day; a new difference is believed at once if it is small, otherwise once it has lasted for BELIEVE_AFTER.
    `check` compares them.
    """

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = _steady_ns) -> None:
        """Both in nanoseconds: the time of day since the epoch, and the steady clock from any start."""
        self._wall, self._steady = wall, steady
        self._ahead = wall() - steady()
        self._doubted: tuple[int, int] | None = None
        """A new difference that is not trusted yet, and the time on the steady clock when it was first seen."""
        self._wakes: list[Callable[[], None]] = []
        self.stepped: Micros = 0

    def now(self) -> Micros:
        return (self._steady() + self._ahead) // 1000

    def on_jump(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def check(self) -> None:
        """Follow the machine's clock; call it every second. A step is logged."""
        steady = self._steady()
        ahead = self._wall() - steady
        by = ahead - self._ahead
        if abs(by) <= SMALL_STEP * 1000:
            self._ahead, self._doubted = ahead, None
            return
        if self._doubted is None or abs(ahead - self._doubted[0]) > SMALL_STEP * 1000:
            self._doubted = (ahead, steady)
            _log.warning("the machine's clock jumped by %.0f s; the change is adopted if it persists", by / 1e9)
        elif steady - self._doubted[1] >= BELIEVE_AFTER * 1000:
            self._ahead, self._doubted = ahead, None
            self.stepped += by // 1000
            _log.warning("the clock was set by %.0f s; remaining waiting times stay the same", by / 1e9)
            for wake in self._wakes:
                wake()


class Steps:
    """Tells a stage by how much the clock was set. One per stage; not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._says = hasattr(clock, "stepped")
        self._last = clock.now()
        self._stepped: Micros = getattr(clock, "stepped", 0)

    def taken(self, now: Micros) -> Micros:
        """By how much the clock was set since the last call, forwards or backwards; 0 if it was not set."""
        if self._says:
            stepped: Micros = self._clock.stepped  # type: ignore[attr-defined]
            if stepped == self._stepped:
                return 0
            by, self._stepped = stepped - self._stepped, stepped
            return by
        last, self._last = self._last, now
        # For a clock that does not say: elapsed time looks the same as a step forwards, but a step back shows.
        return now - last if now < last - SMALL_STEP else 0


SKEW: Micros = 30 * SECOND
"""How far the clocks of two servers may differ if one of them opens something with a time that the other made."""


def passing(clock: Clock) -> Micros:
    """Elapsed time, whatever the clock is set to; comparable only within one process."""
    stepped: Micros = getattr(clock, "stepped", 0)
    return clock.now() - stepped


def to_text(at: Micros) -> str:
    """RFC 3339 in UTC, exact: `2026-11-21T01:02:03.456Z`, with six digits if the time has microseconds."""
    below = at % SECOND
    if below % 1000:
        return f"{_second(at // SECOND)}.{below:06d}Z"
    return f"{_second(at // SECOND)}.{below // 1000:03d}Z"


def from_text(text: str) -> Micros:
    """Read an RFC 3339 time with a zone; digits after the sixth of a second are cut off, so it is rounded down.

    Raises ValueError if it is not one, has over TEXT_CHARS_MAX characters, or falls outside years 1-9999 in UTC.
    """
    if len(text) > TEXT_CHARS_MAX or not _TEXT.fullmatch(text):
        raise ValueError("not an RFC 3339 time such as 2026-11-21T01:02:03Z")
    moment = datetime.fromisoformat(text.upper().replace(" ", "T"))
    at = (moment - _EPOCH) // _MICROSECOND
    if not _MIN <= at < _END:
        raise ValueError("not a time in the years 1 to 9999")
    return at


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
