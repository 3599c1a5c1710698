"""A key that makes another gives no more than it has, whatever both are permitted; and what changes fails closed."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tidings.intake.items.change import reached, seen
from tidings.model.access import VERBS, Key, Permit
from tidings.model.collection import Collection, Field, Item, Question
from tidings.rules.items.condition import holds
from tidings.rules.items.permit import Grant, check_permits, grant, narrowed

FIELDS = (
    Field(name="a", type="string", filterable=True, sortable=True, searchable=True),
    Field(name="b", type="integer", filterable=True, sortable=True),
    Field(name="c", type="boolean", filterable=True),
)
THINGS = Collection(name="things", fields=FIELDS, questions=(Question(name="by_b", parameters=("b",)),))
CHANGED = Collection(
    name="things",
    fields=(
        Field(name="a", type="string", filterable=True, sortable=True),
        Field(name="b", type="string"),
        *FIELDS[2:],
    ),
)
NAMES = ("a", "b", "c")
ROWS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.fixed_dictionaries({"tenant": st.sampled_from(["$tenant", "t", "u", None])}),
        st.fixed_dictionaries({"a": st.sampled_from(["$key", "$tenant", "maker", "child", "x", None, {"$ne": "x"}])}),
        st.fixed_dictionaries({"b": st.sampled_from([1, {"$gt": 0}, {"$in": [1, None]}, {"$exist": False}])}),
        st.fixed_dictionaries({"c": st.sampled_from([True, None])}),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: {**pair[0], **pair[1]}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"$or": parts}),
        inner.map(lambda part: {"$not": part}),
    ),
    max_leaves=4,
)


def some(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.sampled_from(names), max_size=3, unique=True).map(tuple)


PERMITS = st.builds(
    Permit,
    collection=st.just("things"),
    verbs=st.lists(st.sampled_from(VERBS), max_size=3, unique=True).map(tuple),
    read=some(NAMES),
    write=some(NAMES),
    filter=some((*NAMES, "q")),
    sort=some(("a", "b")),
    rows=st.none() | ROWS,
    questions=st.sampled_from([(), ("by_b",)]),
)
SCOPES = st.sets(st.sampled_from(["items:read", "items:write"])).map(lambda found: tuple(sorted(found)))
TENANTS = st.sampled_from([None, "t", "u"])
ITEMS = [
    Item(seq=0, id="i", tenant=tenant, revision=1, created=0, updated=0, values={"a": a, "b": b, "c": c})
    for tenant in ("", "t", "u")
    for a in (None, "maker", "child", "x", "t", "")
    for b in (None, 1, 5)
    for c in (None, True)
]


def within(child: Grant | None, maker: Grant | None) -> None:
    """Nothing of the child is beyond the maker."""
    if child is None:
        return
    assert maker is not None
    assert child.verbs <= maker.verbs
    assert set(child.read) <= set(maker.read)
    for name in ("filter", "sort", "questions"):
        assert set(getattr(child, name)) <= set(getattr(maker, name)), name
    if child.verbs & {"create", "edit", "put"}:
        assert set(child.write) <= set(maker.write)
    assert maker.words or not child.words
    for item in ITEMS:
        if holds(seen(child), item.row):
            assert holds(reached(maker), item.row), item
        if child.verbs & {"list", "get"} or child.questions:
            assert not holds(child.reads, item.row) or holds(maker.reads, item.row), item
        if child.verbs & {"create", "edit", "put", "delete"}:
            assert not holds(child.writes, item.row) or holds(maker.writes, item.row), item


@settings(
    max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(scopes=SCOPES, own=st.none() | PERMITS, tenant=TENANTS, asked=PERMITS, its_tenant=TENANTS, its_scopes=SCOPES)
@example(
    # Who has no tenant writes "$tenant" for items of nobody; handed on, it must not come to mean the new key's.
    scopes=(),
    own=Permit(collection="things", verbs=("get",), rows={"tenant": "$tenant"}),
    tenant=None,
    asked=Permit(collection="things", verbs=("get",)),
    its_tenant="t",
    its_scopes=(),
)
def test_a_new_key_can_do_no_more_than_its_maker(
    scopes: tuple[str, ...],
    own: Permit | None,
    tenant: str | None,
    asked: Permit,
    its_tenant: str | None,
    its_scopes: tuple[str, ...],
) -> None:
    maker = Key(id="maker", hash="", name="", scopes=scopes, tenant=tenant, permits=() if own is None else (own,))
    if check_permits((asked,), maker, tenant or its_tenant, {"things": THINGS}):
        return
    child = Key(
        id="child",
        hash="",
        name="",
        scopes=tuple(scope for scope in its_scopes if maker.has_scope(scope)),
        tenant=tenant or its_tenant,
        permits=(narrowed(asked, maker),),
    )
    within(grant(child, THINGS), grant(maker, THINGS))
    # What was declared again is still within; a rule that does not fit any more lets nothing through.
    within(grant(child, CHANGED), grant(maker, CHANGED))


def test_a_row_rule_over_a_dropped_field_matches_nothing() -> None:
    for rows in ({"b": 1}, {"$not": {"b": 1}}, {"$or": [{"a": "x"}, {"b": {"$gt": 0}}]}, {"z": None}):
        key = Key(
            id="k", hash="", name="", scopes=(), permits=(Permit(collection="things", verbs=("get",), rows=rows),)
        )
        found = grant(key, CHANGED)
        assert found is not None and not any(holds(found.reads, item.row) for item in ITEMS), rows


def places(asked: Permit, maker: Key, tenant: str | None = None) -> list[str]:
    return [str(place.pointer) for place in check_permits((asked,), maker, tenant, {"things": THINGS})]


def test_each_wrong_part_of_a_permit_is_named() -> None:
    operator = Key(id="o", hash="", name="", scopes=("*",))
    for asked, pointers in (
        (Permit(collection="nowhere", verbs=("get",)), ["/0/collection"]),
        (Permit(collection="things"), ["/0/verbs"]),
        (Permit(collection="things", verbs=("get",), read=("a", "z"), sort=("c",)), ["/0/read/1", "/0/sort/0"]),
        (Permit(collection="things", questions=("none",)), ["/0/questions/0"]),
        (Permit(collection="things", verbs=("get",), rows={"z": 1}), ["/0/rows/z"]),
        (Permit(collection="things", verbs=("get",), rows={"b": {"$lt": "x"}}), ["/0/rows/b/$lt"]),
        (Permit(collection="things", verbs=("get",), rows={"b": {"$like": 1}}), ["/0/rows/b/$like"]),
        (Permit(collection="things", verbs=("get",), rows={"$or": []}), ["/0/rows/$or"]),
        (Permit(collection="things", verbs=("get",), rows={"c": {"$gt": True}}), ["/0/rows/c/$gt"]),
        (Permit(collection="things", verbs=("get",), rows={"tenant": 5}), ["/0/rows/tenant"]),
    ):
        assert places(asked, operator) == pointers
    limited = Key(
        id="l", hash="", name="", scopes=(), permits=(Permit(collection="things", verbs=("get",), read=("a",)),)
    )
    assert places(Permit(collection="things", verbs=("get", "edit")), limited) == ["/0/verbs"]
    assert places(Permit(collection="things", verbs=("get",), read=("b",)), limited) == ["/0/read/0"]
    assert places(Permit(collection="things", verbs=("get",), filter=("b",)), limited) == ["/0/filter/0"]
    twice = check_permits((Permit(collection="things", verbs=("get",)),) * 2, operator, None, {"things": THINGS})
    assert [place.pointer for place in twice] == ["/1/collection"]


def test_two_row_rules_that_are_too_large_together_are_refused() -> None:
    deep: Any = {"a": "x"}
    for _ in range(14):
        deep = {"$not": deep}
    maker = Key(id="m", hash="", name="", scopes=(), permits=(Permit(collection="things", verbs=("get",), rows=deep),))
    assert places(Permit(collection="things", verbs=("get",), rows=deep), maker) == []
    assert places(Permit(collection="things", verbs=("get",), rows={"$not": deep}), maker) == ["/0/rows"]
