"""How far a poll has read: the cursor, and the value from which it asks next time (`since`).

A cursor taken from records never moves past the moment of the request, so that a record with a time in the future, or
one that was being written, is read again. Reading a record again costs nothing, because the mirror knows it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from tidings.model.link import CursorRule
from tidings.model.moment import SECOND, Micros, to_text
from tidings.rules.mirror.records import found_at
from tidings.rules.templates.numbers import EXACT, exactly

BEGINNING = "1970-01-01T00:00:00.000Z"
OVERLAP_SECONDS = 120

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_MILLIS_FROM = 100_000_000_000
_NUMBERS = (int, float, msgspec.Raw)
"""The types of a response's numbers. `Raw` fits neither into 64 bits nor into a double (rules/templates/numbers.py)."""


def since(rule: CursorRule | None, stored: Any) -> Any:
    """The value from which to ask; None if the request needs none. `stored`: the cursor, if there is one."""
    if rule is None:
        return None
    if rule.kind in ("body", "header"):
        return stored if stored is not None else None if rule.since == "now" else rule.since
    if stored is None or (rule.kind == "record" and not _is_usable(stored)):
        # With `from: now`, the first run fills the mirror.
        return BEGINNING if rule.since in (None, "now") else rule.since
    overlap = rule.overlap_seconds
    if type(stored) in _NUMBERS:
        return _back(stored, overlap or 0)
    at = moment_of(stored)
    return stored if at is None else to_text(max(0, at - (OVERLAP_SECONDS if overlap is None else overlap) * SECOND))


def advanced(rule: CursorRule, stored: Any, records: list[Any], begun: Micros) -> Any:
    """The cursor after these records were seen, if records have it. `begun`: when the run's first request was sent."""
    if not _is_usable(stored):
        # The link had a different kind of cursor before it was edited.
        stored = None
    for each in records:
        values = [value for value in found_at(each, rule.path) if _is_usable(value)]
        for value in values:
            if stored is None or _is_later(value, stored):
                stored = value
    at = moment_of(stored)
    return to_text(begun) if at is not None and at > begun else stored


def told(rule: CursorRule, stored: Any, body: Any, headers: dict[str, str], begun: Micros) -> Any:
    """The cursor after a whole run, if it comes from the response or the clock."""
    if rule.kind == "clock":
        return to_text(begun)
    if rule.kind == "header":
        return headers.get(rule.path[0].lower(), stored)
    found = [value for value in found_at(body, rule.path) if value not in (None, "")]
    return _plain(found[0]) if found else stored


def moved(rule: CursorRule, stored: Any, by: Micros) -> Any:
    """The cursor after our clock was set by `by`; it moves only if it is a moment of that clock."""
    at = moment_of(stored) if rule.kind == "clock" else None
    return stored if at is None else to_text(max(0, at + by))


def moment_of(value: Any) -> Micros | None:
    """The moment that a text names; without a zone it is in UTC. None if it names none."""
    if type(value) is not str or len(value) > 40 or not value[:1].isdecimal() or "-" not in value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _is_later(a: Any, b: Any) -> bool:
    if type(a) is str and type(b) is str:
        at, before = moment_of(a), moment_of(b)
        if at is None or before is None:
            # Among times, a value that is not one, such as "pending", is the other side's mistake.
            return before is None and (at is not None or a > b)
        return at > before
    if type(a) is str or type(b) is str:
        # One of them is a mistake of the other side's; a text is not comparable with a number.
        return False
    return bool(_number(a) > _number(b))


def _is_usable(value: Any) -> bool:
    """Whether a record's value can be a cursor."""
    return value != "" if type(value) is str else type(value) in _NUMBERS and _number(value) is not None


def _number(value: Any) -> Any:
    """A number that can be compared and calculated with, exactly."""
    return exactly(value) if type(value) is msgspec.Raw else value


def _back(stored: Any, overlap_seconds: int) -> Any:
    """A number that counts seconds or milliseconds, this much earlier."""
    number = _number(stored)
    if not overlap_seconds:
        return stored
    by = overlap_seconds * (1000 if abs(number) >= _MILLIS_FROM else 1)
    return msgspec.Raw(str(EXACT.subtract(number, by)).encode()) if type(number) is Decimal else number - by


def _plain(value: Any) -> Any:
    return msgspec.json.decode(value) if type(value) is msgspec.Raw else value
