"""An answer to one event says nothing about another: good events arrive beside any number of poisoned ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.delivery.world import World
from tests.examples import thorough
from tidings.testing import FakeClock, Reaction, Received, until

KINDS = ("422", "400", "413", "500", "mixed")
GOOD = 5


@pytest.fixture(scope="module")
def new_clock() -> Callable[[], FakeClock]:
    """Makes one that runs as time passes."""
    return partial(FakeClock, ticking=True)


def poisoned(kind: str) -> Any:
    """A receiver's choice: poisoned events are answered with a status (or not at all), all others with 204."""
    statuses = ["422", "500", "404", "400"] if kind == "mixed" else [kind]

    def choose(received: Received) -> Reaction | int:
        found = received.json["data"]
        for event in found if isinstance(found, list) else [received.json]:
            if not event["data"]["good"]:
                status = statuses[event["data"]["n"] % len(statuses)]
                return Reaction(silent=True) if status == "silent" else int(status)
        return 204

    return choose


def publish(world: World, count: int, *, good: bool, subject: str | None = None) -> list[str]:
    """Publish events in one call; their ids."""
    events = [
        {"type": "step", "data": {"good": good, "n": n}, "subject": subject or f"{good}{n}"} for n in range(count)
    ]
    found = world.api.post("/v1/events:batch", {"events": events})
    return [each["id"] for each in found["events"]]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["none", *thorough("subject")])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.few(4)
def test_good_events_arrive_next_to_poisoned_ones(world: World, kind: str, order: str) -> None:
    world.receiver.answer_by(poisoned(kind))
    endpoint = world.register(order=order)
    publish(world, 600, good=False)
    until(lambda: world.endpoint(endpoint)["health"]["fails"] >= 10 or len(world.receiver.requests()) > 99, "they fail")
    first = publish(world, 2, good=True, subject="g")
    world.clock.advance(6)
    world.delivered(first, endpoint)
    for n in range(GOOD):
        world.delivered(publish(world, 2, good=True, subject=f"g{n}"), endpoint)
    assert world.endpoint(endpoint)["state"] == "enabled"


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.sqlite_only
def test_good_events_arrive_next_to_poisoned_ones_that_time_out(world: World) -> None:
    world.receiver.answer_by(poisoned("silent"))
    endpoint = world.register(timeout_seconds=30)
    publish(world, 600, good=False)
    world.receiver.wait_for(10)
    for n in range(GOOD):
        world.delivered(publish(world, 1, good=True, subject=f"g{n}"), endpoint)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["422", "500"])
@pytest.mark.sqlite_only
def test_a_poisoned_event_does_not_spoil_its_batch(world: World, kind: str) -> None:
    world.receiver.answer_by(poisoned(kind))
    endpoint = world.register(batch={"max_events": 20, "max_ms": 50})
    world.delivered(publish(world, 1, good=True), endpoint)
    events = []
    for n in range(4):
        events += publish(world, 15, good=True, subject=f"g{n}")
        publish(world, 1, good=False)
    world.delivered(events, endpoint)


@pytest.mark.slow
@pytest.mark.own_server
@pytest.mark.sqlite_only
def test_poisoned_events_raise_no_alarm_while_good_ones_arrive(world: World) -> None:
    world.receiver.answer_by(poisoned("422"))
    endpoint = world.register()
    world.delivered(publish(world, 1, good=True), endpoint)
    bad = publish(world, 9, good=False)
    world.after_attempts(bad[0], endpoint, 1)
    for _ in range(12):
        world.clock.advance(43_200)
        world.delivered(publish(world, 1, good=True), endpoint)
    assert world.endpoint(endpoint)["state"] == "enabled"
    assert not world.api.pages("/v1/events", type="endpoint.failing")


@pytest.mark.slow
def test_a_line_of_a_poisoned_subject_keeps_no_other_subject_waiting(world: World) -> None:
    world.receiver.answer_by(poisoned("422"))
    endpoint = world.register(order="subject")
    for _ in range(2):
        publish(world, 900, good=False, subject="poison")
    world.clock.advance(2)
    for n in range(GOOD):
        world.delivered(publish(world, 3, good=True, subject=f"g{n}"), endpoint)
    arrived = [each.json["data"]["n"] for each in world.receiver.requests() if each.json["data"]["good"]]
    assert arrived == [0, 1, 2] * GOOD


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("restarts", [False, True])
def test_lines_longer_than_memory_keep_their_order(world: World, restarts: bool) -> None:
    """Three poisoned subjects hold hundreds each; between them good subjects of many events."""
    world.receiver.answer_by(poisoned("422"))
    endpoint = world.register(order="subject", give_up_on=[])
    good = []
    for part in range(3):
        events: list[dict[str, Any]] = []
        for n in range(300):
            bad = n % 4 != 0
            subject = f"poison{n % 3}" if bad else f"g{n % 40}"
            events.append({"type": "step", "data": {"good": not bad, "n": 300 * part + n}, "subject": subject})
        made = world.api.post("/v1/events:batch", {"events": events})["events"]
        good += [each["id"] for each, event in zip(made, events, strict=True) if event["data"]["good"]]
    world.clock.advance(2)
    world.delivered(good, endpoint)
    if restarts:
        world.server.restart()
    # Now they are welcome: each line continues from its first to its last.
    world.receiver.answer_by(None)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"headers": {"X-Mended": "yes"}})
    until(
        lambda: not world.api.pages("/v1/deliveries", endpoint=endpoint, state="waiting"),
        "all lines are at their end",
        30,
    )
    arrived: dict[str, list[int]] = {}
    for each in world.receiver.requests():
        arrived.setdefault(each.json["subject"], []).append(each.json["data"]["n"])
    for subject, numbers in arrived.items():
        assert list(dict.fromkeys(numbers)) == sorted(set(numbers)), subject
    assert sum(len(set(numbers)) for numbers in arrived.values()) == 900


@pytest.mark.slow
def test_taking_the_order_away_frees_long_lines(world: World) -> None:
    world.receiver.answer_by(poisoned("422"))
    endpoint = world.register(order="subject")
    events = publish(world, 300, good=False, subject="poison")
    world.after_attempts(events[0], endpoint, 1)
    world.receiver.answer_by(None)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"order": "none"})
    world.delivered(events[1:], endpoint)


@pytest.mark.slow
def test_good_events_of_a_long_backlog_arrive_after_a_restart(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    publish(world, 700, good=False)
    good = publish(world, 3, good=True)
    until(lambda: world.endpoint(endpoint)["health"]["next_probe"], "the breaker is open")
    world.server.stop()
    world.receiver.answer_by(poisoned("500"))
    world.server.start()
    # Probes are a minute apart at most, more or less a fifth.
    world.clock.advance(75)
    world.delivered(good, endpoint)


@pytest.mark.slow
def test_a_failing_endpoint_is_not_called_more_often_for_new_events(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    publish(world, 30, good=True)
    until(lambda: world.endpoint(endpoint)["health"]["next_probe"], "the breaker is open")
    until(lambda: world.endpoint(endpoint)["health"]["fails"] == len(world.receiver.requests()), "all are written down")
    tried = len(world.receiver.requests())
    for _ in range(10):
        publish(world, 20, good=True)
    world.nothing_more(tried, "/")


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_due_retries_and_new_events_share_the_turns(world: World) -> None:
    world.receiver.answer(503)
    endpoint = world.register(max_in_flight=1, retry_delays_seconds=[0, *[1] * 19])
    old = publish(world, 9, good=False)
    for event in old:
        world.after_attempts(event, endpoint, 1)
    world.receiver.answer_by(poisoned("422"))
    world.delivered(publish(world, 20, good=True), endpoint)


@pytest.mark.parametrize("options", [{"max_in_flight": 1}, {"max_in_flight": 1, "rate": 1_000}])
@pytest.mark.sqlite_only
def test_a_new_event_does_not_wait_for_a_burst_that_is_refused(world: World, options: dict[str, Any]) -> None:
    def choose(received: Received) -> Reaction | int:
        n = received.json["data"]["n"]
        return Reaction(waits=True) if n == 0 else 422 if n < 40 else 204

    world.receiver.answer_by(choose)
    endpoint = world.register(**options)
    # The burst is older than the success of the first one, so it says nothing new about the endpoint.
    events = [{"type": "step", "data": {"n": n}} for n in range(41)]
    good = world.api.post("/v1/events:batch", {"events": events})["events"][-1]["id"]
    world.receiver.wait_for(1)
    world.delivery(good, endpoint)
    world.clock.advance(2)
    world.receiver.release()
    until(lambda: (world.clock.advance(0.01), world.delivery(good, endpoint)["state"] == "delivered")[1], "it arrives")
    assert [each.json["data"]["n"] for each in world.receiver.requests()].index(40) < 8
