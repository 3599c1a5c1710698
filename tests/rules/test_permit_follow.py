"""Permits follow renames, and end with what is dropped."""

from __future__ import annotations

from typing import Any

from tidings.model.access import Key, Permit
from tidings.rules.declare import plan as rules
from tidings.rules.declare.declaration import read
from tidings.rules.declare.permit_follow import follow, touched
from tidings.rules.declare.plan import Plan
from tidings.rules.items.condition import NEVER
from tidings.rules.items.permit import grant

T = {"type": "string", "filterable": True}
BEFORE: dict[str, Any] = {
    "tasks": {"fields": {"title": T, "owner": T, "pay": T}, "questions": {"by_owner": ["owner"]}},
    "people": {},
}
PERMIT = Permit(
    collection="tasks",
    verbs=("list",),
    read=("title", "owner"),
    filter=("owner", "q"),
    rows={"tenant": "$tenant", "$or": [{"owner": "$key"}, {"$not": {"title": {"$in": ["owner"]}}}]},
    questions=("by_owner",),
)


def planned(after: dict[str, Any], **more: Any) -> Plan:
    there = {each.collection.name: each.collection for each in read(BEFORE)}
    return rules.plan(there, read(after, beside=BEFORE), lambda name: name, **more)


def test_renames_are_followed_everywhere() -> None:
    fields = {"name": {**T, "was": "title"}, "who": {**T, "was": "owner"}, "title": T, "pay": T}
    after = {"jobs": {"was": "tasks", "fields": fields, "questions": {"by_who": ["who"]}}}
    (permit,) = follow([PERMIT], planned(after), BEFORE)
    assert permit == Permit(
        collection="jobs",
        verbs=("list",),
        read=("name", "who"),
        filter=("who", "q"),
        rows={"tenant": "$tenant", "$or": [{"who": "$key"}, {"$not": {"name": {"$in": ["owner"]}}}]},
        questions=(),
    )


def test_dropped_fields_lose_their_permits_even_if_the_name_is_reused() -> None:
    plan = planned({"tasks": {"fields": {"title": T, "pay": T}}})
    (permit,) = follow([PERMIT], plan, BEFORE)
    assert permit.read == ("title",) and permit.filter == ("q",)
    # The rule about the owner, who is gone, fits no item; nor does it when there is an owner again.
    for collection in (plan.pairs[0].after, plan.pairs[0].before):
        found = grant(Key(id="k", hash="", name="", scopes=(), permits=(permit,)), collection)
        assert found is not None and found.reads is NEVER


def test_a_dropped_collection_takes_its_permits_along() -> None:
    others = [Permit(collection="people", verbs=("get",)), Permit(collection="gone", verbs=("get",))]
    assert follow([PERMIT, *others], planned({}, drop=["tasks"]), BEFORE) == (others[0],)
    assert follow([PERMIT], planned({"more": {}}), BEFORE) == (PERMIT,)


def test_a_plan_that_renames_and_drops_nothing_touches_no_permits() -> None:
    fields = {"title": T, "owner": T, "pay": T}
    asked = {"by_owner": ["owner"]}
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"fields": {**fields, "more": "string", "pay": {"type": "string"}}, "questions": asked}, set()),
        ({"fields": fields, "questions": asked, "description": "x"}, set()),
        ({"fields": fields}, {"tasks"}),
        ({"fields": {"title": T, "owner": T}, "questions": asked}, {"tasks"}),
        ({"fields": {**fields, "title": T, "name": {**T, "was": "title"}}, "questions": asked}, {"tasks"}),
    ]
    for tasks, names in cases:
        plan = planned({"tasks": tasks})
        assert touched(plan) == names, tasks
        assert names or follow([PERMIT], plan, BEFORE) == (PERMIT,)
    assert touched(planned({"jobs": {"was": "tasks", "fields": fields, "questions": asked}})) == {"tasks"}
    assert touched(planned({}, prune=True)) == {"tasks", "people"}
