"""Conditions on items: a list's filters and a permit's row rule, as a small tree.

One tree, two readers: `holds` decides in memory, store/items/conditions.py writes the same as SQL. Missing fields are
null, and null is a value: it equals only itself, `ne` and `nin` are true for it, every other comparison is false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from tidings.rules.reading.refused import Refused, escaped

Op = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "exists", "starts_with", "contains"]

DEPTH_MAX = 16
PARTS_MAX = 100
VALUES_MAX = 100


class Compare(msgspec.Struct, frozen=True):
    """One field compared with a stored value, or with a tuple of them for `in` and `nin`."""

    field: str
    op: Op
    value: Any


class Both(msgspec.Struct, frozen=True):
    """All parts are true; without parts, always true."""

    parts: tuple[Condition, ...]


class Either(msgspec.Struct, frozen=True):
    """At least one part is true."""

    parts: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True):
    """The part is false."""

    part: Condition


Condition = Compare | Both | Either | Not
ALWAYS = Both(())
NEVER = Either(())


def both(parts: Iterable[Condition]) -> Condition:
    """All of these conditions, without needless layers."""
    found: list[Condition] = []
    for part in parts:
        found.extend(part.parts if isinstance(part, Both) else (part,))
    return found[0] if len(found) == 1 else Both(tuple(found))


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Whether an item matches. `values` are in stored form; missing ones are null."""
    if isinstance(condition, Compare):
        return _TESTS[condition.op](values.get(condition.field), condition.value)
    if isinstance(condition, Both):
        return all(holds(part, values) for part in condition.parts)
    if isinstance(condition, Either):
        return any(holds(part, values) for part in condition.parts)
    return not holds(condition.part, values)


def fixed(condition: Condition) -> dict[str, Any]:
    """The fields whose value a condition fixes: an item created under it gets these."""
    parts = condition.parts if isinstance(condition, Both) else (condition,)
    return {part.field: part.value for part in parts if isinstance(part, Compare) and part.op == "eq"}


def fields(condition: Condition) -> set[str]:
    """The fields that a condition names."""
    if isinstance(condition, Compare):
        return {condition.field}
    if isinstance(condition, Not):
        return fields(condition.part)
    return set().union(*(fields(part) for part in condition.parts))


# --- row rules: JSON patterns -----------------------------------------------------------------------------------------

Convert = Callable[[str, Any, str], Any]
"""Converts a JSON value to its stored form. Called with the field's name, the value and its pointer. Raises Refused."""

_OPERATORS: dict[str, Op] = {
    "$eq": "eq",
    "$ne": "ne",
    "$gt": "gt",
    "$gte": "gte",
    "$lt": "lt",
    "$lte": "lte",
    "$in": "in",
    "$nin": "nin",
    "$exist": "exists",
    "$startsWith": "starts_with",
    "$contains": "contains",
}


def read_pattern(pattern: object, convert: Convert) -> Condition:
    """The condition of a row rule such as `{"tenant": "$tenant", "price": {"$lt": 10}}`, with $or, $and and $not.

    `convert` knows the fields. Raises Refused with the place in the pattern.
    """
    return _Reader(convert).members(pattern, "", 1)


class _Reader:
    def __init__(self, convert: Convert) -> None:
        self._convert = convert
        self._parts = 0

    def members(self, pattern: object, at: str, depth: int) -> Condition:
        if not isinstance(pattern, dict):
            raise _refused(at, 'A row rule must be an object such as {"tenant": "$tenant"}.')
        if depth > DEPTH_MAX:
            raise _refused(at, f"A row rule may be nested at most {DEPTH_MAX} levels deep.")
        parts: list[Condition] = []
        for name, asked in pattern.items():
            here = f"{at}/{escaped(name)}"
            self._parts += 1
            if self._parts > PARTS_MAX:
                raise _refused(here, f"A row rule may have at most {PARTS_MAX} fields and operators.")
            if name == "$not":
                parts.append(Not(self.members(asked, here, depth + 1)))
            elif name in ("$or", "$and"):
                parts.append(self.choices(name, asked, here, depth))
            elif name.startswith("$"):
                raise _refused(here, f"{name[:40]} must apply to a field; only $or, $and and $not can be used here.")
            else:
                parts.append(self.field(name, asked, here))
        return both(parts)

    def choices(self, name: str, asked: object, at: str, depth: int) -> Condition:
        if not isinstance(asked, list) or not asked:
            raise _refused(at, f"{name} requires a list of at least one pattern.")
        parts = tuple(self.members(each, f"{at}/{index}", depth + 1) for index, each in enumerate(asked))
        return Either(parts) if name == "$or" else both(parts)

    def field(self, name: str, asked: object, at: str) -> Condition:
        if not isinstance(asked, dict):
            return Compare(name, "eq", self._convert(name, asked, at))
        if not asked:
            raise _refused(at, "Give a value, or operators such as $in.")
        return both([self.operator(name, each, value, f"{at}/{escaped(each)}") for each, value in asked.items()])

    def operator(self, name: str, operator_name: str, value: Any, at: str) -> Condition:
        self._parts += 1
        op = _OPERATORS.get(operator_name)
        if op is None:
            raise _refused(at, f"{operator_name[:40]} is not a known operator; use one of {' '.join(_OPERATORS)}.")
        if op == "exists":
            if not isinstance(value, bool):
                raise _refused(at, "$exist requires true or false.")
            self._convert(name, None, at)
            return Compare(name, op, value)
        if op in ("in", "nin"):
            if not isinstance(value, list) or not 1 <= len(value) <= VALUES_MAX:
                raise _refused(at, f"{operator_name} requires a list of 1 to {VALUES_MAX} values.")
            return Compare(
                name, op, tuple(self._convert(name, each, f"{at}/{index}") for index, each in enumerate(value))
            )
        stored = self._convert(name, value, at)
        if op in ("starts_with", "contains") and not isinstance(stored, str):
            raise _refused(at, f"{operator_name} requires a string, and applies only to string fields.")
        if op not in ("eq", "ne") and (stored is None or isinstance(stored, bool)):
            raise _refused(at, f"{operator_name} requires a number, a string or a time.")
        return Compare(name, op, stored)


def _refused(at: str, detail: str) -> Refused:
    return Refused(at, "rows", detail)


# --- tests in memory --------------------------------------------------------------------------------------------------


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, asked: value is not None and compare(value, asked)


_TESTS: dict[Op, Callable[[Any, Any], bool]] = {
    "eq": lambda value, asked: bool(value == asked),
    "ne": lambda value, asked: bool(value != asked),
    "gt": _ordered(operator.gt),
    "gte": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "lte": _ordered(operator.le),
    "in": lambda value, asked: value in asked,
    "nin": lambda value, asked: value not in asked,
    "exists": lambda value, asked: (value is not None) is asked,
    "starts_with": lambda value, asked: value is not None and value.startswith(asked),
    "contains": lambda value, asked: value is not None and asked in value,
}
