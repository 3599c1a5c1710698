"""The checks that a compiled filter is made of: each takes a value and the meter that its steps are charged to.

A step is one check of one value; longer texts count more. Without lists a filter takes no more steps than it has parts,
so only lists and long texts check the meter. Lists of scalars cost their elements plus the values asked for, not the
product.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from tidings.model.moment import Micros, from_text
from tidings.rules.reading import decimals

STEPS_MAX = 30_000
"""The maximum number of steps of one filter on one event; they take 2 to 6 ms."""
CHARS_PER_STEP = 64
"""How many characters of a text are searched or compared in one step."""
_DECIMAL_STEPS, _TIME_STEPS = 10, 15
"""The number of steps for reading a text as a decimal, and as a time."""

MISSING: Any = object()
_CHUNK, _PER_CHUNK = 64, 2
_NUMBERS = (int, float)
_TRUE, _FALSE = object(), object()
"""Stand-ins for true and false in a set, because they would equal 1 and 0 there."""


class TooCostly(Exception):
    """The steps are used up, so the result is unknown."""


class Meter:
    """Counts down the steps that are left."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS_MAX) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Raises TooCostly when nothing is left."""
        self.left -= steps
        if self.left < 0:
            raise TooCostly


Check = Callable[[Any, Meter], bool]
Made = tuple[str, Check | None]
"""What an operator accepts, in words, and its check, which is None if the operator does not accept the value."""


def any_of(check: Check, values: list[Any], meter: Meter) -> bool:
    """Whether any of the values passes."""
    if len(values) <= _CHUNK:
        left = meter.left = meter.left - _PER_CHUNK - len(values)
        if left < 0:
            raise TooCostly
        for value in values:  # noqa: SIM110 -- half the time of any() with a generator
            if check(value, meter):
                return True
        return False
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        meter.spend(_PER_CHUNK + len(chunk))
        for value in chunk:
            if check(value, meter):
                return True
    return False


def fields(checks: tuple[tuple[str, Check], ...]) -> Check:
    """The members of an object, or of one and the same element of a list, all pass."""
    if len(checks) == 1:
        ((name, check),) = checks

        def field(value: Any, meter: Meter) -> bool:
            if type(value) is dict:
                return check(value.get(name, MISSING), meter)
            if type(value) is list:
                return any_of(field, value, meter)
            return check(MISSING, meter)

        return field

    def all_fields(value: Any, meter: Meter) -> bool:
        if type(value) is dict:
            meter.left -= len(checks)
            for name, check in checks:  # noqa: SIM110 -- half the time of all() with a generator
                if not check(value.get(name, MISSING), meter):
                    return False
            return True
        if type(value) is list:
            return any_of(all_fields, value, meter)
        meter.left -= len(checks)
        return all(check(MISSING, meter) for _, check in checks)

    return all_fields


def all_pass(checks: tuple[Check, ...]) -> Check:
    """Every check passes."""

    def every(value: Any, meter: Meter) -> bool:
        meter.left -= len(checks)
        for check in checks:  # noqa: SIM110 -- the same
            if not check(value, meter):
                return False
        return True

    return every


def one_passes(checks: tuple[Check, ...]) -> Check:
    """At least one check passes."""

    def one(value: Any, meter: Meter) -> bool:
        for check in checks:
            meter.left -= 1
            if check(value, meter):
                return True
        return False

    return one


def opposite(check: Check) -> Check:
    """The check does not pass."""
    return lambda value, meter: not check(value, meter)


def present(check: Check) -> Check:
    """The value is there and passes."""
    return lambda value, meter: value is not MISSING and check(value, meter)


def list_with(scalars: list[Any], others: tuple[Check, ...]) -> Check:
    """A list that has all of the scalars, at any depth, and an element that passes for each other check."""
    wanted = frozenset(map(_key, scalars))

    def has_all(value: Any, meter: Meter) -> bool:
        if type(value) is not list:
            return False
        if wanted and not _collect(value, wanted, set(), meter):
            return False
        for check in others:
            meter.left -= 1
            if not any_of(check, value, meter):
                return False
        return True

    return has_all


def _collect(values: list[Any], wanted: frozenset[Any], found: set[Any], meter: Meter) -> bool:
    """Whether everything wanted is found, in these values and in the lists among them."""
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        meter.spend(_PER_CHUNK + len(chunk))
        for value in chunk:
            kind = type(value)
            if kind is list:
                if _collect(value, wanted, found, meter):
                    return True
            elif kind is not dict:
                key = _key(value) if kind is bool else value
                if key in wanted:
                    found.add(key)
                    if len(found) == len(wanted):
                        return True
    return False


def _key(value: Any) -> Any:
    if value is True:
        return _TRUE
    return _FALSE if value is False else value


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: true is not 1, but 1 is 1.0."""
    kind = type(a)
    if kind is dict:
        return type(b) is dict and a.keys() == b.keys() and all(same(value, b[name]) for name, value in a.items())
    if kind is list:
        return type(b) is list and len(a) == len(b) and all(map(same, a, b))
    if kind is bool or b is True or b is False:
        return a is b
    return bool(a == b)


def equal(asked: Any) -> Check:
    """The value equals this, or is a list that has it."""
    if type(asked) is str:
        return _scalar(lambda value: bool(value == asked), len(asked))
    if type(asked) is bool or asked is None:
        return _scalar(lambda value: value is asked)
    if type(asked) not in (dict, list):
        return _scalar(lambda value: type(value) is not bool and bool(value == asked))
    size = _size(asked)

    def same_parts(value: Any, meter: Meter) -> bool:
        if type(value) is not type(asked) or len(value) != len(asked):
            return False
        meter.spend(size)
        return same(asked, value)

    def either(value: Any, meter: Meter) -> bool:
        return same_parts(value, meter) or (type(value) is list and any_of(either, value, meter))

    return either


def _size(value: Any) -> int:
    """How many steps a comparison with this value takes at most."""
    if type(value) is dict:
        return 1 + sum(1 + len(name) // CHARS_PER_STEP + _size(member) for name, member in value.items())
    if type(value) is list:
        return 1 + sum(map(_size, value))
    return 1 + (len(value) // CHARS_PER_STEP if type(value) is str else 0)


def _scalar(test: Callable[[Any], bool], chars: int = 0) -> Check:
    """The test of a value that is not a list, or of any such value in a list. `chars`: of the text to compare with."""
    steps = chars // CHARS_PER_STEP

    def walk(values: list[Any], meter: Meter) -> bool:
        if steps == 0 and len(values) <= _CHUNK:
            left = meter.left = meter.left - _PER_CHUNK - len(values)
            if left < 0:
                raise TooCostly
            for value in values:  # noqa: SIM110 -- the same
                if walk(value, meter) if type(value) is list else test(value):
                    return True
            return False
        for start in range(0, len(values), _CHUNK):
            chunk = values[start : start + _CHUNK]
            meter.spend(_PER_CHUNK + len(chunk))
            for value in chunk:
                kind = type(value)
                if steps and kind is str:
                    meter.spend(steps)
                if walk(value, meter) if kind is list else test(value):
                    return True
        return False

    def check(value: Any, meter: Meter) -> bool:
        if type(value) is list:
            return walk(value, meter)
        meter.left -= steps
        return test(value)

    return check


# --- operators --------------------------------------------------------------------------------------------------------


def _comparing(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Made]:
    def make(asked: Any) -> Made:
        takes = "a number or a string"
        if type(asked) is str:
            at = _moment(asked)
            if at is not None:
                return takes, _scalar(_time_test(compare, asked, at), _TIME_STEPS * CHARS_PER_STEP)
            return takes, _scalar(lambda value: type(value) is str and compare(value, asked), len(asked))
        if type(asked) is int or type(asked) is float:
            exactly = decimals.of(asked)

            def test(value: Any) -> bool:
                if type(value) in _NUMBERS:
                    return compare(value, asked)
                return type(value) is str and decimals.is_one(value) and compare(decimals.of(value), exactly)

            return takes, _scalar(test, _DECIMAL_STEPS * CHARS_PER_STEP)
        return takes, None

    return make


def _moment(text: str) -> Micros | None:
    """The moment that a text means, if it is an RFC 3339 time with a zone."""
    try:
        return from_text(text)
    except ValueError:
        return None


def _time_test(compare: Callable[[Any, Any], bool], asked: str, asked_at: Micros) -> Callable[[Any], bool]:
    """One moment has many texts (offsets, digits of a second), so times compare by what they mean."""

    def test(value: Any) -> bool:
        if type(value) is not str:
            return False
        at = _moment(value)
        return compare(value, asked) if at is None else compare(at, asked_at)

    return test


def _of_text(test: Callable[[str, str], bool]) -> Callable[[Any], Made]:
    def make(asked: Any) -> Made:
        if type(asked) is not str:
            return "a string", None
        return "a string", _scalar(lambda value: type(value) is str and test(value, asked), len(asked))

    return make


def _in(asked: Any) -> Made:
    takes = "a list of at least one string, number, true, false or null"
    if type(asked) is not list or not asked or any(type(choice) in (dict, list) for choice in asked):
        return takes, None
    choices = frozenset(map(_key, asked))
    return takes, _scalar(lambda value: type(value) is not dict and _key(value) in choices)


def _contains(asked: Any) -> Made:
    if type(asked) in (dict, list):
        return "a string, a number, true, false or null", None

    def check(value: Any, meter: Meter) -> bool:
        if type(value) is str:
            meter.spend(len(value) // CHARS_PER_STEP)
            return type(asked) is str and asked in value
        return type(value) is list and any_of(lambda element, meter: same(asked, element), value, meter)

    return "a string, a number, true, false or null", check


def _exist(asked: Any) -> Made:
    if type(asked) is not bool:
        return "true or false", None
    return "true or false", lambda value, meter: (value is not MISSING) is asked


def _not(made: Made) -> Made:
    takes, check = made
    return takes, None if check is None else present(opposite(check))


OPERATORS: dict[str, Callable[[Any], Made]] = {
    "$eq": lambda asked: ("a value", equal(asked)),
    "$ne": lambda asked: _not(("a value", equal(asked))),
    "$gt": _comparing(operator.gt),
    "$gte": _comparing(operator.ge),
    "$lt": _comparing(operator.lt),
    "$lte": _comparing(operator.le),
    "$in": _in,
    "$nin": lambda asked: _not(_in(asked)),
    "$startsWith": _of_text(str.startswith),
    "$endsWith": _of_text(str.endswith),
    "$contains": _contains,
    "$exist": _exist,
}
