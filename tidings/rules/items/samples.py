"""A value that is valid for a field, for examples: found by trying, because a pattern only shows what does not
match."""

from __future__ import annotations

from typing import Any

from tidings.model.collection import Field
from tidings.model.errors import Invalid
from tidings.rules.items.field import field_schema
from tidings.rules.reading.schema import compiled

TEXTS = (
    *(
        "text",
        "a",
        "A",
        "abc",
        "ABC",
        "A1",
        "a1",
        "AB-123",
        "abc-123",
        "ABC123",
        "a_b",
        "EUR",
        "AT",
        "de-AT",
        "#a1b2c3",
    ),
    *("#a1b2c3", "1", "12", "123", "1234", "12345", "123456", "123-456", "+4312345678", "/a", "1/a"),
    *("ann@example.com", "example.com", "https://example.com/x", "192.0.2.1", "2001:db8::1"),
    *("2026-11-21", "2026-11-21T01:02:03Z", "01:02:03Z", "P1D", "7f3c1f0e-6a5b-4c3d-9e2f-1a2b3c4d5e6f"),
)
DEEPEST = 8


def sample(field: Field) -> Any:
    """A value that is valid for the field; None if none was found."""
    schema = field_schema(field)
    if field.type in ("object", "array") and field.schema is not None:
        made = _made(schema["items"] if field.type == "array" else schema["allOf"][0], 0)
        candidates = [{}, made] if field.type == "object" else [[], [made], [made] * int(field.min or 0)]
    else:
        candidates = [*TEXTS, "x" * int(field.min or 0)]
    return next((each for each in candidates if _fits(schema, each)), None)


def _fits(schema: Any, value: Any) -> bool:
    try:
        return bool(compiled(schema).is_valid(value))
    except Invalid:
        return False


def _made(schema: Any, depth: int) -> Any:
    """A minimal value that may match a schema."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return None
    for keyword in ("examples", "enum"):
        if schema.get(keyword):
            return schema[keyword][0]
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    kind = schema.get("type", "object" if "properties" in schema else None)
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _made(properties.get(name, {}), depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        return [_made(schema.get("items", {}), depth + 1) for _ in range(min(schema.get("minItems", 0), 10))]
    if kind == "string":
        return next((each for each in (*TEXTS, "x" * schema.get("minLength", 0)) if _fits(schema, each)), None)
    return {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.5), "boolean": True}.get(kind or "")
