"""When a timer is due next.

A time of day in a zone is due once a day, whatever the zone does: one that a day has twice is due the first time, and
one that a day skips is due at the next existing moment. A cron expression whose hour is `*` runs by elapsed time
instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tidings.model.link import DAYS, Timer
from tidings.model.moment import DAY, HOUR, MINUTE, SECOND, Micros
from tidings.rules.timers import cron

COUNTED_MAX = 1_000
"""Missed times beyond this number are not counted."""

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WINDOWS: tuple[Micros, ...] = (HOUR, DAY, 8 * DAY, 32 * DAY, 366 * DAY, 9 * 366 * DAY, 31 * 366 * DAY)


def first_due(timer: Timer, now: Micros) -> Micros:
    """When a new timer is due: a duration begins at once."""
    return now if timer.every_seconds is not None else next_due(timer, now, now)


def next_due(timer: Timer, due: Micros, after: Micros) -> Micros:
    """The first time after `after`, for a timer that was last due at `due`. Durations count from there."""
    if timer.every_seconds is not None:
        step = timer.every_seconds * SECOND
        return due + step * max(1, (after - due) // step + 1)
    if timer.cron is None:
        return next(_daily(timer, after))
    return next(_hourly(timer, after) if cron.read(timer.cron).is_hourly else _daily(timer, after))


def passed(timer: Timer, due: Micros, now: Micros) -> tuple[Micros, int]:
    """The last due time up to now, and how many precede it, from `due` on (the first one not done, not after now).

    At most `COUNTED_MAX` are counted.
    """
    if timer.every_seconds is not None:
        count = (now - due) // (timer.every_seconds * SECOND)
        return due + count * timer.every_seconds * SECOND, min(count, COUNTED_MAX)
    last, count = due, 0
    while (later := next_due(timer, last, last)) <= now:
        last, count = later, count + 1
        if count == COUNTED_MAX:
            return _last(timer, last, now), count
    return last, count


def _last(timer: Timer, at_least: Micros, now: Micros) -> Micros:
    for window in _WINDOWS:
        found = next_due(timer, now, now - window)
        if found > now:
            continue
        while (later := next_due(timer, found, found)) <= now:
            found = later
        return max(found, at_least)
    return at_least


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """A zone by its name, such as Europe/Berlin. Raises ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"There is no time zone {name[:60]!r}. Zones have names such as Europe/Berlin.") from None


def _daily(timer: Timer, after: Micros) -> Iterator[Micros]:
    """The moments after another one at which times of day are due."""
    where = zone(timer.tz)
    matches, times = _times(timer)
    day = _local(after, where).date() - _DAY
    last = after
    while True:
        if matches(day):
            for at in times:
                moment = _moment(datetime.combine(day, at), where)
                if moment > last:
                    last = moment
                    yield moment
        day += _DAY


def _times(timer: Timer) -> tuple[Callable[[date], bool], list[time]]:
    """Which days match, and the times on each of them, in order."""
    if timer.cron is not None:
        expression = cron.read(timer.cron)
        return expression.matches, [time(hour, minute) for hour in expression.hours for minute in expression.minutes]
    wanted = frozenset(DAYS.index(day) for day in timer.days)

    def matches(day: date) -> bool:
        return day.weekday() in wanted

    return matches, [time.fromisoformat(each) for each in timer.at]


def _hourly(timer: Timer, after: Micros) -> Iterator[Micros]:
    """The moments after another one at which a cron expression that runs every hour is due."""
    where, expression = zone(timer.tz), cron.read(timer.cron or "")
    hours, minutes = frozenset(expression.hours), frozenset(expression.minutes)
    moment = after - after % MINUTE + MINUTE
    while True:
        local = _local(moment, where)
        if not expression.matches(local.date()):
            moment = max(_moment(datetime.combine(local.date() + _DAY, time()), where), moment + MINUTE)
            continue
        if local.minute in minutes and local.hour in hours:
            yield moment
        moment += MINUTE


def _local(moment: Micros, where: ZoneInfo) -> datetime:
    return (_EPOCH + moment * _MICROSECOND).astimezone(where)


def _moment(local: datetime, where: ZoneInfo) -> Micros:
    """The moment of a local time: the first of two, or the next existing one."""
    aware = local.replace(tzinfo=where)
    found = (aware.astimezone(UTC) - _EPOCH) // _MICROSECOND
    if _local(found, where).replace(tzinfo=None) == local:
        return found
    # It is skipped: the offset before the gap puts it after the gap. The end of the gap is in between.
    low, high = found - DAY, found
    while low < high:
        middle = (low + high) // 2
        if _local(middle, where).replace(tzinfo=None) < local:
            low = middle + 1
        else:
            high = middle
    return low
