"""A filter as rows of a form, and back: each row compares one field with one value, and all of them must be true."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.errors import Invalid

ROWS = 3
ROWS_MAX = 20
OPERATORS = (
    ("$eq", "is"),
    ("$ne", "is not"),
    ("$gte", "is at least"),
    ("$lte", "is at most"),
    ("$startsWith", "starts with"),
    ("$contains", "contains"),
    ("$exist", "exists (true or false)"),
)
_NAMES = dict(OPERATORS)


class Row(msgspec.Struct, frozen=True):
    """One condition; without a field it is not filled in."""

    field: str = ""
    operator: str = "$eq"
    value: str = ""


def filter_of(rows: list[Row]) -> dict[str, Any] | None:
    """The filter for these rows; None if no row is filled in. Raises Invalid."""
    filled = [row for row in rows if row.field or row.value]
    if len(filled) > ROWS_MAX:
        raise Invalid(f"There may be at most {ROWS_MAX} conditions.")
    made: dict[str, Any] = {}
    for row in filled:
        steps = row.field.split(".")
        if not all(steps):
            raise Invalid(f"{row.field[:100]!r} is not a field. Enter the path of a field, such as data.total.")
        if row.operator not in _NAMES:
            raise Invalid("Choose a comparison from the list.")
        at = made
        for step in steps:
            at = at.setdefault(step, {})
            if not isinstance(at, dict):
                raise Invalid(f"Two conditions on {row.field[:100]} contradict each other.")
        if row.operator in at:
            raise Invalid(f"Two conditions make the same comparison with {row.field[:100]}. Leave one out.")
        at[row.operator] = _value(row)
    return made or None


def rows_of(pattern: Any) -> list[Row] | None:
    """The rows that show a filter, with empty ones after them; None if rows cannot show it."""
    found: list[Row] = []
    if pattern is not None and not _collect(pattern, [], found):
        return None
    if len(found) > ROWS_MAX:
        return None
    return found + [Row()] * max(1, ROWS - len(found))


def _collect(value: Any, steps: list[str], found: list[Row]) -> bool:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in _NAMES and steps:
                if isinstance(inner, dict | list) or not _is_alike(inner):
                    return False
                found.append(Row(".".join(steps), name, _text(inner)))
            elif name.startswith("$") or "." in name or not name or not _collect(inner, [*steps, name], found):
                return False
        return bool(value) or not steps
    if isinstance(value, list) or not steps or not _is_alike(value):
        return False
    found.append(Row(".".join(steps), "$eq", _text(value)))
    return True


def _is_alike(value: Any) -> bool:
    """Whether the form reads the value's text as the same value again."""
    return bool(_read(_text(value)) == value and type(_read(_text(value))) is type(value))


def _value(row: Row) -> Any:
    value = _read(row.value)
    if row.operator == "$exist" and not isinstance(value, bool):
        raise Invalid(f"For {row.field[:100]}, enter true or false.")
    if row.operator in ("$startsWith", "$contains") and not isinstance(value, str):
        return row.value
    return value


def _read(text: str) -> Any:
    """A number, true, false or null; anything else is a text, as is what has quotes around it."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return text if isinstance(value, dict | list) else value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return msgspec.json.encode(value).decode() if _read(value) != value else value
    return msgspec.json.encode(value).decode()
