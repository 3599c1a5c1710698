"""Edits of an endpoint hold from the next attempt on, and lose nothing that waits."""

from __future__ import annotations

from tests.delivery.oracle import signed_by
from tests.delivery.world import World


def failed_once(world: World, **options: object) -> tuple[str, str]:
    """An endpoint and an event whose first attempt failed."""
    world.receiver.answer(500, path="/old")
    endpoint = world.register("/old", **options)
    event = world.api.publish("tasks.completed", {"a": 1, "b": 2})
    world.after_attempts(event, endpoint, 1)
    return endpoint, event


def test_a_new_url_holds_for_what_waits(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"url": world.receiver.url("/new")})
    world.clock.advance(5)
    [webhook] = world.receiver.wait_for(1, path="/new")
    assert webhook.id == event
    assert world.ended(event, endpoint)["state"] == "delivered"


def test_new_headers_fields_and_secret_hold_for_what_waits(world: World) -> None:
    endpoint, event = failed_once(world)
    old = world.secret(endpoint)
    new = world.api.post(f"/v1/endpoints/{endpoint}/secret", {"overlap_seconds": 600})["secret"]
    changes = {"url": world.receiver.url("/new"), "headers": {"X-Team": "blue"}, "fields": ["b"]}
    world.api.patch(f"/v1/endpoints/{endpoint}", changes)
    world.clock.advance(5)
    [webhook] = world.receiver.wait_for(1, path="/new")
    assert webhook.headers["x-team"] == "blue"
    assert webhook.json["data"] == {"b": 2}
    assert signed_by(webhook, old) and signed_by(webhook, new)
    assert world.ended(event, endpoint)["state"] == "delivered"


def test_a_new_schedule_holds_from_the_next_failure_on(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"retry_delays_seconds": [0, 1]})
    world.clock.advance(5)
    assert world.ended(event, endpoint)["state"] == "dead"


def test_a_changed_choice_of_events_keeps_what_was_chosen_before(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"events": ["notes.*"], "url": world.receiver.url("/new")})
    world.clock.advance(5)
    world.ended(event, endpoint)
    world.api.publish("tasks.completed")
    note = world.api.publish("notes.added")
    found = world.receiver.wait_for(2, path="/new")
    assert [each.id for each in found] == [event, note]


def test_a_deleted_endpoint_cancels_what_waits(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.delete(f"/v1/endpoints/{endpoint}")
    world.clock.advance(10)
    assert world.ended(event, endpoint)["state"] == "cancelled"
    world.nothing_more(1, "/old")


def test_a_new_rate_holds_at_once(world: World) -> None:
    endpoint = world.register("/", rate=0.001)
    events = [world.api.publish("step", {"n": n}) for n in range(5)]
    world.receiver.wait_for(1)
    world.nothing_more(1, "/")
    world.api.patch(f"/v1/endpoints/{endpoint}", {"rate": None})
    world.delivered(events, endpoint)
