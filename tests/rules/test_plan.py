"""Plans: from what is there to what shall be there, in an order that can be done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.declarations import worlds
from tidings.model.collection import Collection
from tidings.rules.declare import plan as rules
from tidings.rules.declare.declaration import read
from tidings.rules.declare.plan import Plan


def there(world: dict[str, Any]) -> dict[str, Collection]:
    return {each.collection.name: each.collection for each in read(world)}


def planned(before: dict[str, Any], after: dict[str, Any], **more: Any) -> Plan:
    beside = before if not more.get("prune") else ()
    return rules.plan(there(before), read(after, "/collections", beside), lambda name: f"/collections/{name}", **more)


def steps(plan: Plan) -> list[str]:
    """The steps in short: `drop_field t.a`."""
    found = []
    for step in plan.steps:
        field = getattr(step, "field", None) or getattr(step, "after", None)
        name = getattr(field, "name", field)
        was = getattr(step, "was", None)
        told = f"{step.__struct_config__.tag} {step.collection}"
        found.append(told + (f".{name}" if name and name != step.collection else "") + (f" was {was}" if was else ""))
    return found


def refused(plan: Plan) -> list[tuple[str | None, str]]:
    return [(place.pointer, place.code) for place in plan.refusals]


def asked(plan: Plan) -> list[str]:
    return [f"{ask.what} {ask.collection}.{ask.after.name}" for ask in plan.requirements]


S = {"type": "string"}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {"t": {}}, ["create_collection t"]),
        ({"t": {}}, {}, []),
        ({"t": {}}, {"t": {"description": "x"}}, ["change_collection t"]),
        ({"t": {"fields": {"a": S}}}, {"t": {"fields": {"a": S, "b": S}}}, ["add_field t.b"]),
        ({"t": {"fields": {"a": S, "b": S}}}, {"t": {"fields": {"b": S}}}, ["drop_field t.a"]),
        ({"t": {"fields": {"a": S}}}, {"t": {"fields": {"b": {**S, "was": "a"}}}}, ["rename_field t.b was a"]),
        ({"t": {"fields": {"a": S}}}, {"u": {"was": "t", "fields": {"a": S}}}, ["rename_collection u was t"]),
        (
            {"t": {"fields": {"a": S, "b": S}}},
            {"t": {"fields": {"b": {**S, "was": "a"}, "c": {**S, "was": "b"}}}},
            ["rename_field t.c was b", "rename_field t.b was a"],
        ),
        (
            {"a": {}, "b": {}},
            {"b": {"was": "a"}, "c": {"was": "b"}},
            ["rename_collection c was b", "rename_collection b was a"],
        ),
        (
            {"t": {"fields": {"a": S}}},
            {"t": {"fields": {"b": {**S, "was": "a"}, "a": S}}},
            ["rename_field t.b was a", "add_field t.a"],
        ),
        ({"t": {}}, {"u": {"was": "t"}, "t": {}}, ["rename_collection u was t", "create_collection t"]),
        ({"t": {"fields": {"a": "integer"}}}, {"t": {"fields": {"a": "number"}}}, ["convert_field t.a"]),
        (
            {"t": {"fields": {"a": "integer"}}},
            {"t": {"fields": {"b": {"type": "number", "min": 1, "was": "a"}}}},
            ["rename_field t.b was a", "convert_field t.b", "change_field t.b"],
        ),
        (
            {"t": {"fields": {"a": S}}},
            {"t": {"fields": {"a": {**S, "required": True, "default": "x"}}}},
            ["fill_field t.a", "change_field t.a"],
        ),
        ({"t": {"fields": {"a": S}}}, {"t": {"fields": {"A": {**S, "was": "a"}}}}, ["rename_field t.A was a"]),
        ({"t": {"fields": {"a": S, "b": S}}}, {"t": {"fields": {"b": S, "a": S}}}, ["change_collection t"]),
    ],
)  # fmt: skip
def test_steps(before: dict[str, Any], after: dict[str, Any], told: list[str]) -> None:
    assert steps(planned(before, after)) == told
    assert planned(before, after).refusals == ()


def test_others_stay_unless_they_are_pruned() -> None:
    before = {"a": {}, "b": {}, "c": {"fields": {"r": {"type": "reference", "to": "b"}}}}
    assert planned(before, {"a": {}}).stays == ("b", "c") and not planned(before, {"a": {}}).steps
    assert steps(planned(before, {"a": {}}, prune=True)) == ["drop_collection b", "drop_collection c"]
    assert refused(planned(before, {}, drop=["b"])) == [(None, "referenced")]
    assert steps(planned(before, {}, drop=["c"])) == ["drop_collection c"]


def test_references_follow_a_rename_also_in_collections_that_nobody_declared() -> None:
    before = {"people": {}, "t": {"fields": {"owner": {"type": "reference", "to": "people"}}}}
    plan = planned(before, {"persons": {"was": "people"}})
    assert steps(plan) == ["rename_collection persons was people", "change_collection t"] or plan.pairs
    assert [pair.after.field("owner").to for pair in plan.pairs if pair.after.name == "t"] == ["persons"]  # type: ignore[union-attr]
    assert plan.requirements == () and plan.refusals == ()
    assert refused(planned(before, {"persons": {"was": "people"}, "t": before["t"]})) == [
        ("/collections/t/fields/owner/to", "referenced")
    ]


@pytest.mark.parametrize(
    ("before", "after", "pointer", "code"),
    [
        ({"t": {}, "u": {}}, {"u": {"was": "t"}}, "/collections/u/was", "name_taken"),
        (
            {"t": {"fields": {"a": S, "b": S}}},
            {"t": {"fields": {"b": {**S, "was": "a"}}}},
            "/collections/t/fields/b/was",
            "name_taken",
        ),
        (
            {"t": {"fields": {"a": S}}},
            {"t": {"fields": {"a": "integer"}}},
            "/collections/t/fields/a/type",
            "cannot_convert",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(before: Any, after: Any, pointer: str, code: str) -> None:
    assert refused(planned(before, after)) == [(pointer, code)]


@pytest.mark.parametrize(
    ("before", "after", "asks"),
    [
        ({"type": "string"}, {"type": "string", "max": 20_000}, []),
        ({"type": "string"}, {"type": "string", "max": 9}, ["fits"]),
        ({"type": "string"}, {"type": "string", "filterable": True}, ["fits"]),
        ({"type": "string", "max": 9}, {"type": "string", "max": 9, "filterable": True}, []),
        ({"type": "string", "pattern": "a"}, {"type": "string"}, []),
        ({"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}, ["fits"]),
        ({"type": "integer", "min": 3}, {"type": "integer", "min": 2}, []),
        ({"type": "integer", "min": 3}, {"type": "integer", "min": 4}, ["fits"]),
        ({"type": "number", "min": 3}, {"type": "number"}, []),
        ({"type": "date", "min": "2026-01-01"}, {"type": "date"}, []),
        ({"type": "date"}, {"type": "date", "min": "2026-01-01"}, ["fits"]),
        ({"type": "enum", "values": ["a"]}, {"type": "enum", "values": ["a", "b"]}, []),
        ({"type": "enum", "values": ["a", "b"]}, {"type": "enum", "values": ["a"]}, ["fits"]),
        ({"type": "string"}, {"type": "string", "required": True}, ["required"]),
        ({"type": "string", "required": True}, {"type": "string"}, []),
        ({"type": "string", "max": 9}, {"type": "string", "max": 9, "unique": True}, ["unique"]),
        ({"type": "reference", "to": "t"}, {"type": "reference", "to": "u"}, ["exists"]),
        ({"type": "string"}, {"type": "reference", "to": "u"}, ["fits", "exists"]),
        ({"type": "object", "schema": {"type": "object"}}, {"type": "object"}, []),
        ({"type": "object"}, {"type": "object", "schema": {"required": ["a"]}}, ["fits"]),
    ],
)  # fmt: skip
def test_tighter_rules_are_checked_against_the_items(before: Any, after: Any, asks: list[str]) -> None:
    plan = planned({"t": {"fields": {"f": before}}, "u": {}}, {"t": {"fields": {"f": after}}, "u": {}})
    assert asked(plan) == [f"{ask} t.f" for ask in asks]


def test_a_new_required_field_is_checked_against_existing_items() -> None:
    assert asked(planned({"t": {}}, {"t": {"fields": {"f": {**S, "required": True}}}})) == ["required t.f"]
    assert asked(planned({"t": {}}, {"t": {"fields": {"f": {**S, "required": True, "default": "x"}}}})) == []
    assert asked(planned({}, {"t": {"fields": {"f": {**S, "required": True}}}})) == []


@given(worlds(), worlds())
def test_a_plan_leads_there_and_a_second_one_is_empty(before: dict[str, Any], after: dict[str, Any]) -> None:
    plan = planned(before, after, prune=True)
    final = {pair.after.name: pair.after for pair in plan.pairs} | {each.name: each for each in plan.created}
    kept = {name: each for name, each in there(before).items() if name not in plan.dropped}
    if not plan.refusals:
        assert {**kept, **final} == there(after)
    again = planned(after, after, prune=True)
    assert again.steps == () and again.refusals == () and again.requirements == () and again.pairs == ()
    named = {each.name for pair in plan.pairs for each in pair.before.fields}
    assert {step.field.name for step in plan.steps if isinstance(step, rules.DropField)} <= named
