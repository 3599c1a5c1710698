"""`when: {every: 1h, event: x.pinged}`: an event lets a link with a timer run now, and a burst of them once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calls.world import Calls
from tidings.testing import Reaction, until

JSON = {"Content-Type": "application/json"}
EMPTY = Reaction(status=200, body=b'{"items": []}', headers=JSON)
WAITS = Reaction(status=200, body=b'{"items": []}', headers=JSON, waits=True)


@pytest.fixture(autouse=True)
def shop(calls: Calls) -> None:
    calls.connection()
    calls.peer.answer(EMPTY)


def poll(calls: Calls, **parts: Any) -> dict[str, Any]:
    when = {"every": "1h", "event": "shop.pinged"}
    emit = {"type": "shop.item", "each": "items", "key": "id"}
    call = {"via": "shop", "get": "/items"}
    found: dict[str, Any] = calls.api.put("/v1/links/pull", {"when": when, "call": call, "emit": emit, **parts})
    return found


def runs(calls: Calls, count: int) -> list[dict[str, Any]]:
    """Its runs, the first one first, once this many have ended."""

    def look() -> Any:
        found = calls.api.pages("/v1/deliveries", link="pull", state="delivered")
        return len(found) >= count and found[::-1]

    found: list[dict[str, Any]] = until(look, f"{count} runs end")
    return found


def ping(calls: Calls, **more: Any) -> str:
    return calls.api.publish("shop.pinged", {"n": 1}, **more)


def asked(calls: Calls) -> int:
    return len(calls.peer.requests())


@pytest.mark.slow
def test_an_event_lets_the_link_run_at_once_and_the_trail_says_so(calls: Calls) -> None:
    shown = poll(calls)
    assert shown["when"] == {"event": ["shop.pinged"], "every": "1h"}
    runs(calls, 1)
    event = ping(calls)
    first, second = runs(calls, 2)
    due = calls.api.get(f"/v1/events/{second['event_id']}")
    assert (due["type"], due["cause"], due["hops"], first["event_id"] != second["event_id"]) == (
        "timer.due",
        event,
        1,
        True,
    )
    detail = calls.api.get(f"/v1/events/{event}")
    assert detail["deliveries"] == []
    assert [each["reason"] for each in detail["not_matched"] if each["link"] == "pull"] == [
        "The link runs once for the event, in addition to its scheduled runs."
    ]
    trail = calls.api.get(f"/v1/events/{event}/trail")
    assert [each["type"] for each in trail["events"]] == ["shop.pinged", "timer.due"]
    next_due = calls.api.get("/v1/links/pull?counts=true")["next_due"]
    assert next_due > due["time"]


@pytest.mark.slow
def test_a_burst_becomes_one_run_and_one_during_a_run_makes_exactly_one_more(calls: Calls) -> None:
    calls.peer.answer(WAITS)
    poll(calls)
    calls.peer.wait_for(1)
    for _ in range(30):
        ping(calls)
    assert asked(calls) == 1
    calls.peer.answer(EMPTY)
    calls.peer.release()
    runs(calls, 1)
    calls.clock.advance(60)
    runs(calls, 2)
    calls.clock.advance(60)
    assert len(runs(calls, 2)) == 2 and asked(calls) == 2


@pytest.mark.slow
def test_a_paused_link_runs_once_when_it_continues(calls: Calls) -> None:
    poll(calls)
    runs(calls, 1)
    calls.api.post("/v1/links/pull:pause")
    for _ in range(5):
        ping(calls)
    calls.server.restart()
    assert asked(calls) == 1
    calls.api.post("/v1/links/pull:resume")
    runs(calls, 2)
    calls.api.post("/v1/links/pull:pause")
    ping(calls)
    calls.api.post("/v1/links/pull:resume", {"missed": "cancel"})
    calls.clock.advance(60)
    assert len(runs(calls, 2)) == 2


@pytest.mark.slow
def test_a_run_that_an_event_asked_for_is_never_left_out(calls: Calls) -> None:
    calls.peer.answer(WAITS)
    poll(calls, when={"every": "1h", "missed": "skip", "event": "shop.pinged"})
    calls.peer.wait_for(1)
    ping(calls)
    calls.clock.advance(600)
    calls.peer.answer(EMPTY)
    calls.peer.release()
    runs(calls, 1)
    calls.clock.advance(120)
    runs(calls, 2)


@pytest.mark.slow
def test_a_filter_and_a_tenant_choose_the_events(calls: Calls) -> None:
    poll(calls, filter={"data": {"n": {"$gt": 5}}})
    runs(calls, 1)
    ping(calls)
    calls.api.publish("shop.pinged", {"n": 9})
    runs(calls, 2)
    calls.clock.advance(60)
    assert len(runs(calls, 2)) == 2


@pytest.mark.slow
def test_a_poll_that_feeds_itself_stops(calls: Calls) -> None:
    def answer(received: Any) -> Reaction:
        body = f'{{"items": [{{"id": "a", "v": {asked(calls)}}}]}}'
        return Reaction(status=200, body=body.encode(), headers=JSON)

    calls.peer.answer_by(answer)
    poll(calls, when={"every": "1h", "event": "shop.item.*"})
    until(lambda: calls.api.pages("/v1/deliveries", link="pull", state="dead"), "it stops")
    (stopped,) = calls.api.pages("/v1/deliveries", link="pull", state="dead")
    assert stopped["last"]["outcome"] == "loop"
    assert asked(calls) <= 5


def test_other_actions_may_have_both_too(calls: Calls) -> None:
    calls.api.put(
        "/v1/links/pull", {"when": {"at": "03:00", "event": "a.b"}, "call": {"via": "shop", "post": "/close"}}
    )
    before = calls.api.get("/v1/links/pull?counts=true")["next_due"]
    calls.api.publish("a.b", {})
    runs(calls, 1)
    assert calls.api.get("/v1/links/pull?counts=true")["next_due"] == before
    reply = calls.api.call("POST", "/v1/replays", {"link": "pull", "since": "2020-01-01T00:00:00Z", "which": "all"})
    assert reply.status == 422
