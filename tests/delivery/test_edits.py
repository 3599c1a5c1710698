"""Edits of an endpoint hold from the next attempt on, and lose no waiting delivery."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.delivery.oracle import signed_by
from tests.delivery.simulated import Answer, Simulated
from tests.delivery.world import World
from tidings.testing import Reaction, until


def failed_once(world: World, **options: object) -> tuple[str, str]:
    """An endpoint and an event whose first attempt failed."""
    world.receiver.answer(500, path="/old")
    endpoint = world.register("/old", **options)
    event = world.api.publish("tasks.completed", {"a": 1, "b": 2})
    world.after_attempts(event, endpoint, 1)
    return endpoint, event


@pytest.mark.slow
def test_a_new_url_applies_to_waiting_deliveries(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"url": world.receiver.url("/new")})
    world.clock.advance(5)
    [webhook] = world.receiver.wait_for(1, path="/new")
    assert webhook.id == event
    assert world.ended(event, endpoint)["state"] == "delivered"


@pytest.mark.slow
def test_new_headers_fields_and_secret_apply_to_waiting_deliveries(world: World) -> None:
    endpoint, event = failed_once(world)
    old = world.secret(endpoint)
    new = world.api.post(f"/v1/endpoints/{endpoint}/secret", {"overlap_seconds": 600})["secret"]
    # The new secret alone sends what waits once more.
    world.after_attempts(event, endpoint, 2)
    changes = {"url": world.receiver.url("/new"), "headers": {"X-Team": "blue"}, "fields": ["b"]}
    world.api.patch(f"/v1/endpoints/{endpoint}", changes)
    [webhook] = world.receiver.wait_for(1, path="/new")
    assert webhook.headers["x-team"] == "blue"
    assert webhook.json["data"] == {"b": 2}
    assert signed_by(webhook, old) and signed_by(webhook, new)
    assert world.ended(event, endpoint)["state"] == "delivered"


@pytest.mark.slow
def test_a_new_schedule_applies_from_the_next_failure_on(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"retry_delays_seconds": [0, 1]})
    world.clock.advance(5)
    assert world.ended(event, endpoint)["state"] == "dead"


@pytest.mark.slow
def test_a_changed_selection_keeps_earlier_deliveries(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"events": ["notes.*"], "url": world.receiver.url("/new")})
    world.clock.advance(5)
    world.ended(event, endpoint)
    world.api.publish("tasks.completed")
    note = world.api.publish("notes.added")
    found = world.receiver.wait_for(2, path="/new")
    assert [each.id for each in found] == [event, note]


@pytest.mark.slow
def test_a_deleted_endpoint_cancels_waiting_deliveries(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.delete(f"/v1/endpoints/{endpoint}")
    world.clock.advance(10)
    assert world.ended(event, endpoint)["state"] == "cancelled"
    world.nothing_more(1, "/old")


@pytest.mark.slow
def test_a_new_rate_applies_at_once(world: World) -> None:
    endpoint = world.register("/", rate=0.001)
    events = [world.api.publish("step", {"n": n}) for n in range(5)]
    world.receiver.wait_for(1)
    world.nothing_more(1, "/")
    world.api.patch(f"/v1/endpoints/{endpoint}", {"rate": None})
    world.delivered(events, endpoint)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["none", "subject", "all"])
@pytest.mark.few(2)
def test_failed_deliveries_are_retried_at_once_if_the_url_is_corrected(world: World, order: str) -> None:
    world.receiver.answer(500, path="/old")
    endpoint = world.register("/old", order=order)
    events = [world.api.publish("step", {"n": n}, subject=f"s{n % 12}") for n in range(36)]
    world.after_attempts(events[0], endpoint, 1)
    tried = len(world.receiver.requests("/old"))
    world.clock.advance(6)
    world.receiver.wait_for(tried + 1, path="/old")
    world.api.patch(f"/v1/endpoints/{endpoint}", {"url": world.receiver.url("/new")})
    world.delivered(events, endpoint)
    numbers = [each.json["data"]["n"] for each in world.receiver.requests("/new")]
    if order == "all":
        assert numbers == list(range(36))
    if order == "subject":
        assert all(sorted(line) == line for line in ([n for n in numbers if n % 12 == k] for k in range(12)))


@pytest.mark.parametrize(
    "change", [{"headers": {"Authorization": "Bearer right"}}, {"body": "thin"}, {"timeout_seconds": 20}, "secret"]
)
@pytest.mark.few(2)
def test_other_edits_of_what_is_sent_retry_at_once_too(world: World, change: object) -> None:
    endpoint, event = failed_once(world)
    world.receiver.answer(204, path="/old")
    if change == "secret":
        world.api.post(f"/v1/endpoints/{endpoint}/secret", {})
    else:
        world.api.patch(f"/v1/endpoints/{endpoint}", change)
    assert world.ended(event, endpoint)["state"] == "delivered"


@pytest.mark.slow
def test_an_edit_of_the_description_retries_nothing(world: World) -> None:
    endpoint, _ = failed_once(world)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"description": "The same", "events": ["*"], "rate": 5})
    world.nothing_more(1, "/old")


@pytest.mark.slow
def test_a_response_of_the_old_url_says_nothing_about_the_new_one(world: World) -> None:
    world.receiver.answer(Reaction(status=500, waits=True), path="/old")
    endpoint = world.register("/old", retry_delays_seconds=[0])
    event = world.api.publish("step")
    world.receiver.wait_for(1, path="/old")
    world.clock.advance(1)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"url": world.receiver.url("/new")})
    until(lambda: world.endpoint(endpoint)["url"].endswith("/new"), "it is changed")
    world.receiver.release()
    assert world.ended(event, endpoint)["state"] == "delivered"


def test_a_response_right_after_an_edit_is_judged_after_it(tmp_path: Path) -> None:
    """The stage has not read the message about the edit when the response comes."""
    world = Simulated(
        tmp_path, lambda data, at: Answer(500, after=2) if at < 1 else Answer(), retry_delays_seconds=(0,)
    )
    world.publish({"g": 0})
    world.at(2, lambda: world.edit(url="http://receiver/new"))
    world.run(5)
    world.close()
    assert [status for _, _, status in world.log] == [500, 204]


@pytest.mark.slow
def test_a_resumed_endpoint_gets_failed_deliveries_at_once(world: World) -> None:
    world.receiver.answer(410)
    endpoint = world.register()
    event = world.api.publish("step")
    world.wait_for_state(endpoint, "disabled")
    world.after_attempts(event, endpoint, 1)
    world.receiver.answer(204)
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    world.ended(event, endpoint)


@pytest.mark.parametrize("paused_first", [True, False])
@pytest.mark.parametrize("order", ["none", "subject", "all"])
@pytest.mark.few(3)
def test_resume_sends_deliveries_waiting_for_a_retry_at_once(world: World, order: str, *, paused_first: bool) -> None:
    world.receiver.answer(500)
    endpoint = world.register(order=order)
    events = [world.api.publish("step", {"n": n}, subject=f"s{n % 3}") for n in range(9)]
    world.after_attempts(events[0], endpoint, 1)
    world.receiver.answer(204)
    if paused_first:
        world.api.post(f"/v1/endpoints/{endpoint}:pause")
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    world.delivered(events, endpoint)


@pytest.mark.slow
def test_an_edit_during_a_pause_applies_right_after_it(world: World) -> None:
    endpoint, event = failed_once(world)
    world.api.post(f"/v1/endpoints/{endpoint}:pause")
    world.api.patch(f"/v1/endpoints/{endpoint}", {"url": world.receiver.url("/new")})
    world.nothing_more(0, "/new")
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    assert world.ended(event, endpoint)["state"] == "delivered"


@contextmanager
def held_before_reading(world: World) -> Iterator[None]:
    """The deliver stage has taken in its messages; after the block it reads what was committed in the meantime."""
    assert world.server.server is not None
    lanes = world.server.server.deliver._lanes
    read_head, inside, go = lanes.read_head, threading.Event(), threading.Event()

    def late(now: int) -> bool:
        inside.set()
        go.wait(10)
        return read_head(now)

    lanes.read_head = late  # type: ignore[method-assign]
    world.api.publish("nobody.asked")
    assert inside.wait(10)
    yield
    lanes.read_head = read_head  # type: ignore[method-assign]
    go.set()


def test_events_published_right_after_registration_arrive(world: World) -> None:
    with held_before_reading(world):
        endpoint = world.register()
        event = world.api.publish("tasks.completed")
    assert world.ended(event, endpoint)["state"] == "delivered"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["pause", "edit"])
def test_what_is_published_right_after_a_change_knows_it(world: World, what: str) -> None:
    """It was sent although the endpoint had been paused before it was published."""
    endpoint = world.register("/old", events=["tasks.*"])
    with held_before_reading(world):
        if what == "pause":
            world.api.post(f"/v1/endpoints/{endpoint}:pause")
        else:
            world.api.patch(f"/v1/endpoints/{endpoint}", {"url": world.receiver.url("/new")})
        event = world.api.publish("tasks.completed")
    if what == "pause":
        world.nothing_more(0, "/old")
        assert world.delivery(event, endpoint)["waiting_because"] == "paused"
    else:
        world.receiver.wait_for(1, path="/new")
