"""What a schema may cost is bounded when it is declared, and what a value may cost before it is checked."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tidings.model.errors import Invalid
from tidings.rules import schema
from tidings.rules.schema import UNITS_MAX, checked, compiled, places
from tidings.rules.schema_cost import STATES_MAX, WEIGHT_MAX, cost_of, states

NODE = {"$ref": "#/$defs/n"}


def doubling(levels: int, word: str = "allOf") -> dict[str, Any]:
    """Each level asks the next one twice."""
    steps: dict[str, Any] = {f"a{n}": {word: [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**steps, f"a{levels}": {"type": "integer"}}}


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(levels):
        inner = {"allOf": [inner], "unevaluatedProperties": False}
    return inner


def recursive(**words: Any) -> dict[str, Any]:
    return {**NODE, "$defs": {"n": words}}


ENDLESS: dict[str, dict[str, Any]] = {
    "27 levels of allOf": doubling(27),
    "27 levels of anyOf": doubling(27, "anyOf"),
    "27 levels of oneOf": doubling(27, "oneOf"),
    "unevaluated in unevaluated": nested(25),
    "elements in two ways": recursive(items={"allOf": [NODE, NODE]}),
    "members in two ways": recursive(patternProperties={"^a": NODE, "b": NODE}),
    "items and contains": recursive(items=NODE, contains=NODE),
    "if and then": recursive(additionalProperties={"if": NODE, "then": NODE}),
    "a dependency": recursive(properties={"a": NODE}, dependentSchemas={"a": {"properties": {"a": NODE}}}),
    "dynamic references": {
        "$dynamicAnchor": "n",
        "additionalProperties": {"allOf": [{"$dynamicRef": "#n"}, {"$dynamicRef": "#n"}]},
    },
    "a list of large values": {"items": {"enum": [{"a": [n, n, n]} for n in range(1_000)]}},
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_schema_that_asks_too_often_is_refused_with_its_place(name: str) -> None:
    started = time.thread_time()
    with pytest.raises(Invalid, match="checks of one value") as refused:
        checked(ENDLESS[name])
    assert (refused.value.errors[0].pointer or "").startswith("/schema")
    assert time.thread_time() - started < 1  # some ms


USUAL: dict[str, dict[str, Any]] = {
    "an order": {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "string", "pattern": "^o_[0-9]{1,20}$", "maxLength": 64},
            "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        },
    },
    "a binary tree": recursive(type="object", properties={"left": {"description": "x", **NODE}, "right": NODE}),
    "any JSON": recursive(
        anyOf=[
            {"type": ["string", "number", "boolean", "null"]},
            {"type": "array", "items": {"allOf": [NODE]}},
            {"type": "object", "additionalProperties": NODE},
        ]
    ),
    "a tree with other members": recursive(properties={"child": NODE}, additionalProperties=NODE),
    "a list with a head": recursive(prefixItems=[NODE, NODE], items=NODE),
    "itself": {"allOf": [{"$ref": "#"}]},
    "a dynamic tree": {"$dynamicAnchor": "n", "properties": {"c": {"items": {"$dynamicRef": "#n"}}}},
    "addresses and anchors": {
        "$id": "https://example.com/a",
        "$defs": {"b": {"$id": "b.json", "$anchor": "q", "type": "string"}, "c/d": {}},
        "properties": {
            "x": {"$ref": "b.json"},
            "y": {"$ref": "b.json#q"},
            "z": {"$ref": "#/$defs/c~1d"},
            "w": {"$ref": "https://example.com/b.json"},
        },
    },
    "many properties": {"properties": {f"p{n}": {"type": "string"} for n in range(1_000)}},
    "a long enum": {"enum": [f"v{n}" for n in range(3_000)]},
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": "http://example.com/x",
        "definitions": {"a": {"type": "string"}},
        "items": [{"$ref": "#/definitions/a"}],
        "additionalItems": False,
    },
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_schemas_are_not_refused(name: str) -> None:
    validator = checked(USUAL[name])
    assert max(validator.cost.top, validator.cost.below) < WEIGHT_MAX


def test_a_reference_out_of_the_schema_is_refused_with_its_place() -> None:
    meta = {"items": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}
    with pytest.raises(Invalid, match="leads nowhere") as refused:
        checked(meta)
    assert refused.value.errors[0].pointer == "/schema/items/$ref"
    assert compiled(meta).is_valid([{"type": "string"}])  # one that is stored goes on working


def test_a_schema_that_cannot_be_counted_is_refused() -> None:
    parts = [{"properties": {f"x{n}": NODE, f"y{n}": {"$ref": f"#/$defs/m{n}"}}} for n in range(60)]
    more = {f"m{n}": {"properties": {f"x{m}": NODE for m in range(60)}} for n in range(60)}
    started = time.thread_time()
    try:
        checked({**NODE, "$defs": {"n": {"allOf": parts}, **more}})
    except Invalid as refused:
        assert refused.errors
    assert time.thread_time() - started < 2


def test_a_schema_is_bounded_in_bytes() -> None:
    with pytest.raises(Invalid, match="65,536 bytes"):
        checked({"description": "x" * 70_000})


def test_the_way_that_counts_most_is_counted() -> None:
    one: dict[str, Any] = {"properties": {"a": {"type": "string", "minLength": 1}, "b": {"type": "string"}}}
    assert cost_of(one).below == 2
    assert cost_of({"allOf": [one, one], "items": {"type": "null"}}).below == 4
    deep: dict[str, Any] = {"properties": {f"p{n}": {"properties": {"id": {"type": "string"}}} for n in range(50)}}
    assert cost_of(deep).below == 2


@pytest.mark.parametrize(
    ("pattern", "most"),
    [("^t_[0-9]+$", 5), (r"^\d{4}-\d{2}$", 8), (r"[^\]]{3}(a|b){2,5}x*", 25), ("a{,5}b{x}", 12), ("x{", 5)],
)
def test_the_size_of_a_pattern_is_about_its_parts(pattern: str, most: int) -> None:
    assert 1 < states(pattern) <= most


def test_patterns_of_many_states_are_refused() -> None:
    assert states("(a{100}b){100}") > 10_000
    with pytest.raises(Invalid, match="patterns of one text") as refused:
        checked({"properties": {"x": {"pattern": f"a{{{STATES_MAX + 1}}}"}}})
    assert refused.value.errors[0].pointer == "/schema/properties/x"
    with pytest.raises(Invalid, match="patterns of one text"):
        checked({"properties": {"x": {"allOf": [{"pattern": f"{n}{{900}}"} for n in range(9)]}}})


def worst(weight: int) -> dict[str, Any]:
    """A schema of about so many units for each element, all of which hold."""
    return {"items": {"allOf": [{"maximum": 10 + n} for n in range(weight // 2)]}}


@pytest.mark.parametrize("weight", [10, 100, 1_000, 4_000])
def test_what_may_be_checked_is_checked_quickly(weight: int) -> None:
    validator = checked(worst(weight))
    below = validator.cost.below
    count = min(500_000, UNITS_MAX // below - below)
    text = json.dumps([1] * count, separators=(",", ":")).encode()
    assert not validator.costly(text)
    data = [1] * count
    started = time.thread_time()
    assert validator.is_valid(data)
    assert time.thread_time() - started < 1  # some 60 ms
    if count < 100_000:
        assert validator.costly(json.dumps([1] * 4 * count, separators=(",", ":")).encode())


def test_a_long_text_before_a_large_pattern_is_not_checked() -> None:
    validator = checked({"pattern": "^(?:[01]*1[01]{1000}x|[01]*0[01]{1000}y)$"})
    assert validator.costly(b"0" * 1_000_000)
    assert not validator.costly(b"0" * 1_000)


REASONS: dict[str, tuple[dict[str, Any], Any]] = {
    "half a million wrong elements": ({"items": {"type": "string"}}, [1] * 500_000),
    "thirty reasons of a large list": ({"allOf": [{"maxItems": 0}] * 30}, [1] * 500_000),
    "choices over a long list": ({"anyOf": [{"items": {"type": "string"}}] * 10}, [1] * 100_000),
    "choices in lists in lists": (
        recursive(anyOf=[{"type": "string"}, {"type": "array", "items": NODE}]),
        [[[[[[[[[[1] * 100_000]]]]]]]]],
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_large_value_is_refused_quickly(name: str) -> None:
    declared, data = REASONS[name]
    validator = checked(declared)
    started = time.thread_time()
    found = places(validator, data, "/data")
    assert time.thread_time() - started < 1  # some 100 ms
    assert found and len(found) <= schema.ERRORS_MAX


def test_a_small_value_is_told_every_reason() -> None:
    validator = checked(USUAL["an order"])
    lines = [{"n": 1}] * 100 + [{"n": "x"}, {"n": "y"}]
    assert [place.pointer for place in places(validator, {"lines": lines}, "/data")] == [
        "/data",
        "/data/lines/100/n",
        "/data/lines/101/n",
    ]
