"""What a field's type means."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.model.collection import Field
from tidings.rules.items.field import FORMATS, TYPES, field_schema, is_bound, out_of_bounds
from tidings.rules.reading.schema import compiled

INNER = {"type": "object", "$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}}}


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ({"type": "string"}, ["", "x" * 10_000], ["x" * 10_001, 1, None, True, []]),
        ({"type": "string", "min": 2, "max": 3, "pattern": "^a"}, ["ab", "abc"], ["a", "abcd", "ba"]),
        ({"type": "string", "format": "email"}, ["a@b.example"], ["a", ""]),
        ({"type": "integer"}, [0, -(2**63), 2**63 - 1, 3.0], [2**63, -(2**63) - 1, 1.5, "1", True]),
        ({"type": "integer", "min": 1, "max": 3}, [1, 3], [0, 4]),
        ({"type": "number", "min": 0.5}, [0.5, 1, 1e300], [0.4, "1", False]),
        ({"type": "boolean"}, [True, False], [0, 1, "true", None]),
        ({"type": "datetime"}, ["2026-11-21T01:02:03Z", "2026-11-21T01:02:03.5+01:00"], ["2026-11-21", "x", 1]),
        ({"type": "date"}, ["2026-11-21"], ["2026-11-31", "2026-1-1", "2026-11-21T01:02:03Z", 20261121]),
        ({"type": "enum", "values": ("a", "b")}, ["a"], ["c", None, 1]),
        ({"type": "object"}, [{}, {"a": [1]}], [[], "x", None]),
        ({"type": "object", "schema": INNER}, [{}, {"n": 1}], [{"n": "1"}, []]),
        ({"type": "array"}, [[], [1] * 1000], [[1] * 1001, {}, "x"]),
        ({"type": "array", "min": 1, "max": 2, "schema": INNER}, [[{"n": 1}]], [[], [{}] * 3, [1], [{"n": "1"}]]),
        ({"type": "reference", "to": "x"}, ["itm_1", "a.b-c", "x" * 64], ["", "-a", "x" * 65, "a b", "ä", 1]),
    ],
)
def test_schemas_take_what_fits_and_nothing_else(field: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    # As it will stand inside the schema of a whole item.
    whole = {"type": "object", "properties": {"f": field_schema(Field(name="f", **field))}}
    validator = compiled(whole)
    assert [value for value in good if not validator.is_valid({"f": value})] == []
    assert [value for value in bad if validator.is_valid({"f": value})] == []


def test_every_type_has_a_schema_with_its_description() -> None:
    for kind in TYPES:
        schema = field_schema(Field(name="f", type=kind, description="It.", example="x", values=("x",), to="x"))
        assert schema["description"] == "It." and schema["examples"] == ["x"] and compiled(schema) is not None


def test_every_format_is_known_to_the_validator() -> None:
    for name in FORMATS:
        validator = compiled(field_schema(Field(name="f", type="string", format=name)))
        assert not validator.is_valid("[\x00 %"), name


@pytest.mark.parametrize(
    ("kind", "low", "high", "value", "code"),
    [
        ("date", "2026-01-01", None, "2025-12-31", "too_small"),
        ("date", "2026-01-01", "2026-01-01", "2026-01-01", None),
        ("date", None, "2026-01-01", "2026-01-02", "too_large"),
        ("datetime", "2026-01-01T00:00:00Z", None, "2026-01-01T00:30:00+01:00", "too_small"),
        ("datetime", None, "2026-01-01T00:00:00Z", "2025-12-31T23:00:00-01:00", None),
        ("integer", 1, None, 0, None),
    ],
)
def test_times_have_their_bounds(kind: Any, low: Any, high: Any, value: Any, code: str | None) -> None:
    found = out_of_bounds(Field(name="f", type=kind, min=low, max=high), value)
    assert (found and found[0]) == code


def test_is_bound() -> None:
    assert is_bound("date", "2026-02-28") and not is_bound("date", "2026-02-30") and not is_bound("date", 3)
    assert not is_bound("date", "20260228") and not is_bound("date", "2026-W09-6")
    assert is_bound("datetime", "2026-02-28T00:00:00Z") and not is_bound("datetime", "2026-02-28")
