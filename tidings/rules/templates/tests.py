"""The tests of templates: `value is name`, `value is name(argument)`. Each raises ValueError with what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tidings.rules.templates.meter import RenderingMeter
from tidings.rules.templates.values import MISSING, calculate, contains, is_equal, is_number, ordered, text

Test = Callable[..., bool]


def _divides(meter: RenderingMeter, value: Any, other: Any) -> bool:
    return bool(calculate("%", value, other, meter) == 0)


def _starts(meter: RenderingMeter, value: Any, other: Any) -> bool:
    return text(value, meter).startswith(text(other, meter))


def _ends(meter: RenderingMeter, value: Any, other: Any) -> bool:
    return text(value, meter).endswith(text(other, meter))


def _equal(meter: RenderingMeter, value: Any, other: Any) -> bool:
    return is_equal(value, other, meter)


def _unequal(meter: RenderingMeter, value: Any, other: Any) -> bool:
    return not is_equal(value, other, meter)


def _in(meter: RenderingMeter, value: Any, other: Any) -> bool:
    return contains(other, value, meter)


def _order(sign: str) -> Test:
    return lambda meter, value, other: ordered(sign, value, other, meter)


def _is_kind(*kinds: type) -> Test:
    return lambda meter, value: type(value) in kinds


TESTS: Mapping[str, Test] = {
    "boolean": _is_kind(bool),
    "defined": lambda meter, value: value is not MISSING,
    "divisibleby": _divides,
    "endingwith": _ends,
    "eq": _equal,
    "equalto": _equal,
    "even": lambda meter, value: _divides(meter, value, 2),
    "false": lambda meter, value: value is False,
    "float": _is_kind(float),
    "ge": _order(">="),
    "greaterthan": _order(">"),
    "gt": _order(">"),
    "in": _in,
    "integer": _is_kind(int),
    "iterable": _is_kind(list, dict, str),
    "le": _order("<="),
    "lessthan": _order("<"),
    "lower": lambda meter, value: text(value, meter).islower(),
    "lt": _order("<"),
    "mapping": _is_kind(dict),
    "ne": _unequal,
    "none": lambda meter, value: value is None,
    "number": lambda meter, value: is_number(value),
    "odd": lambda meter, value: not _divides(meter, value, 2),
    "sequence": _is_kind(list, str),
    "startingwith": _starts,
    "string": _is_kind(str),
    "true": lambda meter, value: value is True,
    "undefined": lambda meter, value: value is MISSING,
    "upper": lambda meter, value: text(value, meter).isupper(),
}
