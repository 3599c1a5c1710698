"""What a schema may cost is bounded when it is declared, and what a value may cost before it is checked."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tidings.model.errors import Invalid
from tidings.rules.reading import schema
from tidings.rules.reading.schema import UNITS_MAX, Validator, checked, compiled, places
from tidings.rules.reading.schema_cost import STATES_MAX, WEIGHT_MAX, cost_of
from tidings.rules.reading.schema_words import states

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
    with pytest.raises(Invalid, match="points to nothing") as refused:
        checked(meta)
    assert refused.value.errors[0].pointer == "/schema/items/$ref"
    assert compiled(meta).is_valid([{"type": "string"}])  # one that is stored continues working


@pytest.mark.slow
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
    with pytest.raises(Invalid, match="patterns for one text") as refused:
        checked({"properties": {"x": {"pattern": f"a{{{STATES_MAX + 1}}}"}}})
    assert refused.value.errors[0].pointer == "/schema/properties/x"
    with pytest.raises(Invalid, match="patterns for one text"):
        checked({"properties": {"x": {"allOf": [{"pattern": f"{n}{{900}}"} for n in range(9)]}}})


def is_costly(validator: Validator, value: Any) -> bool:
    return validator.costly(json.dumps(value, separators=(",", ":")).encode(), value)


def worst(weight: int) -> dict[str, Any]:
    """A schema of about this many units for each element, all of which hold."""
    return {"items": {"allOf": [{"maximum": 10 + n} for n in range(weight // 2)]}}


@pytest.mark.slow
@pytest.mark.parametrize("weight", [10, 100, 1_000, 4_000])
@pytest.mark.few(2)
def test_what_may_be_checked_is_checked_quickly(weight: int) -> None:
    validator = checked(worst(weight))
    below = validator.cost.below
    count = min(500_000, UNITS_MAX // below - below)
    data = [1] * count
    assert not is_costly(validator, data)
    started = time.thread_time()
    assert validator.is_valid(data)
    assert time.thread_time() - started < 1  # some 60 ms
    if count < 100_000:
        assert is_costly(validator, [1] * 4 * count)


def test_a_long_text_before_a_large_pattern_is_not_checked() -> None:
    validator = checked({"pattern": "^(?:[01]*1[01]{1000}x|[01]*0[01]{1000}y)$"})
    assert is_costly(validator, "0" * 1_000_000)
    assert not is_costly(validator, "0" * 1_000)


NAMES = {f"{'A' * 35}{n}": n for n in range(3_000)}
REASONS: dict[str, tuple[dict[str, Any], Any]] = {
    "half a million wrong elements": ({"items": {"type": "string"}}, [1] * 500_000),
    "thirty reasons of a large list": ({"allOf": [{"maxItems": 0}] * 30}, [1] * 500_000),
    "three thousand wrong names": ({"propertyNames": {"maxLength": 3}}, NAMES),
    "wrong names, through a reference": ({"$ref": "#/$defs/n", "$defs": {"n": {"propertyNames": False}}}, NAMES),
    "wrong names that are listed": ({"dependentSchemas": {f"{'A' * 35}0": {"propertyNames": {"enum": []}}}}, NAMES),
    "wrong names further down": ({"items": {"properties": {"a": {"propertyNames": {"const": 1}}}}}, [{"a": NAMES}]),
    "a long list quoted by each reason": ({"items": {"enum": [f"{n:060}" for n in range(1_000)]}}, [1] * 15_000),
    "a long pattern quoted by each reason": ({"items": {"not": {"enum": ["x" * 60_000, "a"]}}}, ["a"] * 9_000),
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


def test_a_small_value_gets_every_reason() -> None:
    validator = checked(USUAL["an order"])
    lines = [{"n": 1}] * 100 + [{"n": "x"}, {"n": "y"}]
    assert [place.pointer for place in places(validator, {"lines": lines}, "/data")] == [
        "/data",
        "/data/lines/100/n",
        "/data/lines/101/n",
    ]


NUMBERS: dict[str, tuple[dict[str, Any], Any, int]] = {
    "cents of huge numbers": ({"items": {"multipleOf": 0.01}}, 1e300, 100_000),
    "cents of tiny numbers": ({"items": {"multipleOf": 0.5}}, 1e-300, 100_000),
    "a tiny step": ({"properties": {"a": {"items": {"multipleOf": 1e-300}}}}, 1, 100_000),
    "a long list of fractions": ({"items": {"not": {"enum": [n + 0.5 for n in range(3_000)]}}}, 0.25, 5_000),
    "integers that are not those of a list": ({"items": {"not": {"enum": list(range(3_000))}}}, 0.5, 5_000),
    "integers of many digits": ({"items": {"not": {"enum": list(range(300))}}}, 10**300, 1_000),
    "bounds of integers of many digits": ({"items": {"allOf": [{"minimum": n} for n in range(2_000)]}}, 10**300, 100),
    "bounds of huge numbers": ({"items": {"allOf": [{"minimum": n} for n in range(2_000)]}}, 1e300, 1_000),
    "a whole step of fractions": ({"items": {"not": {"multipleOf": 7}}}, 1.5, 200_000),
    "lists of fractions": ({"items": {"not": {"enum": [[n] for n in range(100)]}}}, [0.5], 50_000),
    "many constants": ({"items": {"allOf": [{"not": {"const": n + 0.5}} for n in range(100)]}}, 0.25, 50_000),
    "patterns that are looked through": ({"allOf": [{"not": {"format": "regex"}}] * 30}, "(", 1_000_000),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_what_a_number_or_text_truly_costs_is_counted(name: str) -> None:
    declared, each, count = NUMBERS[name]
    value: Any = each * count if type(each) is str else [each] * count
    if "properties" in declared:
        value = {"a": value}
    validator = checked(declared)
    assert is_costly(validator, value) and schema.is_over(validator.cost, value)
    assert not schema.is_free(validator.cost)


@pytest.mark.slow
def test_usual_numbers_are_checked_in_large_values_too() -> None:
    prices = checked({"items": {"type": "number", "multipleOf": 0.01}})
    assert not is_costly(prices, [n / 100 for n in range(30_000)])
    places = checked({"items": {"items": {"minimum": -180, "maximum": 180}}})
    assert not is_costly(places, [[n / 1000, 50.5] for n in range(40_000)])
    sevens = checked({"items": {"multipleOf": 7}})
    assert not is_costly(sevens, [14] * 300_000)
    answers = checked({"items": {"enum": list(range(100, 600))}})
    assert not is_costly(answers, [200] * 100_000)


def test_unmatched_alternatives_are_explained_in_plain_words() -> None:
    validator = schema.compiled({"anyOf": [{"type": "string"}, {"type": "null"}]})
    (place,) = schema.places(validator, 3, "/data")
    assert place.detail == "The value matches none of the alternatives in the schema's anyOf."


UNIQUE = {"properties": {"a": {"type": "array", "uniqueItems": True}}}
NEAR = 2**62
"""From here on a thousand integers become the same double."""


@pytest.mark.parametrize(
    "elements",
    [
        list(range(NEAR, NEAR + 40_000)),
        list(range(-NEAR, -NEAR + 2_000)),
        [[n] for n in range(NEAR, NEAR + 2_000)],
        [{"x": [n], "y": 1} for n in range(NEAR, NEAR + 2_000)],
        [10**400 + n for n in range(2_000)],
    ],
    ids=lambda elements: str(elements[0])[:30],
)
def test_elements_that_are_compared_one_by_one_are_not(elements: list[Any]) -> None:
    """40,000 integers that become few doubles took `uniqueItems` nine seconds."""
    validator, value = checked(UNIQUE), {"a": elements}
    text = json.dumps(value).encode()
    assert validator.costly(text, value) and schema.is_over(validator.cost, value)


@pytest.mark.parametrize(
    "elements",
    [
        [(n * 0x9E3779B97F4A7C15) % 2**63 for n in range(5_000)],
        [{"tenant": NEAR + 1, "n": n} for n in range(5_000)],
        list(range(20_000)),
        [str(n) for n in range(20_000)],
        list(range(NEAR, NEAR + 100)),
    ],
    ids=lambda elements: str(elements[1])[:30],
)
def test_usual_elements_may_be_unique(elements: list[Any]) -> None:
    validator, value = checked(UNIQUE), {"a": elements}
    assert not validator.costly(json.dumps(value).encode(), value) and not schema.is_over(validator.cost, value)
    started = time.thread_time()
    assert validator.is_valid(value)
    assert time.thread_time() - started < 1
