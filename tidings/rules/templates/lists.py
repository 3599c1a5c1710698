"""The filters of templates that make, sort and choose from lists, in the same form as those in filters.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidings.rules.templates.filters import OF_VALUES, Filter
from tidings.rules.templates.meter import SLOT, STEP, RenderingMeter
from tidings.rules.templates.numbers import encode
from tidings.rules.templates.operations import at
from tidings.rules.templates.values import (
    MISSING,
    calculate,
    described,
    elements,
    is_number,
    is_true,
    ordered,
    text,
)

RANGE_MAX = 100_000


def range_(meter: RenderingMeter, *bounds: Any) -> list[int]:
    """Whole numbers from a start up to, but not including, an end."""
    if not 1 <= len(bounds) <= 3 or any(type(each) is not int for each in bounds) or 0 in bounds[2:]:
        raise ValueError("range requires one to three whole numbers")
    found = range(*bounds)
    if len(found) > RANGE_MAX:
        raise ValueError(f"range makes at most {RANGE_MAX:,} numbers")
    meter.spend(SLOT * len(found))
    return list(found)


def dict_(meter: RenderingMeter, value: Any = MISSING, /, **more: Any) -> dict[str, Any]:
    """An object of names and values, perhaps added to another."""
    if value is not MISSING and type(value) is not dict:
        raise ValueError(f"{described(value)} is not an object")
    meter.call(value)
    named = {name: each for name, each in more.items() if each is not MISSING}
    return {**({} if value is MISSING else value), **named}


def count(meter: RenderingMeter, value: Any) -> int:
    """How many elements, names or characters a value has."""
    if type(value) in (str, list, dict):
        return len(value)
    if value is MISSING or value is None:
        return 0
    raise ValueError(f"{described(value)} has no length")


def join(meter: RenderingMeter, value: Any, separator: Any = "", attribute: Any = MISSING) -> str:
    """The elements of a list as one text."""
    by = text(separator, meter)
    found = []
    for each in elements(value, meter):
        written = text(each if attribute is MISSING else at(each, attribute, meter), meter)
        meter.spend(len(written) + len(by) + SLOT)
        found.append(written)
    return by.join(found)


def first(meter: RenderingMeter, value: Any) -> Any:
    """The first element; missing if there is none."""
    return next(iter(elements(value, meter)), MISSING)


def last(meter: RenderingMeter, value: Any) -> Any:
    """The last element; missing if there is none."""
    found = elements(value, meter)
    return found[-1] if found else MISSING


def reverse(meter: RenderingMeter, value: Any) -> Any:
    """A text or a list, backwards."""
    return value[::-1] if type(value) in (str, list) else elements(value, meter)[::-1]


def items(meter: RenderingMeter, value: Any) -> list[list[Any]]:
    """The names and values of an object, as pairs."""
    if value is MISSING or value is None:
        return []
    if type(value) is not dict:
        raise ValueError(f"{described(value)} is not an object")
    meter.spend(3 * SLOT * len(value))
    return [[name, each] for name, each in value.items()]


def dictsort(
    meter: RenderingMeter, value: Any, case_sensitive: Any = False, by: Any = "key", reverse: Any = False
) -> list[Any]:
    """The pairs of an object in the order of their names, or with `by='value'` of their values."""
    return sort(meter, items(meter, value), reverse, case_sensitive, 1 if by == "value" else 0)


def sort(
    meter: RenderingMeter, value: Any, reverse: Any = False, case_sensitive: Any = False, attribute: Any = MISSING
) -> list[Any]:
    """A list in order: numbers, or texts, or elements by what they have at `attribute`."""
    found = elements(value, meter)
    meter.spend(STEP * len(found))
    keyed = [(_key(each, attribute, is_true(case_sensitive), meter), each) for each in found]
    kinds = {is_number(key) for key, _ in keyed}
    if len(kinds) > 1:
        raise ValueError("numbers and texts cannot be sorted together")
    meter.spend(sum(len(key) for key, _ in keyed if type(key) is str) * max(1, len(keyed)).bit_length())
    return [each for _, each in sorted(keyed, key=lambda pair: pair[0], reverse=is_true(reverse))]


def _key(value: Any, attribute: Any, is_exact: bool, meter: RenderingMeter) -> Any:
    key = value if attribute is MISSING else at(value, attribute, meter)
    if type(key) is str:
        return key if is_exact else key.lower()
    if type(key) in (int, float):
        return key
    raise ValueError(f"{described(key)} cannot be sorted")


def _extreme(sign: str) -> Filter:
    def found(meter: RenderingMeter, value: Any) -> Any:
        best = MISSING
        for each in elements(value, meter):
            meter.spend(STEP)
            if best is MISSING or ordered(sign, each, best, meter):
                best = each
        return best

    return found


def sum_(meter: RenderingMeter, value: Any, attribute: Any = MISSING, start: Any = 0) -> Any:
    """The sum of numbers."""
    found = start
    for each in elements(value, meter):
        meter.spend(STEP)
        each = each if attribute is MISSING else at(each, attribute, meter)
        if not is_number(each) or not is_number(found):
            raise ValueError(f"unable to add {described(each)}")
        found = calculate("+", found, each, meter)
    return found


def unique(meter: RenderingMeter, value: Any, case_sensitive: Any = False, attribute: Any = MISSING) -> list[Any]:
    """A list without repetitions."""
    found: dict[bytes, Any] = {}
    for each in elements(value, meter):
        found.setdefault(_mark(each, attribute, is_true(case_sensitive), meter), each)
    return list(found.values())


def groupby(meter: RenderingMeter, value: Any, attribute: Any, case_sensitive: Any = False) -> list[list[Any]]:
    """Pairs of a value at `attribute` and the list of elements that have it."""
    found: dict[bytes, list[Any]] = {}
    for each in elements(value, meter):
        mark = _mark(each, attribute, is_true(case_sensitive), meter)
        common = at(each, attribute, meter)
        found.setdefault(mark, [None if common is MISSING else common, []])[1].append(each)
    return list(found.values())


def _mark(value: Any, attribute: Any, is_exact: bool, meter: RenderingMeter) -> bytes:
    value = value if attribute is MISSING else at(value, attribute, meter)
    meter.spend(STEP)
    meter.weigh(value)
    value = value.lower() if type(value) is str and not is_exact else value
    return b"" if value is MISSING else encode(value)


def batch(meter: RenderingMeter, value: Any, size: Any, fill: Any = MISSING) -> list[list[Any]]:
    """The elements in lists of `size` each; `fill` pads the last one."""
    if type(size) is not int or not 1 <= size <= RANGE_MAX:
        raise ValueError("batch requires the size of a list")
    found = elements(value, meter)
    meter.spend(2 * SLOT * len(found) + SLOT * size)
    several = [found[begin : begin + size] for begin in range(0, len(found), size)]
    if several and fill is not MISSING:
        several[-1] = several[-1] + [fill] * (size - len(several[-1]))
    return several


def chain(meter: RenderingMeter, value: Any, *more: Any) -> list[Any]:
    """Several lists as one."""
    found: list[Any] = []
    for each in (value, *more):
        meter.call(each)
        found += elements(each, meter)
    return found


def zip_(meter: RenderingMeter, value: Any, *more: Any) -> list[list[Any]]:
    """A list of the first elements of all lists, one of the second elements, and so on."""
    several = [elements(each, meter) for each in (value, *more)]
    meter.spend(SLOT * (len(several) + 1) * min(map(len, several)))
    return [list(each) for each in zip(*several, strict=False)]


def list_(meter: RenderingMeter, value: Any) -> list[Any]:
    """The elements of a list, the names of an object, or the characters of a text."""
    return elements(value, meter)


FILTERS: Mapping[str, Filter] = {
    **OF_VALUES,
    "attr": lambda meter, value, name: at(value, name, meter),
    "batch": batch,
    "chain": chain,
    "count": count,
    "dictsort": dictsort,
    "first": first,
    "groupby": groupby,
    "items": items,
    "join": join,
    "last": last,
    "length": count,
    "list": list_,
    "max": _extreme(">"),
    "min": _extreme("<"),
    "reverse": reverse,
    "sort": sort,
    "sum": sum_,
    "unique": unique,
    "zip": zip_,
}
FUNCTIONS: Mapping[str, Filter] = {"dict": dict_, "range": range_}
