"""Changes: which one event tells of them."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.model.collection import Collection, Field, OwnEvent
from tidings.rules.filter_checks import same
from tidings.rules.items import change
from tidings.rules.items.change import Changes, read_when
from tidings.rules.reading.refused import Refused

FIELDS = (
    Field(name="title", type="string", required=True),
    Field(name="done", type="boolean"),
    Field(name="count", type="integer"),
    Field(name="state", type="enum", values=("new", "in transit", "3", "null")),
    Field(name="due", type="date"),
    Field(name="lines", type="array"),
)


def tasks(*events: OwnEvent) -> Collection:
    return Collection(name="tasks", fields=FIELDS, events=events)


def told(collection: Collection, previous: dict[str, Any] | None, data: dict[str, Any]) -> str:
    changed = [name for name, value in data.items() if not same((previous or {}).get(name), value)]
    return Changes(collection).type(previous, data, changed)


def test_without_own_events_the_usual_types_apply() -> None:
    assert told(tasks(), None, {"title": "a"}) == "tasks.created" == change.created_type("tasks")
    assert told(tasks(), {"title": "a"}, {"title": "b"}) == "tasks.updated" == change.updated_type("tasks")


@pytest.mark.parametrize(
    ("when", "previous", "data", "fits"),
    [
        ("done becomes true", {"done": False}, {"done": True}, True),
        ("done becomes true", {"done": None}, {"done": True}, True),
        ("done becomes true", {}, {"done": True}, True),
        ("done becomes true", None, {"done": True}, True),
        ("done becomes true", None, {"done": False}, False),
        ("done becomes true", {"done": True, "title": "a"}, {"done": True, "title": "b"}, False),
        ("done becomes true", {"done": True}, {"done": False}, False),
        ("done becomes false", {"done": True}, {"done": False}, True),
        ("count becomes 3", {"count": 2}, {"count": 3}, True),
        ("count becomes 1", {"count": 2}, {"count": True}, False),
        ("state becomes in transit", {"state": "new"}, {"state": "in transit"}, True),
        ('state becomes "in transit"', {"state": "new"}, {"state": "in transit"}, True),
        ("state becomes 'in transit'", {"state": "new"}, {"state": "in transit"}, True),
        ("state becomes 3", {"state": "new"}, {"state": "3"}, True),
        ('state becomes "null"', {"state": "new"}, {"state": "null"}, True),
        ("state becomes null", {"state": "new"}, {"state": None}, True),
        ("state becomes null", None, {"state": None}, False),
        ("  due  becomes  2026-01-01 ", {"due": None}, {"due": "2026-01-01"}, True),
        ("title changes", {"title": "a"}, {"title": "b"}, True),
        ("title changes", {"title": "a", "done": True}, {"title": "a", "done": False}, False),
        ("title changes", None, {"title": "a"}, False),
        ("lines changes", {"lines": [1]}, {"lines": [1, 2]}, True),
        ("lines changes", {"lines": [1]}, {"lines": [1.0], "done": True}, False),
    ],
)
def test_conditions_in_words(when: str, previous: dict[str, Any] | None, data: dict[str, Any], fits: bool) -> None:
    usual = change.created_type("tasks") if previous is None else change.updated_type("tasks")
    assert told(tasks(OwnEvent(name="own", when=when)), previous, data) == ("tasks.own" if fits else usual)


def test_conditions_as_patterns_see_data_previous_changed_and_the_usual_type() -> None:
    def fits(pattern: dict[str, Any], previous: dict[str, Any] | None, data: dict[str, Any]) -> bool:
        return told(tasks(OwnEvent(name="own", filter=pattern)), previous, data) == "tasks.own"

    assert fits({"data": {"due": {"$lt": "2026-01-01"}}}, None, {"due": "2025-12-31"})
    assert not fits({"data": {"due": {"$lt": "2026-01-01"}}}, None, {"due": "2026-01-01"})
    assert fits({"previous": {"done": True}, "data": {"done": False}}, {"done": True}, {"done": False})
    assert fits({"changed": ["title"]}, {"title": "a"}, {"title": "b"})
    assert not fits({"changed": ["title"]}, {"done": True}, {"done": False})
    assert not fits({"previous": {"$exist": True}}, None, {"title": "a"})
    assert fits({"type": "tasks.created"}, None, {"title": "a"}) and not fits(
        {"type": "tasks.created"}, {}, {"done": 1}
    )


def test_the_first_match_decides_the_type() -> None:
    events = (OwnEvent(name="one", when="done becomes true"), OwnEvent(name="two", when="title changes"))
    assert told(tasks(*events), {"title": "a", "done": False}, {"title": "b", "done": True}) == "tasks.one"
    assert told(tasks(*events), {"title": "a", "done": True}, {"title": "b", "done": True}) == "tasks.two"


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("", "Write `FIELD becomes"),
        ("done", "Write `FIELD becomes"),
        ("done becomes", "Write `FIELD becomes"),
        ("done changes to true", "Write `FIELD becomes"),
        ("when done becomes true", "Write `FIELD becomes"),
        ("nothing becomes true", "There is no field 'nothing'"),
        ("revision changes", "There is no field 'revision'"),
        ("title becomes null", "never becomes null"),
        ("lines becomes 3", "only `lines changes`"),
        ("count becomes three", "not a possible value of count"),
        ('title becomes "a', "not a possible value of title"),
    ],
)
def test_a_malformed_condition_is_refused(when: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        read_when(when, tasks(), "/events/x/when")
    assert caught.value.pointer == "/events/x/when"
