"""When a delivery is retried: the schedule, its jitter, and what the endpoint asked for in `Retry-After`."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Sequence

from tidings.model.digits import is_digits
from tidings.model.moment import SECOND, Micros
from tidings.rules.reading.refused import Refused

DELAYS_SECONDS: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""The delays before attempts 1, 2, 3 ...: none, then 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""

POLL_DELAYS_SECONDS: tuple[float, ...] = (0, 5, 10, 20, 40, 80, 160, 320, 640, 1280, *((1800,) * 38))
"""The same for links that poll: 5 s, doubling to 30 min, for a day. Runs due in the meantime become one."""

CHANCE_SHARE = 0.2
RETRY_AFTER_SECONDS_MAX = 3600.0
DELAYS_MAX = 20
DELAY_SECONDS_MAX = 7 * 86400

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_TIME = r"(?P<h>[0-9][0-9]):(?P<m>[0-9][0-9]):(?P<s>[0-9][0-9])"
# The three forms of RFC 9110, section 5.6.7.
_DATES = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_DAYS}, (?P<day>[0-9][0-9]) (?P<month>[A-Z][a-z]{{2}}) (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{2,5}}day, (?P<day>[0-9][0-9])-(?P<month>[A-Z][a-z]{{2}})-(?P<year>[0-9][0-9]) {_TIME} GMT",
        rf"{_DAYS} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def next_due(
    now: Micros,
    n: int,
    delays: Sequence[float] = DELAYS_SECONDS,
    chance: float = 0.5,
    retry_after: float | None = None,
) -> Micros | None:
    """When the next attempt is due after `n` attempts; None if none is left.

    Each delay is spread by +-20 % (`chance` from 0 to 1). `retry_after`, in seconds, can make it later, by up to an
    hour.
    """
    if n >= len(delays):
        return None
    delay = delays[n] * (1 - CHANCE_SHARE + 2 * CHANCE_SHARE * chance)
    if retry_after is not None:
        delay = max(delay, min(retry_after, RETRY_AFTER_SECONDS_MAX))
    return now + round(delay * SECOND)


def parse_retry_after(value: str, now: Micros) -> float | None:
    """The seconds that a `Retry-After` header asks for (a number, or an HTTP date); None if it is neither."""
    value = value.strip()
    if len(value) <= 10 and is_digits(value):
        return float(value)
    for form in _DATES:
        match = form.fullmatch(value)
        if match:
            at = _seconds(match)
            return None if at is None else max(0.0, at - now / SECOND)
    return None


def check_delays(delays: object, pointer: str = "") -> tuple[float, ...]:
    """An endpoint's own schedule, checked: 1 to 20 delays of 0 s to 7 days. Raises Refused."""
    if not isinstance(delays, list | tuple) or not 1 <= len(delays) <= DELAYS_MAX:
        raise Refused(
            pointer, "retry_delays", f"A retry schedule must be a list of 1 to {DELAYS_MAX} delays in seconds."
        )
    for index, delay in enumerate(delays):
        right = isinstance(delay, int | float) and not isinstance(delay, bool)
        if not right or not 0 <= delay <= DELAY_SECONDS_MAX or not math.isfinite(delay):
            detail = f"A retry delay must be a number of seconds from 0 to {DELAY_SECONDS_MAX} (7 days)."
            raise Refused(f"{pointer}/{index}", "retry_delays", detail)
    return tuple(delays)


def _seconds(match: re.Match[str]) -> int | None:
    year, day = int(match["year"]), int(match["day"])
    if match["month"] not in _MONTHS or not 1 <= day <= 31:
        return None
    hour, minute, second = int(match["h"]), int(match["m"]), int(match["s"])
    if hour > 23 or minute > 59 or second > 60:
        return None
    if len(match["year"]) == 2:
        # RFC 9110 reads a year more than 50 years ahead as one of the past; 70 splits the years that can occur.
        year += 1900 if year >= 70 else 2000
    if year < 1970:
        return 0
    month = _MONTHS.index(match["month"]) + 1
    if day > calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))
