"""Events that another system dislikes, or never answers, keep no other event of their link waiting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls.world import Calls
from tests.net.test_names import NameServer
from tidings.net.names import Cares, Names
from tidings.testing import FakeClock, Reaction, Received, Receiver, TestServer


@pytest.fixture
def calls(tmp_path: Path, peer: Receiver) -> Iterator[Calls]:
    """Time passes."""
    clock = FakeClock(ticking=True)
    with TestServer(tmp_path / "tidings", clock=clock) as server:
        yield Calls(server, clock, peer)


def publish(calls: Calls, count: int, *, good: bool, **data: Any) -> list[str]:
    """Publish events in one call; their ids."""
    events = [
        {"type": "order.made", "data": {"good": good, "n": n, **data}, "subject": f"{good}{n}"} for n in range(count)
    ]
    return [each["id"] for each in calls.api.post("/v1/events:batch", {"events": events})["events"]]


CALL = {"via": "shop", "post": "/orders", "json": "{{ data }}"}


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 1_000])
@pytest.mark.parametrize(
    "parts",
    [
        {"call": CALL},
        {"call": {**CALL, "post": "/orders/{{ data.only_good.have }}"}},
        {"call": CALL, "if": "{{ data.only_good.have == 1 }}"},
        {"item": {"collection": "orders", "put": "{{ id }}", "data": {"n": "{{ data.n }}"}}},
    ],
    ids=["disliked", "without a value", "without a value in if", "refused edits"],
)
@pytest.mark.few(3)
def test_good_events_of_a_link_arrive_next_to_bad_ones(calls: Calls, parts: dict[str, Any], count: int) -> None:
    calls.connection()
    calls.api.put("/v1/collections/orders", {"fields": {"n": {"type": "integer", "max": 5}}})
    calls.api.put("/v1/links/push", {"when": {"event": "order.*"}, **parts})
    calls.peer.answer_by(lambda received: 204 if received.json["good"] else 422)
    publish(calls, count, good=False, **({"n": 99} if "item" in parts else {}))
    for n in range(3):
        (event,) = publish(calls, 1, good=True, n=n, only_good={"have": 1})
        assert calls.ended(event)["state"] == "delivered"
    assert calls.api.get("/v1/links/push")["state"] == "enabled"


@pytest.mark.slow
def test_calls_that_are_never_answered_delay_others_by_one_timeout_if_there_is_one_at_a_time(calls: Calls) -> None:
    calls.connection()
    call = {**CALL, "timeout_seconds": 1.1, "in_doubt": "retry"}
    calls.link(call=call, max_in_flight=1, retry_delays_seconds=[0, *[1] * 19])

    def choose(received: Received) -> Reaction | int:
        return 204 if received.json["good"] else Reaction(silent=True)

    calls.peer.answer_by(choose)
    publish(calls, 10, good=False)
    calls.peer.wait_for(1)
    for _ in range(2):
        before = sum(not each.json["good"] for each in calls.peer.requests())
        events = publish(calls, 20, good=True)
        assert {calls.ended(event)["state"] for event in events} == {"delivered"}
        bad = [each.json["good"] for each in calls.peer.requests()].count(False)
        assert bad - before <= 2, "all of them go before the next one that may time out"


@pytest.mark.slow
def test_names_of_connections_that_never_answer_delay_no_other_connection(
    tmp_path: Path, peer: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = NameServer({"known.test": "127.0.0.1"})
    monkeypatch.setattr("tidings.server.Names", lambda: Names(Cares([names.where])))
    clock = FakeClock(ticking=True)
    with TestServer(tmp_path / "tidings", clock=clock) as server:
        calls = Calls(server, clock, peer)
        connections = {f"lost{n}": {"base": f"http://n{n}.lost.test/", "timeout_seconds": 2} for n in range(60)}
        connections["shop"] = {"base": peer.url("/api", "known.test")}
        links = {
            name: {"when": {"event": f"{name}.*" if name == "shop" else "order.*"}, "call": {"via": name, "post": "/x"}}
            for name in connections
        }
        calls.api.post("/v1/links:apply", {"links": links, "connections": connections})
        publish(calls, 20, good=False)
        for _ in range(3):
            assert calls.ended(calls.api.publish("shop.ordered", {}), "shop")["state"] == "delivered"
    names.close()
