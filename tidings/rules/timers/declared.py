"""Timers in declarations of links: `every`, or `at` with `days`, or `cron`, each with `tz` and `missed`."""

from __future__ import annotations

import re
from typing import Any, get_args

from tidings.model.link import DAYS, Missed, Timer
from tidings.rules.reading import durations
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import Refused
from tidings.rules.timers import cron, due

KINDS = ("every", "at", "cron")
PARTS = (*KINDS, "days", "tz", "missed")
EVERY_SECONDS_MIN, EVERY_SECONDS_MAX = 1, 366 * 86_400
TIMES_MAX = 100
ZONE_CHARS_MAX = 64

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_MISSED: tuple[Missed, ...] = get_args(Missed)


def read(when: dict[str, Any], pointer: str, wrong: Places) -> Timer | None:
    """The timer of `when`, whose members are known and which has one of `KINDS`; None if something is wrong."""
    kinds = [kind for kind in KINDS if when.get(kind) is not None]
    if len(kinds) != 1:
        wrong.say(pointer, "contradiction", "`when` can have only one of `every`, `at` and `cron`.")
        return None
    before, kind = len(wrong.found), kinds[0]
    given = {name: when[name] for name in PARTS if when.get(name) is not None}
    for name, needed in (("days", ("at",)), ("tz", ("at", "cron"))):
        if name in given and kind not in needed:
            wrong.say(
                f"{pointer}/{name}",
                "contradiction",
                f"`{name}` can be used with {' or '.join(f'`{each}`' for each in needed)}, not with `{kind}`.",
            )
    found: dict[str, Any] = {}
    try:
        if kind == "every":
            found["every_seconds"] = durations.seconds(
                given[kind], f"{pointer}/every", EVERY_SECONDS_MIN, EVERY_SECONDS_MAX
            )
        elif kind == "at":
            found["at"], found["days"] = _at(given[kind], f"{pointer}/at"), _days(given.get("days"), f"{pointer}/days")
        else:
            found["cron"] = _cron(given[kind], f"{pointer}/cron")
    except Refused as refused:
        wrong.say(refused.pointer, refused.place.code, refused.detail)
    tz, missed = given.get("tz", "UTC"), given.get("missed", _MISSED[0])
    try:
        if type(tz) is not str or len(tz) > ZONE_CHARS_MAX:
            raise ValueError(f"A time zone must be a name such as Europe/Berlin, not {shown(tz)}.")
        due.zone(tz)
    except ValueError as refused:
        wrong.say(f"{pointer}/tz", "time_zone", str(refused))
    if missed not in _MISSED:
        wrong.say(f"{pointer}/missed", "not_in_enum", f"`missed` must be {' or '.join(_MISSED)}.")
    return None if len(wrong.found) > before else Timer(tz=tz, missed=missed, **found)


def plain(timer: Timer) -> dict[str, Any]:
    """The timer in its canonical form, as `read` reads it, without defaults."""
    found: dict[str, Any] = {}
    if timer.every_seconds is not None:
        found["every"] = durations.text(timer.every_seconds)
    elif timer.cron is not None:
        found["cron"] = timer.cron
    else:
        found["at"] = list(timer.at)
        if timer.days != DAYS:
            found["days"] = _days_text(timer.days)
    if timer.tz != "UTC":
        found["tz"] = timer.tz
    if timer.missed != _MISSED[0]:
        found["missed"] = timer.missed
    return found


def _at(value: Any, pointer: str) -> tuple[str, ...]:
    times = [value] if type(value) is str else value
    if type(times) is not list or not 1 <= len(times) <= TIMES_MAX:
        raise Refused(
            pointer,
            "time_of_day",
            f'`at` must be a time of day such as "09:00", or a list of up to {TIMES_MAX} such times.',
        )
    for each in times:
        if type(each) is not str or not _TIME.fullmatch(each):
            detail = (
                'A time of day must have two digits each for hours and minutes, from "00:00" to "23:59", not '
                f"{shown(each)}."
            )
            raise Refused(pointer, "time_of_day", detail)
    return tuple(sorted(set(times)))


def _days(value: Any, pointer: str) -> tuple[str, ...]:
    """Names of days and ranges of them, as a text with commas or as a list."""
    if value is None:
        return DAYS
    parts = value.replace(" ", "").split(",") if type(value) is str else value
    found: set[str] = set()
    for part in parts if type(parts) is list else [value]:
        first, _, last = part.lower().partition("-") if type(part) is str else ("", "", "")
        if first not in DAYS or (last or first) not in DAYS:
            detail = f"`days` must be {', '.join(DAYS)}, or ranges such as mon-fri, not {shown(part)}."
            raise Refused(pointer, "days", detail)
        place, end = DAYS.index(first), DAYS.index(last or first)
        found.add(DAYS[end])
        while place != end:
            found.add(DAYS[place])
            place = (place + 1) % len(DAYS)
    if not found:
        raise Refused(pointer, "days", "`days` needs at least one day.")
    return tuple(day for day in DAYS if day in found)


def _days_text(days: tuple[str, ...]) -> str:
    """The days with their ranges: `mon-fri`, `mon,wed-fri`."""
    runs: list[list[str]] = []
    for day in days:
        if runs and DAYS.index(runs[-1][-1]) + 1 == DAYS.index(day):
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _cron(value: Any, pointer: str) -> str:
    if type(value) is not str:
        raise Refused(pointer, "cron", f'`cron` must be a string such as "30 9 * * mon-fri", not {shown(value)}.')
    cron.read(value, pointer)
    return " ".join(value.split())
