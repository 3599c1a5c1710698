"""Declarations: what is right is read and written again, errors are reported with their location."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.declarations import declarations, worlds
from tidings.model.collection import Field, OwnEvent, Question
from tidings.model.errors import Invalid
from tidings.rules.declare.declaration import plain, read, read_one
from tidings.rules.items.change import Changes
from tidings.store.items import tables

SPEC: dict[str, Any] = {
    "tasks": {
        "description": "Things to do.",
        "was": "todos",
        "fields": {
            "title": {"type": "string", "required": True, "max": 200, "searchable": True, "was": "name"},
            "done": {"type": "boolean", "default": False, "filterable": True},
            "due": {"type": "date", "filterable": True, "sortable": True, "min": "2020-01-01"},
            "owner": {"type": "reference", "to": "people", "filterable": True},
            "priority": {"type": "enum", "values": ["low", "high"], "default": "low", "filterable": True},
            "note": "string",
            "lines": {"type": "array", "schema": {"type": "object"}, "max": 50},
            "select": {"type": "integer", "min": 1, "max": 3, "default": 2, "example": 3, "unique": False},
        },
        "events": {
            "completed": "when done becomes true",
            "late": {"filter": {"data": {"due": {"$lt": "2026-01-01"}}}, "description": "Late."},
            "raised": {"when": "priority becomes high"},
        },
        "questions": {
            "by_owner": ["owner"],
            "by_days": {"parameters": ["due__gte", "due__lt"], "description": "Some days."},
        },
    },
    "people": {"fields": {"name": {"type": "string", "unique": True}}},
}


def test_the_whole_shape_is_read() -> None:
    tasks, people = read(SPEC)
    assert tasks.was == "todos" and tasks.fields_were == {"title": "name"} and people.was is None
    assert tasks.collection.name == "tasks" and tasks.collection.description == "Things to do."
    assert tasks.collection.fields[:2] == (
        Field(name="title", type="string", required=True, max=200, searchable=True),
        Field(name="done", type="boolean", default=False, filterable=True),
    )
    assert tasks.collection.field("note") == Field(name="note", type="string")
    assert tasks.collection.events == (
        OwnEvent(name="completed", when="done becomes true"),
        OwnEvent(name="late", filter={"data": {"due": {"$lt": "2026-01-01"}}}, description="Late."),
        OwnEvent(name="raised", when="priority becomes high"),
    )
    assert tasks.collection.questions[1] == Question(
        name="by_days", parameters=("due__gte", "due__lt"), description="Some days."
    )
    assert Changes(tasks.collection).type(None, {"done": True}, []) == "tasks.completed"


@given(worlds())
def test_what_is_read_is_written_and_read_again(world: dict[str, Any]) -> None:
    found = [declared.collection for declared in read(world)]
    written = {collection.name: plain(collection) for collection in found}
    assert [declared.collection for declared in read(json.loads(json.dumps(written)))] == found
    for collection in found:
        Changes(collection)
        assert tables.indexes(collection, "sqlite") and tables.indexes(collection, "postgres")


def one(**fields: Any) -> dict[str, Any]:
    return {"fields": fields}


def f(kind: str, **attributes: Any) -> dict[str, Any]:
    return one(f={"type": kind, **attributes})


TEXT = {"type": "string", "filterable": True}
BOOLEAN = {"type": "boolean"}


def e(event: Any, field: Any = BOOLEAN) -> dict[str, Any]:
    return {"t": {**one(f=field), "events": {"e": event}}}


def q(question: Any, field: Any = TEXT) -> dict[str, Any]:
    return {"t": {**one(f=field), "questions": {"q": question}}}


WAS_X = {"type": "string", "was": "x"}
AT = "/t/events/e/filter"
DRAFT_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}

WRONG: list[tuple[dict[str, Any], str, str]] = [
    # names
    ({"Tasks": {}}, "/Tasks", "name"),
    ({"endpoint": {}}, "/endpoint", "name"),
    ({"a__b": {}}, "/a__b", "name"),
    ({"a_": {}}, "/a_", "name"),
    ({"a/b": {}}, "/a~1b", "name"),
    ({"a" * 41: {}}, "/" + "a" * 41, "name"),
    ({"t": one(**{"1": "string"})}, "/t/fields/1", "name"),
    ({"t": one(Id="string")}, "/t/fields/Id", "name"),
    ({"t": one(limit="string")}, "/t/fields/limit", "name"),
    ({"t": one(a="string", A="string")}, "/t/fields/A", "name"),
    # shapes
    ({"t": []}, "/t", "wrong_type"),
    ({"t": {"feilds": {}}}, "/t/feilds", "unknown_field"),
    ({"t": {"fields": []}}, "/t/fields", "wrong_type"),
    ({"t": {"description": 3}}, "/t/description", "wrong_type"),
    ({"t": {"description": "x" * 2001}}, "/t/description", "too_long"),
    ({"t": one(f="text")}, "/t/fields/f/type", "type"),
    ({"t": one(f=3)}, "/t/fields/f", "wrong_type"),
    ({"t": one(f={})}, "/t/fields/f", "type"),
    ({"t": f("string", maximum=3)}, "/t/fields/f/maximum", "unknown_field"),
    ({"t": f("string", required="yes")}, "/t/fields/f/required", "wrong_type"),
    ({"t": f("string", default="\x00")}, "/t/fields/f/default", "wrong_value"),
    ({"t": f("number", default=float("nan"))}, "/t/fields/f/default", "wrong_value"),
    ({"t": f("integer", default=2**64)}, "/t/fields/f/default", "wrong_value"),
    ({"t": {"fields": {1: "string"}}}, "/t/fields/1", "name"),
    # attributes that a type has not
    ({"t": f("string", values=["a"])}, "/t/fields/f/values", "contradiction"),
    ({"t": f("integer", pattern="a")}, "/t/fields/f/pattern", "contradiction"),
    ({"t": f("integer", format="email")}, "/t/fields/f/format", "contradiction"),
    ({"t": f("string", schema={})}, "/t/fields/f/schema", "contradiction"),
    ({"t": f("string", to="t")}, "/t/fields/f/to", "contradiction"),
    ({"t": f("boolean", min=1)}, "/t/fields/f/min", "contradiction"),
    ({"t": f("object", filterable=True)}, "/t/fields/f/filterable", "contradiction"),
    ({"t": f("array", sortable=True)}, "/t/fields/f/sortable", "contradiction"),
    ({"t": f("object", unique=True)}, "/t/fields/f/unique", "contradiction"),
    ({"t": f("integer", searchable=True)}, "/t/fields/f/searchable", "contradiction"),
    # bounds
    ({"t": f("integer", min=3, max=2)}, "/t/fields/f/min", "contradiction"),
    ({"t": f("date", min="2026-01-02", max="2026-01-01")}, "/t/fields/f/min", "contradiction"),
    ({"t": f("integer", min=1.5)}, "/t/fields/f/min", "bound"),
    ({"t": f("number", min=True)}, "/t/fields/f/min", "bound"),
    ({"t": f("string", min=-1)}, "/t/fields/f/min", "bound"),
    ({"t": f("date", max="tomorrow")}, "/t/fields/f/max", "bound"),
    ({"t": f("string", max=501, filterable=True)}, "/t/fields/f/max", "contradiction"),
    # formats, patterns, schemas, values
    ({"t": f("string", pattern="(")}, "/t/fields/f/pattern", "pattern"),
    ({"t": f("string", pattern="(?=a)b")}, "/t/fields/f/pattern", "pattern"),
    ({"t": f("string", pattern=r"(a)\1")}, "/t/fields/f/pattern", "pattern"),
    ({"t": f("string", format="e-mail")}, "/t/fields/f/format", "format"),
    ({"t": f("object", schema={"type": "thing"})}, "/t/fields/f/schema/type", "schema"),
    ({"t": f("object", schema=[])}, "/t/fields/f/schema", "wrong_type"),
    ({"t": f("object", schema={"$id": "x"})}, "/t/fields/f/schema", "schema"),
    ({"t": f("object", schema=DRAFT_4)}, "/t/fields/f/schema/$schema", "schema"),
    ({"t": f("enum")}, "/t/fields/f", "incomplete"),
    ({"t": f("enum", values=[])}, "/t/fields/f/values", "wrong_value"),
    ({"t": f("enum", values=["a", "b", "a"])}, "/t/fields/f/values/2", "repeated"),
    ({"t": f("enum", values=[1])}, "/t/fields/f/values/0", "wrong_type"),
    ({"t": f("reference")}, "/t/fields/f", "incomplete"),
    ({"t": f("reference", to="nobody")}, "/t/fields/f/to", "reference"),
    # defaults and examples
    ({"t": f("integer", max=3, default=4)}, "/t/fields/f/default", "default"),
    ({"t": f("date", default="2026-02-30")}, "/t/fields/f/default", "default"),
    ({"t": f("date", min="2026-01-01", default="2025-01-01")}, "/t/fields/f/default", "default"),
    ({"t": f("enum", values=["a"], default="b")}, "/t/fields/f/default", "default"),
    ({"t": f("boolean", default=1)}, "/t/fields/f/default", "default"),
    ({"t": f("string", example=1)}, "/t/fields/f/example", "example"),
    ({"t": f("string", required=True, default=None)}, "/t/fields/f/default", "contradiction"),
    ({"t": f("string", unique=True, default="a")}, "/t/fields/f/default", "contradiction"),
    ({"t": f("reference", to="t", default="a")}, "/t/fields/f/default", "contradiction"),
    # events
    ({"t": {**f("boolean"), "events": {"created": "when f becomes true"}}}, "/t/events/created", "name"),
    ({"t": {**f("boolean"), "events": {"Deleted": "when f becomes true"}}}, "/t/events/Deleted", "name"),
    (e("f becomes true"), "/t/events/e", "when"),
    (e("when g becomes true"), "/t/events/e", "when"),
    (e({"when": "f becomes 1"}), "/t/events/e/when", "when"),
    ({"t": {**f("integer", max=3), "events": {"e": "when f becomes 4"}}}, "/t/events/e", "when"),
    ({"t": {**f("enum", values=["a"]), "events": {"e": "when f becomes b"}}}, "/t/events/e", "when"),
    (e({"when": 3}), "/t/events/e/when", "wrong_type"),
    (e({}), "/t/events/e", "incomplete"),
    (e({"when": "f changes", "filter": {}}), "/t/events/e", "incomplete"),
    (e({"filter": {"f": True}}), AT + "/f", "filter"),
    (e({"filter": {"data": {"f": {"$is": 1}}}}), AT + "/data/f/$is", "filter"),
    (e({"filter": {"data": {"g": 1}}}), AT + "/data/g", "filter"),
    (e({"filter": {"$or": [{"data": {"g": 1}}]}}), AT + "/$or/0/data/g", "filter"),
    # questions
    ({"t": {**f("string"), "questions": {"q": ["f"]}}}, "/t/questions/q/0", "question"),
    (q(["f__gte"], {"type": "boolean", "filterable": True}), "/t/questions/q/0", "question"),
    (q({"parameters": ["f", "f"]}), "/t/questions/q/parameters/1", "question"),
    (q([]), "/t/questions/q", "wrong_type"),
    ({"t": {**f("string", filterable=True), "questions": {"import": ["f"]}}}, "/t/questions/import", "name"),
    ({"t": {**f("string", filterable=True), "questions": {"Q": ["f"]}}}, "/t/questions/Q", "name"),
    ({"t": {**f("string", filterable=True), "questions": {"x": [["f"]]}}}, "/t/questions/x/0", "question"),
    # was
    ({"t": {"was": "t"}}, "/t/was", "contradiction"),
    ({"t": {"was": 3}}, "/t/was", "name"),
    ({"t": {"was": "a"}, "u": {"was": "a"}}, "/u/was", "contradiction"),
    ({"t": one(f=WAS_X, g=WAS_X)}, "/t/fields/g/was", "contradiction"),
    ({"a": {"was": "b"}, "b": {"was": "c"}, "c": {"was": "a"}}, "/c/was", "contradiction"),
    ({"t": one(A=WAS_X, X={"type": "string", "was": "a"})}, "/t/fields/X/was", "contradiction"),
    # limits
    ({"t": one(**{f"f{n}": "string" for n in range(201)})}, "/t/fields", "too_many"),
    ({"t": {"events": {f"e{n}": "when f changes" for n in range(51)}}}, "/t/events", "too_many"),
    ({"t": {**one(f=TEXT), "questions": {f"q{n}": ["f"] for n in range(51)}}}, "/t/questions", "too_many"),
    ({f"t{n}": {} for n in range(501)}, "", "too_many"),
    ({"t": f("enum", values=["x" * 199 + chr(n) for n in range(60, 110)] * 1, description="y" * 2000)}, "", ""),
    ({"t": f("object", example={"x": "y" * 66_000})}, "/t", "too_long"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "pointer", "code"), WRONG)
def test_mistakes_are_reported_with_their_location(values: dict[str, Any], pointer: str, code: str) -> None:
    if not code:
        assert read(values)
        return
    with pytest.raises(Invalid) as caught:
        read(values)
    assert [(place.pointer, place.code) for place in caught.value.errors] == [(pointer, code)]
    detail = caught.value.errors[0].detail
    assert detail.endswith(".") or code == "schema", detail


def test_all_mistakes_are_reported_together() -> None:
    values = {"t": {"was": "T__", "fields": {"id": "string", "f": {"type": "enum"}, "g": {"type": "x"}}}, "U": {}}
    with pytest.raises(Invalid) as caught:
        read(values, "/collections")
    assert {place.pointer for place in caught.value.errors} == {
        "/collections/t/was",
        "/collections/t/fields/id",
        "/collections/t/fields/f",
        "/collections/t/fields/g/type",
        "/collections/U",
    }


def test_words_of_sql_are_names_like_any_other() -> None:
    assert read({"select": one(table="string", index={"type": "integer", "filterable": True}), "order": {}})


def test_references_point_to_collections_in_the_same_file() -> None:
    assert read_one("t", f("reference", to="people"), beside=["people"]).collection.fields[0].to == "people"
    assert read_one("t", f("reference", to="t")).collection.fields[0].to == "t"
    with pytest.raises(Invalid):
        read_one("t", f("reference", to="people"))


def test_a_whole_number_is_one_however_it_is_written() -> None:
    assert read_one("t", f("integer", default=3.0)).collection == read_one("t", f("integer", default=3)).collection


def test_aliases_that_contain_themselves_are_refused() -> None:
    endless: dict[str, Any] = {}
    endless["fields"] = endless
    with pytest.raises(Invalid):
        read({"t": endless})


WORDS = (
    *("fields", "events", "questions", "description", "was", "type", "values", "to", "schema"),
    *("default", "min", "max", "filter", "when", "parameters"),
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(WORDS) | st.integers(),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(ANY)
def test_anything_is_read_or_refused_in_words(value: Any) -> None:
    for values in (value, {"t": value}, {"t": {"fields": value}}, {"t": {"fields": {"f": value}}}):
        try:
            read(values)
        except Invalid as wrong:
            assert wrong.errors
    try:
        read(
            {
                "t": {
                    "fields": {"f": {"type": "string", "filterable": True}},
                    "events": {"e": value},
                    "questions": {"q": value},
                }
            }
        )
    except Invalid as wrong:
        assert all(place.pointer is not None for place in wrong.errors)


@given(declarations(("t",)), st.data())
def test_a_right_declaration_with_one_strange_thing_is_refused_at_that_place(value: dict[str, Any], data: Any) -> None:
    value["fields"] = {**value["fields"], "extra": {"type": "string", "strange": 1}}
    value.pop("events", None)
    value.pop("questions", None)
    with pytest.raises(Invalid) as caught:
        read({"t": value})
    assert [place.pointer for place in caught.value.errors] == ["/t/fields/extra/strange"]
