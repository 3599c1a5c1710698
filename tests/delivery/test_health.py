"""Health: probes while it fails, a warning, disabling after five days; nothing is lost and nothing recurs."""

from __future__ import annotations

import pytest

from tests.delivery.world import World
from tidings.model import moment
from tidings.testing import Reaction, until

DAY_SECONDS = 86_400
MANY = 25
"""More than the failures that open the breaker."""


def written_down(world: World, endpoints: list[str], path: str | None = None) -> int:
    """How many requests came, once each is written down: what comes later counts from the clock of then."""

    def look() -> int:
        fails = sum(world.endpoint(endpoint)["health"]["fails"] for endpoint in endpoints)
        came = len(world.receiver.requests(path))
        return came if fails == came else 0

    return until(look, "every failure is written down")


@pytest.mark.slow
def test_failing_for_five_days_disables_and_emits_an_event(world: World) -> None:
    world.receiver.answer(500, path="/bad")
    bad = world.register("/bad", events=["tasks.*", "endpoint.*"])
    world.register("/watch", events=["endpoint.*"])
    events = [world.api.publish("tasks.completed", {"n": n}) for n in range(MANY)]
    [failing] = world.receiver.wait_for(1, path="/watch")
    assert failing.json["type"] == "endpoint.failing"
    assert failing.json["data"]["endpoint_id"] == bad
    for _ in range(11):
        tried = written_down(world, [bad], "/bad")
        world.clock.advance(DAY_SECONDS / 2)
        if world.endpoint(bad)["state"] == "disabled":
            break
        until(
            lambda: len(world.receiver.requests("/bad")) > tried or world.endpoint(bad)["state"] == "disabled",
            "it is probed",
        )
    reason = world.wait_for_state(bad, "disabled")["reason"]
    assert "5 days" in reason
    told = world.receiver.wait_for(2, path="/watch")
    assert [each.json["type"] for each in told] == ["endpoint.failing", "endpoint.disabled"]
    # Its own bad news is never sent to the failing endpoint itself.
    assert not [each for each in world.receiver.requests("/bad") if each.json["type"].startswith("endpoint.")]
    world.receiver.answer(204, path="/bad")
    world.api.post(f"/v1/endpoints/{bad}:resume")
    world.clock.advance(DAY_SECONDS)
    kept = [event for event in events if world.delivery(event, bad)["state"] != "dead"]
    assert kept
    world.delivered(kept, bad)


@pytest.mark.slow
@pytest.mark.own_server
def test_events_about_a_failing_endpoint_cause_no_further_events(world: World) -> None:
    """Two endpoints that fail and want to hear of failures would tell each other forever."""
    world.receiver.answer(500)
    endpoints = [world.register(path, events=["*", "endpoint.*"]) for path in ("/one", "/two")]
    for n in range(MANY):
        world.api.publish("tasks.completed", {"n": n})
    until(lambda: len(world.api.pages("/v1/events", type="endpoint.failing")) == 2, "both are told of")
    for _ in range(5):
        tried = written_down(world, endpoints)
        world.clock.advance(90)
        world.receiver.wait_for(tried + 1)
    assert len(world.api.pages("/v1/events", type="endpoint.failing")) == 2


@pytest.mark.slow
def test_a_failing_endpoint_is_only_probed_until_it_answers(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    events = [world.api.publish("tasks.completed", {"n": n}) for n in range(100)]
    until(lambda: world.endpoint(endpoint)["health"]["next_probe"], "the breaker is open")
    until(lambda: world.endpoint(endpoint)["health"]["fails"] == len(world.receiver.requests()), "all are written down")
    tried = len(world.receiver.requests())
    assert tried < 100
    world.clock.advance(5)
    world.receiver.wait_for(tried + 1)
    until(lambda: world.endpoint(endpoint)["health"]["fails"] == tried + 1, "the probe is written down")
    world.nothing_more(tried + 1)
    world.receiver.answer(204)
    world.clock.advance(10)
    world.clock.advance(300)
    world.delivered(events, endpoint)
    assert world.endpoint(endpoint)["health"] == {"failing_since": None, "fails": 0, "next_probe": None}


def test_failures_long_ago_do_not_disable(world: World) -> None:
    """It failed once, was sent nothing for days, and fails again: that is not five days of failing."""
    world.receiver.answer(500)
    endpoint = world.register(retry_delays_seconds=[0, 1])
    first = world.api.publish("tasks.completed")
    world.after_attempts(first, endpoint, 1)
    world.clock.advance(1)
    world.ended(first, endpoint)
    world.clock.advance(6 * DAY_SECONDS)
    second = world.api.publish("tasks.completed")
    world.after_attempts(second, endpoint, 1)
    assert world.endpoint(endpoint)["state"] == "enabled"


@pytest.mark.slow
def test_a_pause_keeps_deliveries_and_resuming_sends_them(world: World) -> None:
    endpoint = world.register()
    world.api.post(f"/v1/endpoints/{endpoint}:pause", {"reason": "maintenance"})
    events = [world.api.publish("tasks.completed", {"n": n}) for n in range(20)]
    assert world.delivery(events[-1], endpoint)["state"] == "waiting"
    world.clock.advance(3 * DAY_SECONDS)
    world.nothing_more(0)
    world.server.restart()
    world.nothing_more(0)
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    world.delivered(events, endpoint)
    assert sorted(each.id for each in world.receiver.requests("/")) == sorted(events)


@pytest.mark.slow
def test_resuming_may_cancel_missed_deliveries(world: World) -> None:
    endpoint = world.register()
    world.api.post(f"/v1/endpoints/{endpoint}:pause")
    missed = [world.api.publish("tasks.completed", {"n": n}) for n in range(5)]
    world.delivery(missed[-1], endpoint)
    world.api.post(f"/v1/endpoints/{endpoint}:resume", {"missed": "cancel"})
    wanted = world.api.publish("tasks.completed")
    world.delivered([wanted], endpoint)
    assert {world.ended(event, endpoint)["state"] for event in missed} == {"cancelled"}
    world.nothing_more(1, "/")


@pytest.mark.slow
def test_the_next_attempt_of_a_delivery_is_said_truly_whatever_its_endpoint_does(world: World) -> None:
    world.receiver.answer(500, path="/bad")
    bad = world.register("/bad", events=["tasks.*"], retry_delays_seconds=[1] * 9)
    first, *_ = [world.api.publish("tasks.completed", {"n": n}) for n in range(MANY)]
    health = until(lambda: (each := world.endpoint(bad)["health"])["next_probe"] and each, "the breaker is open")
    written_down(world, [bad])
    found = world.delivery(first, bad)
    assert found["waiting_because"] == "failing"
    assert found["due"] == found["next_attempt"] == health["next_probe"]
    assert {each["due"] for each in world.api.pages("/v1/deliveries", endpoint=bad)} == {health["next_probe"]}
    (of_event,) = world.api.get(f"/v1/events/{first}")["deliveries"]
    assert of_event["due"] == health["next_probe"]
    (tally,) = world.api.get("/v1/tallies:links", endpoint=bad)["data"]
    assert tally["next_attempt"] == health["next_probe"]
    since = moment.from_text(health["failing_since"])
    assert health["disables_at"] == moment.to_text(since + 5 * moment.DAY)
    world.api.post(f"/v1/endpoints/{bad}:pause", {})
    found = until(lambda: (each := world.delivery(first, bad))["due"] is None and each, "it is paused")
    assert (found["next_attempt"], found["waiting_because"]) == (None, "paused")
    paused = world.endpoint(bad)["health"]
    assert paused["next_probe"] is None and "disables_at" not in paused
    assert {each["waiting_because"] for each in world.api.pages("/v1/deliveries", endpoint=bad)} == {"paused"}


@pytest.mark.slow
def test_a_probe_that_nothing_waits_for_has_no_time(world: World) -> None:
    world.receiver.answer(400, path="/strict")
    strict = world.register("/strict", events=["tasks.*"], give_up_on=[400])
    for n in range(11):
        world.api.publish("tasks.completed", {"n": n})
    until(lambda: world.endpoint(strict)["health"]["next_probe"], "the breaker is open")

    def are_dead() -> bool:
        world.clock.advance(1)
        return len(world.api.pages("/v1/deliveries", endpoint=strict, state="dead")) == 11

    until(are_dead, "all are dead")
    world.clock.advance(60)
    assert world.endpoint(strict)["health"]["next_probe"] is None


@pytest.mark.slow
def test_a_delivery_to_a_busy_endpoint_waits_for_the_end_of_its_pause(world: World) -> None:
    world.receiver.answer(Reaction(status=429, headers={"Retry-After": "30"}), path="/busy")
    busy = world.register("/busy", events=["tasks.*"])
    events = [world.api.publish("tasks.completed", {"n": n}) for n in range(2)]
    until(lambda: "held_until" in world.endpoint(busy)["health"], "it asked for a pause")
    held = world.endpoint(busy)["health"]["held_until"]
    for event in events:
        found = world.delivery(event, busy)
        assert (found["due"], found["waiting_because"]) == (held, "asked_to_wait")
