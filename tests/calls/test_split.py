"""`split`: one delivery for each element of a list, each with its own attempts, key and line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calls.world import Calls
from tidings.testing import until

SMS = {"via": "sms", "post": "/send", "json": {"to": "{{ item }}", "text": "{{ data.text }}"}}


@pytest.fixture(autouse=True)
def sms(calls: Calls) -> None:
    calls.connection("sms")


def split(calls: Calls, **parts: Any) -> dict[str, Any]:
    return calls.link(**{"event": "flight.*", "call": SMS, "split": "{{ data.phones }}", **parts})


def late(calls: Calls, *phones: Any, **more: Any) -> str:
    return calls.api.publish("flight.late", {"phones": list(phones), "text": "late"}, **more)


def ended(calls: Calls, event: str, count: int) -> list[dict[str, Any]]:
    """Its deliveries in order, the event's own one first, once this many have ended."""

    def look() -> Any:
        found = calls.api.pages("/v1/deliveries", event=event, link="push")
        return len(found) == count and all(each["state"] != "waiting" for each in found) and found

    found: list[dict[str, Any]] = until(look, f"{count} deliveries end")
    return [calls.api.get(f"/v1/deliveries/{each['id']}") for each in found[::-1]]


@pytest.mark.slow
def test_each_element_gets_its_own_delivery(calls: Calls) -> None:
    assert split(calls)["split"] == "{{ data.phones }}"
    event = late(calls, "+1", "+2", "+3")
    whole, *parts = ended(calls, event, 4)
    assert [each.json["to"] for each in calls.peer.requests()] == ["+1", "+2", "+3"]
    assert (whole["item"], whole["state"], whole["last"]["outcome"]) == (None, "delivered", "split")
    assert whole["attempts"][0]["reason"] == "Split into 3 deliveries."
    assert [each["item"] for each in parts] == ["+1", "+2", "+3"]
    assert len({each.headers["idempotency-key"] for each in calls.peer.requests()}) == 3
    trail = calls.api.get(f"/v1/events/{event}/trail")
    assert str(trail).count("'ok'") == 3


@pytest.mark.slow
def test_elements_may_be_objects_and_repeats_are_left_out(calls: Calls) -> None:
    split(calls, call={**SMS, "json": {"to": "{{ item.phone }}", "n": "{{ item.n }}"}})
    big = 1234567890123456789
    event = late(calls, {"phone": "+1", "n": big}, None, {"phone": "+1", "n": big}, {"phone": "+2"})
    whole, *_ = ended(calls, event, 3)
    assert whole["attempts"][0]["reason"] == "Split into 2 deliveries. 2 elements were left out, as duplicates or null."
    bodies = [each.json for each in calls.peer.requests()]
    assert bodies == [{"to": "+1", "n": big}, {"to": "+2"}]


@pytest.mark.parametrize(
    ("data", "state", "outcome", "said"),
    [
        ({}, "delivered", "skipped", "no value for `split`"),
        ({"phones": None}, "delivered", "skipped", "no value for `split`"),
        ({"phones": []}, "delivered", "skipped", "is empty"),
        ({"phones": [None]}, "delivered", "skipped", "is empty"),
        ({"phones": "+1"}, "dead", "template_failed", "it must yield a list, not text"),
        ({"phones": {"a": 1}}, "dead", "template_failed", "it must yield a list, not an object"),
        ({"phones": 5}, "dead", "template_failed", "it must yield a list, not 5"),
        ({"phones": list(range(1001))}, "dead", "template_failed", "1,001 elements; the maximum is 1,000"),
    ],
)
@pytest.mark.few(3)
def test_what_is_no_list_has_a_clear_outcome(calls: Calls, data: Any, state: str, outcome: str, said: str) -> None:
    split(calls)
    (whole,) = ended(calls, calls.api.publish("flight.late", data), 1)
    assert (whole["state"], whole["last"]["outcome"]) == (state, outcome)
    assert said in whole["attempts"][0]["reason"]
    assert calls.peer.requests() == []


@pytest.mark.slow
def test_one_that_fails_holds_up_no_other_and_is_retried_alone(calls: Calls) -> None:
    split(calls)
    calls.peer.answer_by(lambda received: 422 if received.json["to"] == "+2" else 201)
    event = late(calls, "+1", "+2", "+3", subject="LH 1")
    whole, *parts = ended(calls, event, 4)
    assert [each["state"] for each in parts] == ["delivered", "dead", "delivered"]
    calls.peer.answer_by(None)
    calls.api.post(f"/v1/deliveries/{parts[1]['id']}:retry")
    until(lambda: calls.peer.requests()[3:], "it is sent again")
    assert [each.json["to"] for each in calls.peer.requests()] == ["+1", "+2", "+3", "+2"]
    calls.api.post(f"/v1/deliveries/{whole['id']}:retry")
    until(lambda: len(calls.api.get(f"/v1/deliveries/{whole['id']}")["attempts"]) == 2, "it is tried again")
    again, *parts = ended(calls, event, 4)
    assert "already split into 3 deliveries" in again["attempts"][1]["reason"]
    assert len(calls.peer.requests()) == 4


@pytest.mark.slow
def test_a_restart_makes_none_of_them_twice(calls: Calls) -> None:
    split(calls)
    calls.peer.answer(500)
    event = late(calls, "+1", "+2", subject="LH 1")
    until(lambda: len(calls.peer.requests()) == 2, "both are tried")
    calls.server.restart()
    calls.peer.answer(201)
    calls.clock.advance(3600)
    parts = ended(calls, event, 3)[1:]
    assert [(each["state"], len(each["attempts"])) for each in parts] == [("delivered", 2)] * 2
    keys = [each.headers["idempotency-key"] for each in calls.peer.requests()]
    assert sorted(keys[:2]) == sorted(keys[2:])


@pytest.mark.slow
def test_events_about_one_element_stay_in_order(calls: Calls) -> None:
    split(calls, retry_delays_seconds=[0, 5])
    calls.peer.answer(500, 201)
    first = late(calls, "+1", subject="LH 1")
    until(lambda: len(calls.peer.requests()) == 1, "it is tried")
    second = calls.api.publish("flight.late", {"phones": ["+1", "+2"], "text": "later"}, subject="LH 1")
    until(lambda: len(calls.peer.requests()) == 2, "the other phone gets it")
    calls.clock.advance(6)
    assert ended(calls, first, 2) and ended(calls, second, 3)
    got = [(each.json["to"], each.json["text"]) for each in calls.peer.requests()]
    assert got == [("+1", "late"), ("+2", "later"), ("+1", "late"), ("+1", "later")]


@pytest.mark.slow
def test_once_is_for_each_element(calls: Calls) -> None:
    split(calls, once="{{ data.text }}")
    for _ in range(2):
        event = late(calls, "+1", "+2")
        parts = ended(calls, event, 3)[1:]
    assert [each["last"]["outcome"] for each in parts] == ["skipped", "skipped"]
    assert [each.json["to"] for each in calls.peer.requests()] == ["+1", "+2"]


@pytest.mark.slow
def test_items_and_ids_are_made_for_each_element(calls: Calls) -> None:
    calls.api.put("/v1/collections/rows", {"fields": {"sku": "string", "n": "integer"}})
    item = {"collection": "rows", "create": True, "data": {"sku": "{{ item.sku }}", "n": "{{ item.n }}"}}
    calls.link(event="order.made", item=item, split="{{ data.rows }}", **{"if": "{{ data.go }}"})
    rows = [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]
    event = calls.api.publish("order.made", {"rows": rows, "go": True})
    parts = ended(calls, event, 3)[1:]
    for each in parts:
        calls.api.post(f"/v1/deliveries/{each['id']}:retry")
        until(lambda id=each["id"]: len(calls.api.get(f"/v1/deliveries/{id}")["attempts"]) == 2, "again")  # type: ignore[misc]
    assert sorted(each["sku"] for each in calls.api.pages("/v1/items/rows")) == ["a", "b"]
    assert [each["last"]["outcome"] for each in ended(calls, calls.api.publish("order.made", {"rows": rows}), 1)] == [
        "skipped"
    ]


@pytest.mark.slow
def test_a_link_that_no_longer_splits_sends_no_part(calls: Calls) -> None:
    split(calls)
    calls.peer.answer(500)
    event = late(calls, "+1", "+2")
    until(lambda: len(calls.peer.requests()) == 2, "both are tried")
    calls.link(event="flight.*", call={**SMS, "json": {"text": "{{ data.text }}"}})
    parts = ended(calls, event, 3)[1:]
    assert [each["state"] for each in parts] == ["dead", "dead"]
    assert "no longer splits" in parts[0]["attempts"][-1]["reason"]
    calls.peer.answer(201)
    assert [each["state"] for each in ended(calls, late(calls, "+1", "+2"), 1)] == ["delivered"]


@pytest.mark.slow
def test_links_test_shows_the_elements_and_the_first_request(calls: Calls) -> None:
    split(calls)
    event = {"type": "flight.late", "data": {"phones": ["+1", "+2", "+1"], "text": "late"}}
    tried = calls.api.post("/v1/links/push:test", {"event": event})
    assert tried["elements"] == ["+1", "+2"]
    assert tried["call"]["body"] == '{"to":"+1","text":"late"}'
    wrong = calls.api.post("/v1/links/push:test", {"event": {"type": "flight.late", "data": {"phones": 1}}})
    assert (wrong["outcome"], wrong["call"]) == ("template_failed", None)


@pytest.mark.parametrize(
    ("parts", "place", "said"),
    [
        ({"split": "phones"}, "/split", "must be a template"),
        ({"split": "{{ nothing }}"}, "/split", "There is no nothing here."),
        ({"split": "{{ item }}"}, "/split", "There is no item here."),
        ({"split": "{{ data.a }}", "order": "subject"}, "/order", "leave `order` out"),
        ({"split": None}, "/call/json/to", "There is no item here."),
        ({"split": "{{ data.a }}", "if": "{{ item }}"}, "/if", "There is no item here."),
    ],
)
@pytest.mark.few(2)
def test_a_split_that_cannot_be_is_refused(calls: Calls, parts: dict[str, Any], place: str, said: str) -> None:
    reply = calls.api.call("PUT", "/v1/links/push", {"when": {"event": "a"}, "call": SMS, **parts})
    found = {each["pointer"]: each["detail"] for each in reply.json["errors"]}
    assert said in found[place], found
