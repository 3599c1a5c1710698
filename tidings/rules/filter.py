"""Filters: JSON patterns that select the events that a link gets. Safe to accept from customers.

A pattern is matched against the event document; its outermost fields are `type, subject, data, previous, changed`. The
meaning follows simple-json-match, the syntax made known by Hookdeck:

    {"data": {"status": "done"}}                 a scalar: the field equals it
    {"data": {"tags": "urgent"}}                 ... or is a list that contains it
    {"data": {"tags": ["urgent", "late"]}}       a list: the field is a list that contains all of these
    {"data": {"lines": {"price": 3, "n": 1}}}    an object over a list: one and the same element matches all fields
    {"data": {"price": {"$gte": 10, "$lt": 20}}} operators: all of them must be true
    {"$or": [{"type": "a"}, {"subject": "b"}]}   on every level: $or, $and, $not

`$eq $ne $gt $gte $lt $lte $in $nin $startsWith $endsWith $contains $exist`. Over a list they match if an element
matches; `$ne` and `$nin` are the opposites of `$eq` and `$in`; `$eq` and `$in` also compare the whole list. `$contains`
looks for a part of a string or an element of a list. Numbers compare with numbers, texts with texts; true is not 1. If
the pattern has a number, `$gt $gte $lt $lte` also accept a decimal string in the event, such as "12.30", and compare
its value; if it has a time (RFC 3339 with a zone), they compare times as moments. A missing field matches only
`{"$exist": false}` and `$not`; null is not missing. `{}` matches everything.

A filter is bounded where it is declared (`check`) and cut off while it runs: after `STEPS_MAX` steps on one event it
raises TooCostly (rules/filter_checks.py says what a step is).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tidings.rules.filter_checks import (
    MISSING,
    OPERATORS,
    STEPS_MAX,
    Check,
    Meter,
    TooCostly,
    all_pass,
    equal,
    fields,
    list_with,
    one_passes,
    opposite,
)
from tidings.rules.reading.refused import Refused, escaped

FIELDS = ("type", "subject", "data", "previous", "changed")
DEPTH_MAX = 32
OPERATORS_MAX = 200
"""The maximum number of fields and operators in one pattern, in total."""
VALUES_MAX = 1000
TEXT_CHARS_MAX = 2048
BYTES_MAX = 65_536
"""The maximum size of a filter as JSON, in bytes."""
WHY_STEPS = 4 * STEPS_MAX

_LOGIC = ("$not", "$or", "$and")
_LIKE_OPERATORS = {name.strip("$").lower(): name for name in (*OPERATORS, *_LOGIC)} | {"exists": "$exist"}


class Part(msgspec.Struct, frozen=True):
    """One part of a compiled pattern: whether a value matches, and, to explain a mismatch, what was asked."""

    fits: Check
    kind: str
    asked: Any = None
    parts: tuple[tuple[str, Part], ...] = ()


def check(pattern: object, pointer: str = "") -> None:
    """Raise Refused, with the place, for a pattern that may not be declared."""
    _Reader(strict=True).event(pattern, pointer, 1)
    if len(msgspec.json.encode(pattern)) > BYTES_MAX:
        raise Refused(pointer, "filter", f"A filter can be at most {BYTES_MAX:,} bytes of JSON.")


def compile(pattern: object, steps: int = STEPS_MAX) -> Callable[[Any], bool]:
    """A function that says whether an event document matches; it raises TooCostly after STEPS_MAX steps.

    Accepts everything that `check` or an earlier version accepted. Raises Refused for the rest.
    """
    fits = metered(pattern)
    return lambda document: fits(document, Meter(steps))


def metered(pattern: object) -> Check:
    """The same, but the function takes the meter as an argument."""
    return _Reader().event(pattern, "", 1).fits


def late(pattern: object) -> Check:
    """The same, compiled on each call, for callers that call once; the check itself raises Refused."""
    return lambda document, meter: metered(pattern)(document, meter)


def document(kind: str, subject: str | None, data: str, previous: str | None, changed: str | None) -> dict[str, Any]:
    """The event document that patterns are matched against, from an event's stored parts: JSON texts."""
    found: dict[str, Any] = {"type": kind, "data": msgspec.json.decode(data)}
    for name, text in (("previous", previous), ("changed", changed)):
        if text is not None:
            found[name] = msgspec.json.decode(text)
    if subject is not None:
        found["subject"] = subject
    return found


def why_not(pattern: object, document: Mapping[str, Any]) -> str:
    """One sentence that names the first place where a document, known not to match, does not match."""
    part = _Reader().event(pattern, "", 1)
    try:
        sentence = _why(part, document, "", Meter(WHY_STEPS))
    except TooCostly:
        return "The event does not match the filter."
    return sentence[0].upper() + sentence[1:]


# --- reading a pattern ------------------------------------------------------------------------------------------------


class _Reader:
    """Reads one pattern and counts its parts. `strict`: apply rules that stored patterns may predate."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.operators = 0
        self.values = 0

    def event(self, pattern: object, at: str, depth: int) -> Part:
        """A pattern over a whole event."""
        if type(pattern) is not dict:
            raise Refused(at, "filter", 'A filter must be an object such as {"data": {"status": "done"}}.')
        for name in pattern:
            if name not in FIELDS and name not in _LOGIC:
                known = ", ".join((*FIELDS, *_LOGIC))
                meant = _meant(name)
                hint = f" (did you mean {meant}?)" if meant in _LOGIC else ""
                detail = f"{_shown(name)} is not a field of an event{hint}; a filter begins with one of {known}."
                raise Refused(f"{at}/{escaped(name)}", "filter", detail)
        return self.members(pattern, at, depth, self.event)

    def any(self, pattern: object, at: str, depth: int) -> Part:
        """A pattern over any value."""
        if depth > DEPTH_MAX:
            raise Refused(at, "filter", f"A filter may be nested at most {DEPTH_MAX} levels deep.")
        if type(pattern) is dict:
            return self.members(pattern, at, depth, self.any)
        if type(pattern) is list:
            if not pattern:
                raise Refused(
                    at, "filter", ('An empty list matches nothing; use {"$eq": []} to match the empty list itself.')
                )
            return self.elements(pattern, at, depth)
        return Part(equal(self.value(pattern, at)), "$eq", pattern)

    def elements(self, pattern: list[Any], at: str, depth: int) -> Part:
        """A pattern for a list that must have all of these."""
        scalars, others = [], []
        for index, element in enumerate(pattern):
            if type(element) in (dict, list):
                if self.strict:
                    self.count(1, at)
                others.append(self.any(element, f"{at}/{index}", depth + 1).fits)
            else:
                scalars.append(self.value(element, f"{at}/{index}"))
        return Part(list_with(scalars, tuple(others)), "list", pattern)

    def count(self, more: int, at: str) -> None:
        """Count parts. Raises Refused if there are too many."""
        self.operators += more
        if self.operators > OPERATORS_MAX:
            raise Refused(at, "filter", f"A filter may have at most {OPERATORS_MAX} fields and operators.")

    def members(self, pattern: dict[str, Any], at: str, depth: int, below: _Read) -> Part:
        """The fields and operators of one object, all of which must match."""
        parts: list[tuple[str, Part]] = []
        members: list[tuple[str, Part]] = []
        for name, asked in pattern.items():
            here = f"{at}/{escaped(name)}"
            self.count(1, here)
            if not name.startswith("$"):
                if self.strict:
                    _refuse_bare_operator(name, asked, here)
                members.append((name, self.any(asked, here, depth + 1)))
            elif name in _LOGIC:
                parts.append((name, self.logic(name, asked, here, depth, below)))
            else:
                parts.append((name, self.operator(name, asked, here)))
        if members:
            checks = tuple((name, part.fits) for name, part in members)
            parts.insert(0, ("", Part(fields(checks), "fields", parts=tuple(members))))
        if len(parts) == 1:
            return parts[0][1]
        return Part(all_pass(tuple(part.fits for _, part in parts)), "all", parts=tuple(parts))

    def logic(self, name: str, asked: object, at: str, depth: int, below: _Read) -> Part:
        """`$not` with a pattern, `$or` and `$and` with a list of them."""
        if depth >= DEPTH_MAX:
            raise Refused(at, "filter", f"A filter may be nested at most {DEPTH_MAX} levels deep.")
        if name == "$not":
            inner = below(asked, at, depth + 1)
            return Part(opposite(inner.fits), "$not", asked)
        if type(asked) is not list or not asked:
            raise Refused(at, "filter", f"{name} requires a list of at least one pattern.")
        self.count(len(asked), at)
        parts = tuple(("", below(choice, f"{at}/{index}", depth + 1)) for index, choice in enumerate(asked))
        checks = tuple(part.fits for _, part in parts)
        if name == "$or":
            return Part(one_passes(checks), "$or", asked, parts)
        return Part(all_pass(checks), "all", asked, parts)

    def operator(self, name: str, asked: object, at: str) -> Part:
        """One of the operators that compare."""
        make = OPERATORS.get(name)
        if make is None:
            known = " ".join((*OPERATORS, *_LOGIC))
            hint = f" (did you mean {_meant(name)}?)" if _meant(name) else ""
            raise Refused(at, "filter", f"{_shown(name)} is not an operator{hint}; available: {known}.")
        self.value(asked, at)
        right, check = make(asked)
        if check is None:
            raise Refused(at, "filter", f"{name} requires {right}.")
        return Part(check, name, asked)

    def value(self, value: Any, at: str) -> Any:
        """A value to compare with, counted and checked for size."""
        self.values += 1
        if self.values > VALUES_MAX:
            raise Refused(at, "filter", f"A filter may have at most {VALUES_MAX} values.")
        if type(value) is str and len(value) > TEXT_CHARS_MAX:
            raise Refused(at, "filter", f"A string in a filter can be at most {TEXT_CHARS_MAX} characters long.")
        if type(value) is list:
            for index, element in enumerate(value):
                self.value(element, f"{at}/{index}")
        elif type(value) is dict:
            for name, member in value.items():
                self.value(member, f"{at}/{escaped(name)}")
        return value


_Read = Callable[[object, str, int], Part]


def _meant(name: str) -> str | None:
    """The operator that was probably meant."""
    return _LIKE_OPERATORS.get(name.strip("$").replace("_", "").lower())


def _refuse_bare_operator(name: str, asked: Any, at: str) -> None:
    """Raise Refused for a field that looks like an operator without its $. With operators below it, it is a field."""
    meant = _meant(name)
    if meant is None or (type(asked) is dict and asked and all(each.startswith("$") for each in asked)):
        return
    detail = f'Did you mean {meant}? To match a field named {name}, write {{"{name}": {{"$eq": ...}}}}.'
    raise Refused(at, "filter", detail)


# --- saying why not ---------------------------------------------------------------------------------------------------


def _why(part: Part, value: Any, at: str, meter: Meter) -> str:
    """A sentence for a part that is known not to match."""
    if part.kind == "all":
        return next(_why(inner, value, at, meter) for _, inner in part.parts if not inner.fits(value, meter))
    if part.kind == "fields":
        if type(value) is list:
            return f"No element of {_at(at)} has all the fields that the filter requires."
        members = value if type(value) is dict else {}
        for name, inner in part.parts:
            member = members.get(name, MISSING)
            if not inner.fits(member, meter):
                return _why(inner, member, f"{at}/{escaped(name)}", meter)
    if part.kind == "$or":
        return f"No alternative in $or matches {_at(at)}."
    if part.kind == "$not":
        return f"{_at(at)} matches what $not excludes: {_shown(part.asked)}."
    if value is MISSING:
        return f"{_at(at)} is missing; the filter requires {part.kind} {_shown(part.asked)}."
    if part.kind == "list":
        return f"{_at(at)} is {_shown(value)}, which is not a list that contains all of {_shown(part.asked)}."
    return f"{_at(at)} is {_shown(value)}; the filter requires {part.kind} {_shown(part.asked)}."


def _at(pointer: str) -> str:
    return pointer or "the event"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."
