"""`if` and `once`: when a link does nothing, and that it succeeds once for each key, whatever is replayed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calls.world import Calls
from tidings.testing import until

CALL = {"via": "shop", "post": "/mail", "json": {"to": "{{ data.id }}"}}
ITEM = {"collection": "users", "create": True, "data": {"title": "{{ data.id }}"}}


def outcomes(calls: Calls, event: str) -> list[str]:
    return [attempt["outcome"] for attempt in calls.ended(event)["attempts"]]


@pytest.mark.slow
@pytest.mark.parametrize("action", [{"call": CALL}, {"item": ITEM}])
def test_if_decides_and_says_so(calls: Calls, action: dict[str, Any]) -> None:
    calls.connection()
    calls.api.put("/v1/collections/users", {"fields": {"title": "string"}})
    calls.link(**{"call": None, **action, "if": "{{ data.n > 1 and old.n != data.n }}"})
    assert calls.api.get("/v1/links/push")["if"] == "{{ data.n > 1 and old.n != data.n }}"
    assert outcomes(calls, calls.api.publish("order.made", {"n": 1, "id": "a"})) == ["skipped"]
    done = calls.ended(calls.api.publish("order.made", {"n": 2, "id": "b"}))
    assert (done["state"], done["attempts"][0]["outcome"]) == ("delivered", "ok")
    assert len(calls.peer.requests()) + len(calls.api.pages("/v1/items/users")) == 1
    tried = calls.api.post("/v1/links/push:test", {"event": {"type": "order.made", "data": {"n": 1}}})
    assert (tried["outcome"], tried["call"], tried["edit"]) == ("skipped", None, None)


@pytest.mark.slow
@pytest.mark.parametrize("action", [{"call": CALL}, {"item": ITEM}])
def test_once_holds_under_replay_of_the_whole_log(calls: Calls, action: dict[str, Any]) -> None:
    calls.connection()
    calls.api.put("/v1/collections/users", {"fields": {"title": "string"}})
    calls.link(**{"call": None, **action, "once": "{{ data.id }}"})
    ids = ["a", "b", "a", "c", "b", "a"]
    events = [calls.api.publish("order.made", {"id": ident}) for ident in ids]
    found = [outcomes(calls, event)[0] for event in events]
    assert found == ["ok", "ok", "skipped", "ok", "skipped", "skipped"]
    calls.server.restart()
    for event in events:
        (delivery,) = calls.api.pages("/v1/deliveries", event=event, link="push")
        calls.api.post(f"/v1/deliveries/{delivery['id']}:retry")
    for event in events:
        until(lambda event=event: len(outcomes(calls, event)) == 2, "it is tried again")  # type: ignore[misc]
        assert outcomes(calls, event)[1] == "skipped"
    made = calls.peer.requests() or calls.api.pages("/v1/items/users")
    assert len(made) == 3


@pytest.mark.slow
def test_a_key_that_failed_may_succeed_later(calls: Calls) -> None:
    calls.connection()
    calls.link(call=CALL, once="{{ data.id }}")
    calls.peer.answer(422, 201)
    first, second, third = (calls.api.publish("order.made", {"id": "a"}) for _ in range(3))
    assert [outcomes(calls, event)[0] for event in (first, second, third)] == ["bad_status", "ok", "skipped"]
    without = calls.ended(calls.api.publish("order.made", {}))
    assert without["attempts"][0]["outcome"] == "template_failed"
    assert "no value for the key" in without["attempts"][0]["reason"]


@pytest.mark.parametrize(
    ("parts", "place", "said"),
    [
        ({"if": "yes"}, "/if", "must be a template"),
        ({"if": "{{ a }} {{ b }}"}, "/if", "There is no a here."),
        ({"if": "x{{ data.a }}"}, "/if", "one expression"),
        ({"once": "5"}, "/once", "must be a template"),
        ({"once": "{{ nothing }}"}, "/once", "There is no nothing here."),
        ({"once": "{{ data.id }}", "order": "all"}, "/order", "leave `order` out"),
    ],
)
@pytest.mark.few(2)
def test_what_cannot_be_asked_is_refused(calls: Calls, parts: dict[str, Any], place: str, said: str) -> None:
    calls.connection()
    reply = calls.api.call("PUT", "/v1/links/push", {"when": {"event": "a"}, "call": CALL, **parts})
    found = {each["pointer"]: each["detail"] for each in reply.json["errors"]}
    assert said in found[place], found
