"""Filters: JSON patterns as data that say which events a link wants. Safe to take from customers.

A pattern is laid over the event document; its outermost fields are `type, subject, data, previous, changed`.
The meaning follows simple-json-match, the syntax that Hookdeck made known:

    {"data": {"status": "done"}}                 a scalar: the field equals it
    {"data": {"tags": "urgent"}}                 ... or is a list that has it
    {"data": {"tags": ["urgent", "late"]}}       a list: the field is a list that has all of these
    {"data": {"lines": {"price": 3, "n": 1}}}    an object over a list: one and the same element fits all fields
    {"data": {"price": {"$gte": 10, "$lt": 20}}} operators: each of them must hold
    {"$or": [{"type": "a"}, {"subject": "b"}]}   on every level: $or, $and, $not

`$eq $ne $gt $gte $lt $lte $in $nin $startsWith $endsWith $contains $exist`. Over a list they hold where they hold for
an element; `$ne` and `$nin` are the opposites of `$eq` and `$in`; `$eq` and `$in` also compare the whole list.
`$contains` asks for a part of a text or an element of a list. Numbers compare with numbers, texts with texts; true is
not 1. A field that is missing fits only `{"$exist": false}` and `$not`; null is there. `{}` fits everything.
Each part of a pattern meets each part of a document at most once, so the cost is their product at worst.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tidings.rules.refused import Refused, escaped

FIELDS = ("type", "subject", "data", "previous", "changed")
DEPTH_MAX = 32
OPERATORS_MAX = 200
"""Fields and operators in one pattern, all told."""
VALUES_MAX = 1000
TEXT_CHARS_MAX = 2048

Check = Callable[[Any], bool]
_MISSING: Any = object()


class Part(msgspec.Struct, frozen=True):
    """One part of a compiled pattern: whether a value fits, and for a refusal in words what was asked."""

    fits: Check
    kind: str
    asked: Any = None
    parts: tuple[tuple[str, Part], ...] = ()


def compile(pattern: object, pointer: str = "") -> Callable[[Any], bool]:
    """A function that says whether an event document fits. Raises Refused with the place in the pattern."""
    return _Reader().event(pattern, pointer, 1).fits


def document(kind: str, subject: str | None, data: str, previous: str | None, changed: str | None) -> dict[str, Any]:
    """The event document that patterns are laid over, from an event's parts as they are stored: JSON texts."""
    found: dict[str, Any] = {"type": kind, "data": msgspec.json.decode(data)}
    for name, text in (("previous", previous), ("changed", changed)):
        if text is not None:
            found[name] = msgspec.json.decode(text)
    if subject is not None:
        found["subject"] = subject
    return found


def why_not(pattern: object, document: Mapping[str, Any]) -> str | None:
    """One sentence that names the first place at which the document does not fit; None where it does."""
    part = _Reader().event(pattern, "", 1)
    if part.fits(document):
        return None
    sentence = _why(part, document, "")
    return sentence[0].upper() + sentence[1:]


# --- reading a pattern ------------------------------------------------------------------------------------------------


class _Reader:
    """Reads one pattern and counts what it holds."""

    def __init__(self) -> None:
        self.operators = 0
        self.values = 0

    def event(self, pattern: object, at: str, depth: int) -> Part:
        """A pattern over a whole event."""
        if type(pattern) is not dict:
            raise Refused(at, "filter", 'A filter is an object such as {"data": {"status": "done"}}.')
        for name in pattern:
            if name not in FIELDS and name not in _LOGIC:
                known = ", ".join((*FIELDS, *_LOGIC))
                detail = f"{_shown(name)} is no field of an event; a filter begins with one of {known}."
                raise Refused(f"{at}/{escaped(name)}", "filter", detail)
        return self.members(pattern, at, depth, self.event)

    def any(self, pattern: object, at: str, depth: int) -> Part:
        """A pattern over any value."""
        if depth > DEPTH_MAX:
            raise Refused(at, "filter", f"A filter may be nested {DEPTH_MAX} levels deep at most.")
        if type(pattern) is dict:
            return self.members(pattern, at, depth, self.any)
        if type(pattern) is list:
            if not pattern:
                raise Refused(at, "filter", 'An empty list fits nothing; {"$eq": []} is the empty list itself.')
            parts = tuple(
                (str(index), self.any(element, f"{at}/{index}", depth + 1)) for index, element in enumerate(pattern)
            )
            return Part(_every_in_list(tuple(part.fits for _, part in parts)), "list", pattern, parts)
        return Part(_equal(self.value(pattern, at)), "$eq", pattern)

    def members(self, pattern: dict[str, Any], at: str, depth: int, below: _Read) -> Part:
        """The fields and operators of one object, all of which must fit."""
        parts: list[tuple[str, Part]] = []
        fields: list[tuple[str, Part]] = []
        for name, asked in pattern.items():
            self.operators += 1
            here = f"{at}/{escaped(name)}"
            if self.operators > OPERATORS_MAX:
                raise Refused(here, "filter", f"A filter may have {OPERATORS_MAX} fields and operators at most.")
            if not name.startswith("$"):
                fields.append((name, self.any(asked, here, depth + 1)))
            elif name in _LOGIC:
                parts.append((name, self.logic(name, asked, here, depth, below)))
            else:
                parts.append((name, self.operator(name, asked, here)))
        if fields:
            checks = tuple((name, part.fits) for name, part in fields)
            parts.insert(0, ("", Part(_fields(checks), "fields", parts=tuple(fields))))
        if len(parts) == 1:
            return parts[0][1]
        return Part(_all(tuple(part.fits for _, part in parts)), "all", parts=tuple(parts))

    def logic(self, name: str, asked: object, at: str, depth: int, below: _Read) -> Part:
        """`$not` with a pattern, `$or` and `$and` with a list of them."""
        if depth >= DEPTH_MAX:
            raise Refused(at, "filter", f"A filter may be nested {DEPTH_MAX} levels deep at most.")
        if name == "$not":
            inner = below(asked, at, depth + 1)
            return Part(_not(inner.fits), "$not", asked)
        if type(asked) is not list or not asked:
            raise Refused(at, "filter", f"{name} takes a list of patterns, at least one.")
        self.operators += len(asked)
        if self.operators > OPERATORS_MAX:
            raise Refused(at, "filter", f"A filter may have {OPERATORS_MAX} fields and operators at most.")
        parts = tuple(("", below(choice, f"{at}/{index}", depth + 1)) for index, choice in enumerate(asked))
        checks = tuple(part.fits for _, part in parts)
        return Part(_one_of(checks) if name == "$or" else _all(checks), "$or" if name == "$or" else "all", asked, parts)

    def operator(self, name: str, asked: object, at: str) -> Part:
        """One of the operators that compare."""
        make = _OPERATORS.get(name)
        if make is None:
            known = " ".join((*_OPERATORS, *_LOGIC))
            raise Refused(at, "filter", f"{_shown(name)} is no operator; there are {known}.")
        self.value(asked, at)
        right, check = make(asked)
        if check is None:
            raise Refused(at, "filter", f"{name} takes {right}.")
        return Part(check, name, asked)

    def value(self, value: Any, at: str) -> Any:
        """A value to compare with, counted and checked for size."""
        self.values += 1
        if self.values > VALUES_MAX:
            raise Refused(at, "filter", f"A filter may have {VALUES_MAX} values at most.")
        if type(value) is str and len(value) > TEXT_CHARS_MAX:
            raise Refused(at, "filter", f"A text in a filter may have {TEXT_CHARS_MAX} characters at most.")
        if type(value) is list:
            for index, element in enumerate(value):
                self.value(element, f"{at}/{index}")
        elif type(value) is dict:
            for name, member in value.items():
                self.value(member, f"{at}/{escaped(name)}")
        return value


_Read = Callable[[object, str, int], Part]


# --- checks: small functions, made once for each part -----------------------------------------------------------------


def _fields(checks: tuple[tuple[str, Check], ...]) -> Check:
    if len(checks) == 1:
        ((name, check),) = checks

        def field(value: Any) -> bool:
            if type(value) is dict:
                return check(value.get(name, _MISSING))
            if type(value) is list:
                return any(map(field, value))
            return check(_MISSING)

        return field

    def fields(value: Any) -> bool:
        if type(value) is dict:
            for name, check in checks:  # noqa: SIM110 -- half the time of all() with a generator
                if not check(value.get(name, _MISSING)):
                    return False
            return True
        if type(value) is list:
            return any(map(fields, value))
        return all(check(_MISSING) for _, check in checks)

    return fields


def _all(checks: tuple[Check, ...]) -> Check:
    return lambda value: all(check(value) for check in checks)


def _one_of(checks: tuple[Check, ...]) -> Check:
    return lambda value: any(check(value) for check in checks)


def _not(check: Check) -> Check:
    return lambda value: not check(value)


def _every_in_list(checks: tuple[Check, ...]) -> Check:
    return lambda value: type(value) is list and all(any(map(check, value)) for check in checks)


def _or_element(check: Check) -> Check:
    """The check for the value itself, or for any element of a list."""

    def either(value: Any) -> bool:
        return check(value) or (type(value) is list and any(map(either, value)))

    return either


def _present(check: Check) -> Check:
    return lambda value: value is not _MISSING and check(value)


def same(a: Any, b: Any) -> bool:
    """Equality as JSON has it: true is not 1, but 1 is 1.0."""
    kind = type(a)
    if kind is dict:
        return type(b) is dict and a.keys() == b.keys() and all(same(value, b[name]) for name, value in a.items())
    if kind is list:
        return type(b) is list and len(a) == len(b) and all(map(same, a, b))
    if kind is bool or b is True or b is False:
        return a is b
    return bool(a == b)


def _equal(asked: Any) -> Check:
    if type(asked) is str:

        def same_text(value: Any) -> bool:
            return bool(value == asked) or (type(value) is list and any(map(same_text, value)))

        return same_text
    return _or_element(lambda value: same(asked, value))


# --- operators: each gives what it takes, in words, and a check or None -----------------------------------------------

Made = tuple[str, Check | None]


def _number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _comparing(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Made]:
    def make(asked: Any) -> Made:
        takes = "a number or a text"
        if _number(asked):
            return takes, _or_element(lambda value: _number(value) and compare(value, asked))
        if type(asked) is str:
            return takes, _or_element(lambda value: type(value) is str and compare(value, asked))
        return takes, None

    return make


def _of_text(test: Callable[[str, str], bool]) -> Callable[[Any], Made]:
    def make(asked: Any) -> Made:
        if type(asked) is not str:
            return "a text", None
        return "a text", _or_element(lambda value: type(value) is str and test(value, asked))

    return make


def _in(asked: Any) -> Made:
    takes = "a list of texts, numbers, true, false or null, at least one"
    if type(asked) is not list or not asked or any(type(choice) in (dict, list) for choice in asked):
        return takes, None
    # 1 and True are one member of a set, so the type is part of what is looked up.
    choices = frozenset((type(choice) is bool, choice) for choice in asked)
    return takes, _or_element(
        lambda value: type(value) is not list and type(value) is not dict and (type(value) is bool, value) in choices
    )


def _contains(asked: Any) -> Made:
    if type(asked) in (dict, list):
        return "a text, a number, true, false or null", None

    def check(value: Any) -> bool:
        if type(value) is str:
            return type(asked) is str and asked in value
        return type(value) is list and any(same(asked, element) for element in value)

    return "a text, a number, true, false or null", check


def _exist(asked: Any) -> Made:
    if type(asked) is not bool:
        return "true or false", None
    return "true or false", lambda value: (value is not _MISSING) is asked


def _opposite(made: Made) -> Made:
    takes, check = made
    return takes, None if check is None else _present(_not(check))


_LOGIC = ("$not", "$or", "$and")
_OPERATORS: dict[str, Callable[[Any], Made]] = {
    "$eq": lambda asked: ("a value", _equal(asked)),
    "$ne": lambda asked: _opposite(("a value", _equal(asked))),
    "$gt": _comparing(operator.gt),
    "$gte": _comparing(operator.ge),
    "$lt": _comparing(operator.lt),
    "$lte": _comparing(operator.le),
    "$in": _in,
    "$nin": lambda asked: _opposite(_in(asked)),
    "$startsWith": _of_text(str.startswith),
    "$endsWith": _of_text(str.endswith),
    "$contains": _contains,
    "$exist": _exist,
}


# --- saying why not ---------------------------------------------------------------------------------------------------


def _why(part: Part, value: Any, at: str) -> str:
    """A sentence for a part that is known not to fit."""
    if part.kind == "all":
        return next(_why(inner, value, at) for _, inner in part.parts if not inner.fits(value))
    if part.kind == "fields":
        if type(value) is list:
            return f"No element of {_at(at)} has all the fields that the filter asks for."
        members = value if type(value) is dict else {}
        for name, inner in part.parts:
            member = members.get(name, _MISSING)
            if not inner.fits(member):
                return _why(inner, member, f"{at}/{escaped(name)}")
    if part.kind == "$or":
        return f"None of the {len(part.parts)} choices of $or fits {_at(at)}."
    if part.kind == "$not":
        return f"{_at(at)} fits what $not shuts out: {_shown(part.asked)}."
    if value is _MISSING:
        return f"{_at(at)} is missing; the filter asks for {part.kind} {_shown(part.asked)}."
    if part.kind == "list":
        return f"{_at(at)} is {_shown(value)}; it is no list with all of {_shown(part.asked)}."
    return f"{_at(at)} is {_shown(value)}; the filter asks for {part.kind} {_shown(part.asked)}."


def _at(pointer: str) -> str:
    return pointer or "the event"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."
