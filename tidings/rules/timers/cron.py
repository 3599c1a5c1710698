"""Cron expressions: five fields, minute, hour, day of the month, month and day of the week, with names.

As in every cron: if both the day of the month and the day of the week are given, one of them suffices. A field that
begins with `*` counts as not given.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from tidings.model.digits import is_digits
from tidings.model.link import DAYS
from tidings.rules.reading.refused import Refused

CRON_CHARS_MAX = 200
YEARS_AHEAD = 30
"""An expression that matches no day within this many years is refused."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PART = re.compile(r"(\*|[0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?(?:/([0-9]{1,3}))?")


class _Field(NamedTuple):
    what: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    # Sunday is 0 and 7.
    _Field("day of the week", 0, 7, {name: number for number, name in enumerate(DAYS, 1)}),
)


class Cron(NamedTuple):
    """One expression, read."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    is_hourly: bool
    """Whether the hour field begins with `*`: it then runs by elapsed time, even in an hour that a day has twice."""
    month_days: frozenset[int]
    months: frozenset[int]
    week_days: frozenset[int]
    """0 is Monday."""
    either: bool
    """Whether it is enough that either the day of the month or the day of the week matches."""

    def matches(self, day: date) -> bool:
        """Whether it runs on a day."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.month_days, day.weekday() in self.week_days
        return in_month or in_week if self.either else in_month and in_week


@lru_cache(maxsize=4096)
def read(text: str, pointer: str = "") -> Cron:
    """The expression. Raises Refused."""
    if len(text) > CRON_CHARS_MAX or len(parts := text.lower().split()) != len(_FIELDS):
        detail = (
            "A cron expression must have five fields: minute, hour, day of the month, month and day of the week, as in "
            "30 9 * * mon-fri."
        )
        raise Refused(pointer, "cron", detail)
    minutes, hours, month_days, months, week_days = (
        _numbers(part, field, pointer) for part, field in zip(parts, _FIELDS, strict=True)
    )
    found = Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        parts[1].startswith("*"),
        frozenset(month_days),
        frozenset(months),
        frozenset((number - 1) % 7 for number in week_days),
        not parts[2].startswith("*") and not parts[4].startswith("*"),
    )
    start = date(2000, 1, 1)
    if not any(found.matches(start + timedelta(days=number)) for number in range(366 * YEARS_AHEAD)):
        raise Refused(pointer, "cron", "No day matches this cron expression.")
    return found


def _numbers(text: str, field: _Field, pointer: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(part, field, pointer)
        first, last, step = match[1], match[2], match[3]
        if first == "*":
            low, high = field.low, field.high
        else:
            low = _number(first, part, field, pointer)
            high = _number(last, part, field, pointer) if last else field.high if step else low
            if field.what == "day of the week" and last and low > high == 0:
                high = 7
        if (first == "*" and last) or low > high or (step is not None and int(step) == 0):
            raise _wrong(part, field, pointer)
        found.update(range(low, high + 1, int(step or 1)))
    return found


def _number(text: str, part: str, field: _Field, pointer: str) -> int:
    number = int(text) if is_digits(text) else field.names.get(text)
    if number is None or not field.low <= number <= field.high:
        raise _wrong(part, field, pointer)
    return number


def _wrong(part: str, field: _Field, pointer: str) -> Refused:
    names = f" or a name such as {next(iter(field.names))}" if field.names else ""
    detail = (
        f"{part[:40]!r} is not a valid {field.what} in a cron expression. Use a number from {field.low} to {field.high}"
        f"{names}, a range (1-5), a step (*/10), a list of these, or *."
    )
    return Refused(pointer, "cron", detail)
