"""Values of items in JSON, and as their columns store them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.collection import Field
from tidings.rules.reading import decimals
from tidings.store.base import Dialect
from tidings.store.items import tables


def stored(field: Field, value: Any, dialect: Dialect) -> Any:
    """A valid JSON value as the field's column stores it: times as Micros, objects and arrays as JSON text."""
    if value is None:
        return None
    if field.type == "datetime":
        return moment.from_text(value)
    if field.type in ("object", "array"):
        return msgspec.json.encode(value).decode()
    if field.type == "number":
        return float(value)
    if field.type == "decimal":
        return decimals.read(value)
    if field.type == "boolean" and dialect == "sqlite":
        return int(value)
    return int(value) if field.type == "integer" else value


def shown(field: Field, value: Any) -> Any:
    """A column's value in JSON; objects and arrays as `selected` reads them."""
    if value is None:
        return None
    if field.type == "datetime":
        return moment.to_text(value)
    if field.type in ("object", "array"):
        return msgspec.json.decode(value)
    if field.type == "decimal":
        return decimals.shown(value if isinstance(value, Decimal) else decimals.from_key(value), decimals.scale(field))
    return bool(value) if field.type == "boolean" else value


def unpacking(fields: Iterable[Field], dialect: Dialect) -> dict[str, Callable[[Any], Any]]:
    """Converters for fields whose form differs between columns and items (not for null)."""
    if dialect == "postgres":
        return {}
    forms: dict[str, Callable[[Any], Any]] = {"boolean": bool, "decimal": decimals.from_key}
    return {field.name: forms[field.type] for field in fields if field.type in forms}


def selected(field: Field, dialect: Dialect) -> str:
    """The SQL that reads a field's column: JSON as text, which PostgreSQL's driver would take apart."""
    name = tables.column(field.name)
    return f"{name}::text" if dialect == "postgres" and field.type in ("object", "array") else name


def assigned(field: Field, dialect: Dialect, parameter: str = "value") -> str:
    """The SQL that writes a parameter into a field's column."""
    return f"CAST(:{parameter} AS {_cast(field, dialect)})"


def _cast(field: Field, dialect: Dialect) -> str:
    return tables.column_type(field, dialect).partition(" COLLATE ")[0]
