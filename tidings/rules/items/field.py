"""What a field's type means: the JSON Schema of its values, and which attributes it may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from tidings.model import moment
from tidings.model.collection import Collection, Field, FieldType
from tidings.rules.reading import decimals

TEXT_CHARS = 10_000
"""The maximum length of a string, in characters, if the field has no `max`."""
INDEXED_CHARS = 500
"""The same if it is unique, filterable or sortable: entries of PostgreSQL's indexes can be at most 2,704 bytes."""
ELEMENTS = 1_000
"""The maximum number of elements of an array, if the field has no `max`."""
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
OWN_ADDRESS = "urn:tidings:field:"
ITEM_ID = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

TYPES: tuple[FieldType, ...] = (
    "string",
    "integer",
    "number",
    "decimal",
    "boolean",
    "datetime",
    "date",
    "enum",
    "object",
    "array",
    "reference",
)
FORMATS = (
    *("date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6"),
    *("uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid"),
    *("json-pointer", "relative-json-pointer", "regex"),
)
"""Every format of JSON Schema 2020-12."""

_DATE = re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]")
_RANGED = ("integer", "number", "decimal", "datetime", "date")
_BOUNDED_BY_US = ("datetime", "date", "decimal")
"""Types whose `min` and `max` JSON Schema cannot express: it sees their values as strings, which sort differently."""
_COMPARED = ("string", "integer", "number", "decimal", "boolean", "datetime", "date", "enum", "reference")
"""The types that lists can compare and sort by; objects and arrays are stored as JSON text."""
_ALONE: dict[str, tuple[str, ...]] = {
    "min": ("string", "array", *_RANGED),
    "max": ("string", "array", *_RANGED),
    "pattern": ("string",),
    "format": ("string",),
    "values": ("enum",),
    "to": ("reference",),
    "schema": ("object", "array"),
    "max_digits": ("decimal",),
    "scale": ("decimal",),
    "unique": _COMPARED,
    "filterable": _COMPARED,
    "sortable": _COMPARED,
    "searchable": ("string",),
}


def may_have(attribute: str, kind: FieldType) -> bool:
    """Whether fields of this type may have the attribute."""
    return attribute not in _ALONE or kind in _ALONE[attribute]


def types_with(attribute: str) -> tuple[str, ...]:
    """The types whose fields may have the attribute."""
    return _ALONE.get(attribute, TYPES)


def operators(kind: FieldType) -> tuple[str, ...]:
    """The operators of filters on fields of this type, besides equality."""
    if kind in ("object", "array"):
        return ()
    found: tuple[str, ...] = ("ne", "in", "nin", "exists")
    if kind in ("string", *_RANGED):
        found += ("gt", "gte", "lt", "lte")
    if kind == "string":
        found += ("starts_with", "contains")
    return found


OWN_TIMES: dict[str, Field] = {
    name: Field(name=name, type="datetime", required=True, filterable=True, sortable=True)
    for name in ("created", "updated")
}
"""The times that every item has, which lists can filter and sort by like declared fields."""


def asked_field(collection: Collection, name: str) -> Field | None:
    """The declared field of this name, or the item's own time."""
    return collection.field(name) or OWN_TIMES.get(name)


def operators_of(field: Field) -> tuple[str, ...]:
    """The operators of filters on a field, besides equality. An item's own time always has a value."""
    return ("gt", "gte", "lt", "lte") if field.name in OWN_TIMES else operators(field.type)


def field_schema(field: Field) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one field's value as callers send it; it does not cover null and absence.

    `min` and `max` of times and decimals are not in it, since JSON Schema cannot express them: see `out_of_bounds`.
    """
    found: dict[str, Any] = dict(_SCHEMAS[field.type](field))
    if field.description:
        found["description"] = field.description
    if field.default is not None:
        found["default"] = field.default
    if field.example is not None:
        found["examples"] = [field.example]
    return found


def is_bounded_by_us(field: Field) -> bool:
    """Whether `out_of_bounds` applies to the field."""
    return field.type in _BOUNDED_BY_US and (field.min is not None or field.max is not None)


def out_of_bounds(field: Field, value: Any) -> tuple[str, str] | None:
    """A code and a sentence if a (well-formed) time or decimal is below the field's `min` or above its `max`."""
    if not is_bounded_by_us(field):
        return None
    at = _ordered(field.type, value)
    more, less = ("more", "less") if field.type == "decimal" else ("later", "earlier")
    if field.min is not None and at < _ordered(field.type, field.min):
        return "too_small", f"{field.name} must be {field.min} or {more}."
    if field.max is not None and at > _ordered(field.type, field.max):
        return "too_large", f"{field.name} must be {field.max} or {less}."
    return None


def is_bound(kind: FieldType, value: object) -> bool:
    """Whether this is the text of a datetime, a date or a decimal."""
    if not isinstance(value, str):
        return False
    try:
        _ordered(kind, value)
    except ValueError:
        return False
    return True


def _ordered(kind: FieldType, value: Any) -> int | Decimal:
    """A time or decimal as a number that can be compared. Raises ValueError."""
    if kind == "decimal":
        return decimals.read(value)
    if kind == "datetime":
        return moment.from_text(value)
    if not _DATE.fullmatch(value):
        raise ValueError("not a date such as 2026-11-21")
    return date.fromisoformat(value).toordinal()


def is_indexed(field: Field) -> bool:
    """Whether the store keeps an index over the field's values."""
    return field.unique or field.filterable or field.sortable or field.type == "reference"


def _string(field: Field) -> dict[str, Any]:
    usual = INDEXED_CHARS if is_indexed(field) else TEXT_CHARS
    found: dict[str, Any] = {"type": "string", "maxLength": usual if field.max is None else field.max}
    if field.min is not None:
        found["minLength"] = field.min
    if field.pattern is not None:
        found["pattern"] = field.pattern
    if field.format is not None:
        found["format"] = field.format
    return found


def _integer(field: Field) -> dict[str, Any]:
    low = INTEGER_MIN if field.min is None else max(INTEGER_MIN, int(field.min))
    high = INTEGER_MAX if field.max is None else min(INTEGER_MAX, int(field.max))
    return {"type": "integer", "format": "int64", "minimum": low, "maximum": high}


def _number(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "number"}
    if field.min is not None:
        found["minimum"] = field.min
    if field.max is not None:
        found["maximum"] = field.max
    return found


def _decimal(field: Field) -> dict[str, Any]:
    chars = decimals.chars_max(field)
    return {"type": "string", "format": "decimal", "pattern": decimals.pattern(field), "maxLength": chars}


def _object(field: Field) -> dict[str, Any]:
    if field.schema is None:
        return {"type": "object"}
    return {"type": "object", "allOf": [_inner(field)]}


def _array(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "array", "maxItems": ELEMENTS if field.max is None else field.max}
    if field.min is not None:
        found["minItems"] = field.min
    if field.schema is not None:
        found["items"] = _inner(field)
    return found


def _inner(field: Field) -> dict[str, Any]:
    """The caller's own schema. With its own address, its `#/$defs/x` stay valid inside ours."""
    assert field.schema is not None
    return {"$id": f"{OWN_ADDRESS}{field.name}", **field.schema} if _refers(field.schema) else field.schema


def _refers(schema: Any) -> bool:
    if isinstance(schema, dict):
        return any(name in ("$ref", "$dynamicRef") or _refers(value) for name, value in schema.items())
    return isinstance(schema, list) and any(map(_refers, schema))


_SCHEMAS: dict[FieldType, Callable[[Field], dict[str, Any]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "decimal": _decimal,
    "boolean": lambda field: {"type": "boolean"},
    "datetime": lambda field: {"type": "string", "format": "date-time", "maxLength": moment.TEXT_CHARS_MAX},
    "date": lambda field: {"type": "string", "format": "date", "maxLength": 10},
    "enum": lambda field: {"type": "string", "enum": list(field.values)},
    "object": _object,
    "array": _array,
    "reference": lambda field: {"type": "string", "pattern": ITEM_ID, "maxLength": 64},
}
