"""`was`: a link gets another name, and keeps all that it remembers and all that waits for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calls.test_polls import Source, emitted, poll, ran
from tests.calls.world import Calls
from tidings.testing import until

PUSH = {"when": {"event": "order.*"}, "call": {"via": "shop", "post": "/orders", "json": "{{ data }}"}}


@pytest.fixture(autouse=True)
def shop(calls: Calls) -> None:
    calls.connection()


def apply(calls: Calls, links: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = calls.api.post("/v1/links:apply", {"links": links, "prune": True, **more})
    return found


@pytest.mark.slow
def test_a_plan_renames_and_loses_nothing_that_waits(calls: Calls) -> None:
    apply(calls, {"push": PUSH})
    calls.peer.answer(500)
    event = calls.api.publish("order.made", {"n": 1})
    calls.delivery(event)
    before = calls.api.get("/v1/links/push")
    declared = {"send": {"was": "push", **PUSH}}
    plan = calls.api.post("/v1/links:plan", {"links": declared, "prune": True})
    assert [(each["do"], each["says"], each["loses"]) for each in plan["steps"]] == [
        ("rename_link", "will rename the link push to send", 0)
    ]
    assert (plan["loses"], plan["refusals"]) == (None, [])
    apply(calls, declared)
    after = calls.api.get("/v1/links/send")
    assert (after["id"], calls.api.call("GET", "/v1/links/push").status) == (before["id"], 404)
    calls.peer.answer(201)
    calls.clock.advance(3600)
    assert calls.ended(event, "send")["state"] == "delivered"
    assert calls.ended(calls.api.publish("order.made", {"n": 2}), "send")["state"] == "delivered"
    assert apply(calls, declared)["steps"] == []


@pytest.mark.slow
def test_once_and_what_was_kept_go_along(calls: Calls) -> None:
    keep = {"keep": {"n": "{{ status }}"}, "once": "{{ data.n }}"}
    call = {"post": calls.peer.url("/a"), "json": {}}
    apply(calls, {"push": {**PUSH, "call": call, **keep}})
    calls.ended(calls.api.publish("order.made", {"n": 1}, subject="o-1"))
    apply(calls, {"send": {"was": "push", **PUSH, "call": call, **keep, "description": "new"}})
    again = calls.ended(calls.api.publish("order.made", {"n": 1}, subject="o-1"), "send")
    assert again["last"]["outcome"] == "skipped"
    assert calls.api.get("/v1/links/send/kept?subject=o-1")["values"] == {"n": 204}
    # A new link of the old name begins with nothing.
    calls.api.put("/v1/links/push", {**PUSH, "call": call, **keep})
    assert calls.api.call("GET", "/v1/links/push/kept?subject=o-1").status == 404


@pytest.mark.slow
def test_a_poll_continues_where_it_was(calls: Calls) -> None:
    source = Source(calls)
    for n in range(4):
        source.put(f"r{n}", f"0{n}:00:00")
    shown = poll(calls)
    ran(calls, 1)
    body = {name: shown[name] for name in ("when", "call", "emit")}
    reply = calls.api.call("PUT", "/v1/links/pull2", {**body, "was": "pull"})
    assert (reply.status, reply.json["id"]) == (200, shown["id"])
    source.put("r9", "09:00:00")
    calls.clock.advance(3601)
    until(lambda: len(emitted(calls)) == 5, "the new record is emitted")
    assert [each[:2] for each in emitted(calls)] == [("created", f"r{n}") for n in (0, 1, 2, 3, 9)]
    assert "since=2026-11-29T02" in calls.peer.requests()[-1].path


@pytest.mark.slow
def test_a_rename_during_a_run_loses_and_repeats_nothing(calls: Calls) -> None:
    source = Source(calls)
    for n in range(6):
        source.put(f"r{n}", f"0{n}:00:00")
    body: dict[str, Any] = {}

    def rename() -> None:
        calls.api.put("/v1/links/pull2", {**body, "was": "pull"})

    source.before[2] = rename
    call = {"via": "shop", "get": "/items", "query": {"since": "{{ since }}"}, "pages": {"next": "{{ body.next }}"}}
    emit = {"type": "shop.item", "each": "items", "key": "id", "cursor": {"record": "at"}}
    body.update({"when": {"every": "1h"}, "call": call, "emit": emit})
    calls.api.put("/v1/links/pull", body)

    def done() -> bool:
        calls.clock.advance(60)
        return len(emitted(calls)) == 6

    until(done, "all are emitted")
    calls.clock.advance(3601)
    assert sorted(each[1] for each in emitted(calls)) == [f"r{n}" for n in range(6)]
    assert calls.api.call("POST", "/v1/links/pull:reset").status == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("links", "place", "said"),
    [
        ({"send": {"was": "push", **PUSH}, "push": PUSH}, "/links/send/was", "Leave `was` out"),
        ({"a": {"was": "push", **PUSH}, "b": {"was": "push", **PUSH}}, "/links/b/was", "Leave `was` out"),
        ({"other": {"was": "push", **PUSH}}, "/links/other/was", "exists"),
    ],
)
def test_names_that_are_taken_are_refused(calls: Calls, links: dict[str, Any], place: str, said: str) -> None:
    apply(calls, {"push": PUSH, "other": PUSH})
    plan = calls.api.post("/v1/links:plan", {"links": links})
    assert said in {each["pointer"]: each["detail"] for each in plan["refusals"]}.get(place, ""), plan
    for was in ("Push", "x", 5):
        assert calls.api.call("PUT", "/v1/links/x", {**PUSH, "was": was}).status in (400, 422)


def test_a_name_that_nothing_has_is_no_rename(calls: Calls) -> None:
    assert apply(calls, {"send": {"was": "push", **PUSH}})["steps"][0]["do"] == "create_link"
