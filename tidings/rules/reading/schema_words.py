"""What single keywords of a JSON Schema cost, in units of some 8 ns: for each value, character and number.

Numbers that are not both integers of 64 bits are compared as fractions of any size, and so are the two of a
`multipleOf` that is not an integer: that takes a microsecond, more if an exponent is large.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import msgspec

ENDLESS = 1_000_000_000
COMPARED_UNITS = 20
"""The cost of each value in an `enum` or `const` of lists and objects, which are compared one by one."""
NUMBER_UNITS = 200
"""The cost of each comparison of two numbers as fractions."""
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
BOUND_UNITS = 8
"""The cost of each comparison with a bound."""
EXPONENT_STEP = 64
"""A number weighs one more per this much of its binary exponent."""
INTEGER_BITS = 16
"""An integer of more than 63 bits weighs one more per this many bits."""
FORMAT_UNITS = {"regex": 8, "idn-hostname": 2}
"""The cost of each character of a text with such a format; for other formats, FORMAT_UNITS_ELSE."""
FORMAT_UNITS_ELSE = 1
PAIR_UNITS = 200
"""The cost of each pair of elements that must differ and can be distinguished only by comparing them: elements whose
integers become the same doubles share a place in the library's table."""
_WHOLE_BITS, _DOUBLE_BITS = 53, 1_023
"""Integers of more bits than the first may become the same double; no double has more bits than the second."""
CONTENT_UNITS = 6
"""The cost of each character of a text that contains JSON (`contentMediaType`, up to draft 7)."""

Schema = dict[str, Any]


def states(pattern: str) -> int:
    """About how many states a regular expression has: its parts, times the numbers in braces."""
    # Each open group: what is complete, and the last part, which a number may still multiply.
    groups = [[0, 0]]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        here = groups[-1]
        if char == "{":
            end = pattern.find("}", at)
            numbers = pattern[at + 1 : end].split(",") if end > 0 else []
            if numbers and all(not each or (each.isascii() and each.isdigit()) for each in numbers):
                here[1] = min(ENDLESS, here[1] * max(1, *(int(each[:9] or 1) for each in numbers)))
                at = end + 1
                continue
        if char == "(":
            groups.append([0, 0])
        elif char == ")" and len(groups) > 1:
            complete, last = groups.pop()
            groups[-1] = [groups[-1][0] + groups[-1][1], complete + last + 1]
        elif char not in "*+?|^$":
            if char == "\\":
                at += 1
            elif char == "[":
                at = max(at, pattern.find("]", at + 2))
            groups[-1] = [here[0] + here[1], 1]
        at += 1
    return min(ENDLESS, 1 + sum(map(sum, groups)))


def units(part: Schema) -> int:
    """What a part of a schema costs for one value, without the parts below it."""
    found = len(part)
    for word in ("required", "properties", "dependentRequired", "dependentSchemas", "dependencies"):
        member = part.get(word)
        found += len(member) if isinstance(member, list | dict) else 0
    for each in [*_list(part.get("enum")), part.get("const")]:
        if type(each) in (list, dict):
            found += COMPARED_UNITS * _size(each)
    return found


def _size(value: Any) -> int:
    if type(value) is dict:
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if type(value) is list else 1


def char_units(part: Schema) -> int:
    """What a part costs for each character of a text."""
    pattern, format = part.get("pattern"), part.get("format")
    found = states(pattern) if type(pattern) is str else 0
    if type(format) is str:
        found += FORMAT_UNITS.get(format, FORMAT_UNITS_ELSE)
    return found + CONTENT_UNITS * ("contentMediaType" in part) + ("contentEncoding" in part)


def number_units(part: Schema) -> int:
    """What a part costs for each number of weight one."""
    found = len(_numbers([part.get("enum"), part.get("const")]))
    found += sum(max(1, weight(each, is_whole=True)) for each in _numbers(part.get("multipleOf")))
    return NUMBER_UNITS * found + BOUND_UNITS * sum(word in part for word in BOUNDS)


def whole(part: Schema) -> bool:
    """Whether a part compares with integers of 64 bits only."""
    numbers = _numbers([part.get("enum"), part.get("const"), part.get("multipleOf")])
    return all(weight(each, is_whole=True) == 0 for each in numbers)


def quoted(part: Schema) -> int:
    """How many bytes of a part its reasons may quote."""
    words = ("enum", "const", "not", "pattern")
    return sum(len(msgspec.json.encode(part[word])) for word in words if word in part)


def weight(number: int | float, *, is_whole: bool) -> int:
    """The weight of a number among those that are compared. `is_whole`: with integers of 64 bits only."""
    if type(number) is int:
        bits = number.bit_length()
        if bits < 64:
            return 0 if is_whole else 1
        return 1 + bits // INTEGER_BITS
    return 1 + abs(math.frexp(number)[1]) // EXPONENT_STEP


def weights(value: Any, most: int, *, is_whole: bool) -> int:
    """The weight of all numbers in a value. Counting stops once it exceeds `most`."""
    found = 0
    waiting = [value]
    while waiting and found <= most:
        here = waiting.pop()
        kind = type(here)
        if kind is int or kind is float:
            found += weight(here, is_whole=is_whole)
        elif kind is dict:
            waiting.extend(here.values())
        elif kind is list:
            waiting.extend(here)
    return found


def alike(value: Any) -> int:
    """How many pairs of elements of one list are the same once their integers are doubles."""
    known: dict[Any, int] = {}
    found = 0

    def number(value: Any) -> int:
        """A different number for each different value."""
        nonlocal found
        kind = type(value)
        if kind is list:
            each = [number(element) for element in value]
            found += sum(count * (count - 1) // 2 for count in Counter(each).values())
            value = ("list", *each)
        elif kind is dict:
            value = ("dict", *sorted((name, number(member)) for name, member in value.items()))
        elif kind is int and value.bit_length() > _WHOLE_BITS:
            value = float(value) if value.bit_length() <= _DOUBLE_BITS else math.inf
        return known.setdefault(value, len(known))

    number(value)
    return found


def _numbers(value: Any) -> list[int | float]:
    """All numbers in a value."""
    found: list[int | float] = []
    waiting = [value]
    while waiting:
        here = waiting.pop()
        kind = type(here)
        if kind is int or kind is float:
            found.append(here)
        elif kind is dict or kind is list:
            waiting.extend(here.values() if kind is dict else here)
    return found


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []
