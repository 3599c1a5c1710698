"""The operators of templates, applied to values. Each pays its meter before it makes something.

A value is a JSON value, MISSING, or `msgspec.Raw` for a number that fits neither into 64 bits nor exactly into a
double: it can be compared and written, but calculating with it fails rather than rounds.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN
from tidings.rules.templates.meter import SLOT, RenderingMeter
from tidings.rules.templates.numbers import shown

MISSING: Any = object()
_NUMBERS = (int, float)
_NOT_ZERO = re.compile(rb"[-0.]*+[1-9]")
_CALCULATED: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def text(value: Any, meter: RenderingMeter) -> str:
    """A value as it appears in text; missing ones and null are empty, lists and objects are JSON."""
    if type(value) is str:
        return value
    if value is MISSING:
        return ""
    if type(value) in (list, dict):
        meter.weigh(value)
    return str(shown(value))


def is_true(value: Any) -> bool:
    """Whether a value counts as true: neither missing, null, zero nor empty."""
    if type(value) is msgspec.Raw:
        return _NOT_ZERO.match(bytes(value)) is not None
    return value is not MISSING and bool(value)


def described(value: Any) -> str:
    """A value in an error."""
    if value is MISSING:
        return "a missing value"
    if type(value) in (list, dict):
        return "a list" if type(value) is list else "an object"
    if type(value) is str:
        return f"the text {value[:50]!r}"
    return "null" if value is None else str(shown(value))


def join(left: Any, right: Any, meter: RenderingMeter) -> str:
    """Both as one text (`~`)."""
    one, two = text(left, meter), text(right, meter)
    meter.spend(len(one) + len(two))
    return one + two


def calculate(sign: str, left: Any, right: Any, meter: RenderingMeter) -> Any:
    """`+ - * / // % **` of numbers; `+` and `*` also of texts and of lists. Raises ValueError."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _number(sign, left, right)
    if sign == "+" and type(left) is type(right) and type(left) in (str, list):
        meter.spend((len(left) + len(right)) * (1 if type(left) is str else SLOT))
        return left + right
    if sign == "*" and type(left) in (str, list) and type(right) is int:
        meter.spend(len(left) * max(0, right) * (1 if type(left) is str else SLOT))
        return left * right
    if msgspec.Raw in (type(left), type(right)):
        raise ValueError(LONG)
    raise ValueError(f"unable to calculate {described(left)} {sign} {described(right)}")


LONG = "a number has too many digits for calculations. Use it alone, or as text: | string"


def _number(sign: str, left: Any, right: Any) -> Any:
    try:
        found = _power(left, right) if sign == "**" else _CALCULATED[sign](left, right)
    except ArithmeticError:
        raise ValueError(f"unable to calculate {shown(left)} {sign} {shown(right)}") from None
    return sized(found)


def sized(found: Any) -> Any:
    """A calculated number. Raises ValueError if no JSON number can represent it."""
    if type(found) is int and INTEGER_MIN <= found <= INTEGER_MAX:
        return found
    if type(found) is float and math.isfinite(found):
        return found
    raise ValueError("the result has too many digits, or is not a number")


def _power(left: Any, right: Any) -> Any:
    if type(left) is int and type(right) is int and right > 64 and abs(left) > 1:
        raise OverflowError
    return left**right


def negative(value: Any) -> Any:
    """`-value`. Raises ValueError if it is not a number."""
    if type(value) in _NUMBERS:
        return sized(-value)
    raise ValueError(LONG if type(value) is msgspec.Raw else f"unable to calculate -({described(value)})")


def is_equal(left: Any, right: Any, meter: RenderingMeter) -> bool:
    """Whether two values are the same; a number equals a number, whatever its type."""
    if type(left) in (list, dict) and type(left) is type(right):
        meter.weigh(left)
        meter.weigh(right)
        return bool(left == right)
    if type(left) is str and type(right) is str:
        meter.spend(min(len(left), len(right)))
        return left == right
    if is_number(left) and is_number(right):
        return bool(_exact(left, meter) == _exact(right, meter))
    return type(left) is type(right) and bool(left == right)


def is_number(value: Any) -> bool:
    """Whether a value is a number."""
    return type(value) in (int, float, msgspec.Raw)


def ordered(sign: str, left: Any, right: Any, meter: RenderingMeter) -> bool:
    """`< <= > >=` of numbers and of texts; false if one is missing or null. Raises ValueError for other values."""
    if is_number(left) and is_number(right):
        return _ORDERED[sign](_exact(left, meter), _exact(right, meter))
    if type(left) is str and type(right) is str:
        meter.spend(min(len(left), len(right)))
        return _ORDERED[sign](left, right)
    if left is None or right is None or left is MISSING or right is MISSING:
        return False
    raise ValueError(f"unable to compare {described(left)} with {described(right)}")


def contains(container: Any, value: Any, meter: RenderingMeter) -> bool:
    """`value in container`: a part of a text, an element of a list, a name of an object."""
    meter.call(container)
    if type(container) is str:
        return text(value, meter) in container
    if type(container) is dict:
        return type(value) is str and value in container
    if type(container) is list:
        return any(is_equal(each, value, meter) for each in container)
    if container is None or container is MISSING:
        return False
    raise ValueError(f"{described(container)} cannot contain values")


def member(value: Any, key: Any) -> Any:
    """`value[key]`; MISSING if there is none."""
    if type(value) is dict and type(key) is str:
        return value.get(key, MISSING)
    if type(value) in (list, str) and type(key) is int and -len(value) <= key < len(value):
        return value[key]
    return MISSING


def part(value: Any, given: Sequence[Any], meter: RenderingMeter) -> Any:
    """`value[begin:end:step]` of a text or a list. Raises ValueError."""
    if value is MISSING or value is None:
        return MISSING
    bounds = [None if each is MISSING else each for each in given]
    if type(value) not in (str, list) or any(each is not None and type(each) is not int for each in bounds):
        raise ValueError(f"{described(value)} cannot be sliced like this")
    if bounds[2] == 0:
        raise ValueError("the step of a slice cannot be 0")
    meter.call(value)
    return value[slice(*bounds)]


def elements(value: Any, meter: RenderingMeter) -> list[Any]:
    """What `for` goes through: elements of a list, names of an object, characters. Raises ValueError."""
    if type(value) is list:
        return value
    if value is None or value is MISSING:
        return []
    if type(value) in (dict, str):
        # Each non-ASCII character becomes a Python object.
        meter.spend(4 * SLOT * len(value))
        return list(value)
    raise ValueError(f"{described(value)} is not a list")


def _exact(value: Any, meter: RenderingMeter) -> Any:
    if type(value) is not msgspec.Raw:
        return value
    digits = bytes(value).decode()
    meter.spend(len(digits))
    try:
        return Decimal(digits)
    except ArithmeticError:
        raise ValueError(LONG) from None
