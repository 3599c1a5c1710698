"""Random declarations that are right, and random values that fit them, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tidings.rules.items.field import TYPES, operators

FIELD_NAMES = ("title", "done", "due", "order", "group", "note_2", "X")
COLLECTION_NAMES = ("tasks", "people", "select")
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
DATES = st.dates().map(lambda day: day.isoformat()).filter(lambda text: len(text) == 10)
INTEGERS = st.integers(-1000, 1000)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "integer": INTEGERS,
    "number": INTEGERS | st.floats(-1000, 1000),
    "boolean": st.booleans(),
    "datetime": st.integers(0, 4_000_000_000).map(lambda s: f"20{s % 90 + 10}-0{s % 9 + 1}-1{s % 10}T0{s % 10}:00:00Z"),
    "date": DATES,
    "enum": st.sampled_from(["low", "high", "in transit"]),
    "object": st.dictionaries(TEXTS, INTEGERS, max_size=2),
    "array": st.lists(INTEGERS, max_size=3),
    "decimal": st.sampled_from(["0.00", "-12.30", "0.01", "999999999999999999.99"]),
    "reference": st.sampled_from(["itm_1", "a", "b-2"]),
}
"""What fields of a type can have, whatever their attributes are here."""


@st.composite
def fields(draw: st.DrawFn, collections: tuple[str, ...] = COLLECTION_NAMES) -> Any:
    """One field's declaration."""
    kind = draw(st.sampled_from(TYPES))
    found: dict[str, Any] = {"type": kind}
    if kind == "enum":
        found["values"] = ["low", "high", "in transit"]
    if kind == "reference":
        found["to"] = draw(st.sampled_from(collections))
    if kind in ("object", "array") and draw(st.booleans()):
        found["schema"] = {} if kind == "array" else {"type": "object"}
    if kind not in ("object", "array"):
        for flag in ("filterable", "sortable"):
            if draw(st.booleans()):
                found[flag] = True
    if kind == "string" and draw(st.booleans()):
        found["searchable"] = True
    if kind in ("string", "array") and draw(st.booleans()):
        found["max"] = draw(st.integers(12, 400))
    if kind != "reference" and draw(st.booleans()):
        found["default"] = draw(VALUES[kind])
        found["required"] = draw(st.booleans())
    elif kind not in ("object", "array", "boolean", "enum") and draw(st.booleans()):
        found["unique"] = draw(st.booleans())
    if draw(st.booleans()):
        found["description"] = draw(TEXTS)
        found["example"] = draw(VALUES[kind])
    return kind if found.keys() == {"type"} and draw(st.booleans()) else found


@st.composite
def declarations(draw: st.DrawFn, collections: tuple[str, ...] = COLLECTION_NAMES) -> dict[str, Any]:
    """One collection's declaration."""
    named: dict[str, Any] = draw(st.dictionaries(st.sampled_from(FIELD_NAMES), fields(collections), max_size=5))
    found: dict[str, Any] = {"fields": named}
    if draw(st.booleans()) and named:
        found["events"] = {"moved": f"when {draw(st.sampled_from(sorted(named)))} changes"}
        if "done" in named:
            found["events"]["late"] = {"filter": {"data": {"done": True}}, "description": "It is."}
    asked = [name for name, field in named.items() if isinstance(field, dict) and field.get("filterable")]
    if draw(st.booleans()) and asked:
        kinds = {name: named[name]["type"] for name in asked}
        found["questions"] = {
            "by_all": asked,
            "others": {"parameters": [f"{name}__{operators(kinds[name])[-1]}" for name in asked], "description": "."},
        }
    return found


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Some collections, which point at one another."""
    names: list[str] = draw(st.lists(st.sampled_from(COLLECTION_NAMES), unique=True, max_size=3))
    return {name: draw(declarations(tuple(names))) for name in names}
