"""Retries: when, how often, with the same id; what `Retry-After`, 410 and an own schedule change; restarts."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.delivery.oracle import signed_by
from tests.delivery.world import World
from tidings.model.moment import SECOND, to_text
from tidings.testing import Reaction

DELAYS_SECONDS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""After the first attempt: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""


@pytest.mark.slow
def test_the_whole_schedule_attempt_by_attempt(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    event = world.api.publish("tasks.completed")
    for made, delay in enumerate(DELAYS_SECONDS, 1):
        found = world.after_attempts(event, endpoint, made)
        assert found["state"] == "waiting"
        assert world.seconds_until(found["next_attempt"]) == pytest.approx(delay, abs=0.01)
        world.clock.advance(delay - 1)
        world.nothing_more(made)
        world.clock.advance(1)
        world.receiver.wait_for(made + 1)
    found = world.after_attempts(event, endpoint, 10)
    assert (found["state"], found["next_attempt"]) == ("dead", None)
    assert {each["outcome"] for each in found["attempts"]} == {"bad_status"}
    tries = [each for each in world.receiver.requests() if each.id == event]
    assert len(tries) == 10
    assert len({each.timestamp for each in tries}) == 10
    secret = world.secret(endpoint)
    assert all(signed_by(each, secret) for each in tries)


@pytest.mark.slow
def test_it_is_tried_until_it_arrives(world: World) -> None:
    world.receiver.answer(500, 503, 204)
    endpoint = world.register(retry_delays_seconds=[0, 10, 20, 30])
    event = world.api.publish("tasks.completed")
    for made, delay in ((1, 10), (2, 20)):
        world.after_attempts(event, endpoint, made)
        world.clock.advance(delay)
    found = world.ended(event, endpoint)
    assert found["state"] == "delivered"
    assert [each["status"] for each in found["attempts"]] == [500, 503, 204]


@pytest.mark.slow
def test_a_schedule_may_have_delays_of_zero(world: World) -> None:
    world.receiver.answer(500, 500, 500, 204)
    endpoint = world.register(retry_delays_seconds=[0, 0, 0, 0, 0])
    event = world.api.publish("tasks.completed")
    assert len(world.ended(event, endpoint)["attempts"]) == 4


def test_a_schedule_of_one_is_one_try(world: World) -> None:
    endpoint = world.register(retry_delays_seconds=[0])
    world.receiver.answer(500)
    event = world.api.publish("tasks.completed")
    assert world.ended(event, endpoint)["state"] == "dead"


@pytest.mark.parametrize(
    ("asked", "delay"),
    [("60", 60), ("1", 1), ("7200", 3600), ("date", 120), ("soon", 5), ("-5", 5)],
    ids=["later", "sooner than planned", "more than an hour", "a date", "no time at all", "negative"],
)
@pytest.mark.few(3)
def test_retry_after_is_honoured_up_to_an_hour(world: World, asked: str, delay: float) -> None:
    if asked == "date":
        now = datetime.fromisoformat(to_text(world.clock.now() // SECOND * SECOND))
        asked = format_datetime(now + timedelta(seconds=120), usegmt=True)
    world.receiver.answer(Reaction(status=503, headers={"Retry-After": asked}))
    endpoint = world.register()
    found = world.after_attempts(world.api.publish("tasks.completed"), endpoint, 1)
    assert world.seconds_until(found["next_attempt"]) == pytest.approx(delay, abs=1.01)


@pytest.mark.slow
def test_410_disables_and_keeps_waiting_deliveries(world: World) -> None:
    world.receiver.answer(410)
    endpoint = world.register("/hook")
    watcher = world.register("/watch", events=["endpoint.*"])
    world.receiver.answer(204, path="/watch")
    event = world.api.publish("tasks.completed")
    found = world.wait_for_state(endpoint, "disabled")
    assert "410" in found["reason"]
    assert world.after_attempts(event, endpoint, 1)["state"] == "waiting"
    later = world.api.publish("tasks.completed")
    assert world.delivery(later, endpoint)["state"] == "waiting"
    world.receiver.answer(204)
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    world.clock.advance(10)
    world.delivered([event, later], endpoint)
    told = [each.json for each in world.receiver.wait_for(1, path="/watch") if each.json["type"].startswith("endpoint")]
    assert [(each["type"], each["data"]["endpoint_id"]) for each in told] == [("endpoint.disabled", endpoint)]
    assert watcher != endpoint


@pytest.mark.slow
def test_a_restart_changes_nothing(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    event = world.api.publish("tasks.completed")
    before = world.after_attempts(event, endpoint, 1)
    world.server.restart()
    after = world.delivery(event, endpoint)
    assert (after["next_attempt"], after["attempts"]) == (before["next_attempt"], before["attempts"])
    world.clock.advance(5)
    world.after_attempts(event, endpoint, 2)
    world.server.stop()
    world.clock.advance(300)
    world.receiver.answer(204)
    world.server.start()
    assert len(world.ended(event, endpoint)["attempts"]) == 3


@pytest.mark.slow
def test_events_published_while_the_receiver_was_down_arrive_after_a_restart(world: World) -> None:
    world.receiver.down()
    endpoint = world.register()
    events = [world.api.publish("tasks.completed", {"n": n}) for n in range(30)]
    world.after_attempts(events[0], endpoint, 1)
    world.server.restart()
    world.receiver.up()
    for _ in range(8):
        world.clock.advance(60)
    world.delivered(events, endpoint)
    assert {each.id for each in world.receiver.requests()} == set(events)


@pytest.mark.slow
def test_a_retry_by_hand_begins_a_new_schedule(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register(retry_delays_seconds=[0, 5])
    event = world.api.publish("tasks.completed")
    world.after_attempts(event, endpoint, 1)
    world.clock.advance(5)
    dead = world.ended(event, endpoint)
    assert dead["state"] == "dead"
    world.api.post(f"/v1/deliveries/{dead['id']}:retry")
    assert world.after_attempts(event, endpoint, 3)["state"] == "waiting"
    world.receiver.answer(204)
    world.clock.advance(5)
    assert world.ended(event, endpoint)["state"] == "delivered"


@pytest.mark.slow
def test_a_cancelled_delivery_is_not_tried_again(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    event = world.api.publish("tasks.completed")
    found = world.after_attempts(event, endpoint, 1)
    world.api.post(f"/v1/deliveries/{found['id']}:cancel")
    assert world.ended(event, endpoint)["state"] == "cancelled"
    world.clock.advance(86_400)
    world.nothing_more(1)
