"""Time: integers of microseconds since the epoch (UTC), their text form, and the clock that tells them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

Micros = int
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND: Micros = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN, _END = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND
"""The years 1 to 9999, which is all that `datetime` and PostgreSQL have in common."""
_TWO = "[0-9]{2}"
_TEXT = re.compile(rf"[0-9]{{4}}-{_TWO}-{_TWO}[Tt ]{_TWO}:{_TWO}:{_TWO}(\.[0-9]+)?([Zz]|[+-]{_TWO}:{_TWO})")
TEXT_CHARS_MAX = 40


class Clock(Protocol):
    """Tells the time of day. Tests pass one that they move by hand."""

    def now(self) -> Micros:
        """The time of day in microseconds since the epoch."""

    def on_jump(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever the clock is moved other than by time passing."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> Micros:
        return time.time_ns() // 1000

    def on_jump(self, wake: Callable[[], None]) -> None:
        """The machine's clock does not announce jumps; sleepers look again at least every second."""


def to_text(at: Micros) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-21T01:02:03.456Z`."""
    return f"{_second(at // SECOND)}.{at % SECOND // 1000:03d}Z"


def exact_text(at: Micros) -> str:
    """As `to_text`, with microseconds where the time has some: nothing that was sent is lost."""
    below = at % SECOND
    return to_text(at) if below % 1000 == 0 else f"{_second(at // SECOND)}.{below:06d}Z"


def from_text(text: str) -> Micros:
    """Read an RFC 3339 time with a zone; digits after the sixth of a second are cut off, so it is rounded down.

    Raises ValueError if it is not one, has over TEXT_CHARS_MAX characters, or falls outside years 1-9999 in UTC.
    """
    if len(text) > TEXT_CHARS_MAX or not _TEXT.fullmatch(text):
        raise ValueError("not an RFC 3339 time such as 2026-11-21T01:02:03Z")
    moment = datetime.fromisoformat(text.upper().replace(" ", "T"))
    at = (moment - _EPOCH) // timedelta(microseconds=1)
    if not _MIN <= at < _END:
        raise ValueError("not a time of the years 1 to 9999")
    return at


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
