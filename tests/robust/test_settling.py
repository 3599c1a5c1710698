"""Results of attempts on their way to the store: held up, cancelled meanwhile, and committed without an answer."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.delivery.world import World
from tests.robust.stalls import UnknownCommits, stalled, writer_of
from tidings.store.base import Db
from tidings.testing import Reaction, until


def in_background(call: Any) -> tuple[threading.Thread, list[Any]]:
    """Run a call in a thread; its answers come into the list."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    return thread, answers


def outcomes(world: World, count: int) -> None:
    """Wait until the deliver stage has taken in this many replies."""
    assert world.server.server is not None
    deliver = world.server.server.deliver
    until(lambda: sum(deliver.outcomes.values()) >= count, f"{count} replies were taken in")


@pytest.mark.slow
def test_a_cancel_waits_for_what_is_not_stored_yet(world: World) -> None:
    world.receiver.answer(Reaction(status=500, waits=True))
    endpoint = world.register()
    event = world.api.publish("step")
    world.receiver.wait_for(1)
    delivery = world.delivery(event, endpoint)["id"]
    with stalled(world.server):
        world.receiver.release()
        outcomes(world, 1)
        thread, answers = in_background(lambda: world.api.call("POST", f"/v1/deliveries/{delivery}:cancel"))
        thread.join(0.3)
        assert not answers, "the attempt decides what can be cancelled, and is not stored yet"
    thread.join(10)
    assert answers[0].status == 200
    found = world.ended(event, endpoint)
    assert [each["outcome"] for each in found["attempts"]] == ["bad_status", "cancelled"]
    still_works(world)


@pytest.mark.slow
def test_two_cancels_at_once(world: World) -> None:
    endpoint = world.register(retry_delays_seconds=[0, 60])
    world.receiver.answer(500)
    event = world.api.publish("step")
    delivery = world.after_attempts(event, endpoint, 1)["id"]
    with stalled(world.server):
        calls = [in_background(lambda: world.api.call("POST", f"/v1/deliveries/{delivery}:cancel")) for _ in range(4)]
        for thread, _ in calls:
            thread.join(0.1)
    for thread, _ in calls:
        thread.join(10)
    assert sorted(answers[0].status for _, answers in calls) == [200, 409, 409, 409]
    assert [each["outcome"] for each in world.ended(event, endpoint)["attempts"]] == ["bad_status", "cancelled"]
    still_works(world)


@pytest.mark.slow
def test_a_held_delivery_is_cancelled_before_its_row_is_stored(world: World) -> None:
    world.receiver.answer(Reaction(waits=True), 204)
    endpoint = world.register(order="subject")
    events = [world.api.publish("step", {"n": n}, subject="a") for n in range(3)]
    world.receiver.wait_for(1)
    second = world.delivery(events[1], endpoint)["id"]
    world.api.post(f"/v1/deliveries/{second}:cancel")
    world.receiver.release()
    world.delivered([events[0], events[2]], endpoint)
    assert [each.json["data"]["n"] for each in world.receiver.requests()] == [0, 2]
    assert world.ended(events[1], endpoint)["state"] == "cancelled"


@pytest.mark.slow
def test_a_commit_without_an_answer_makes_no_second_event(world: World) -> None:
    commits = UnknownCommits(world.server)
    endpoint = world.register()
    # Then the first tallies are stored. As the clock stands still, no others follow, whose commit could be lost.
    world.delivered([world.api.publish("step")], endpoint)
    for number in range(10):
        commits.lose(1)
        order = f"order-{number}"
        first = world.api.call("POST", "/v1/events", {"type": "step", "data": {}, "id": order})
        if first.status != 202:
            break
        # It was the commit of a task in the background that was lost.
        world.delivered([order], endpoint)
    assert first.status == 503 and int(first.headers["retry-after"]) > 0
    assert "unknown" in first.json["detail"]
    assert world.api.publish("step", id=order) == order
    world.delivered([order], endpoint)
    assert len(world.deliveries(endpoint=endpoint)) == 2 + number
    still_works(world)


def test_settlements_without_an_answer_are_not_written_twice(world: World) -> None:
    commits = UnknownCommits(world.server)
    endpoint = world.register(retry_delays_seconds=[0, 5, 5])
    world.receiver.answer(Reaction(status=500, waits=True), 204)
    event = world.api.publish("step")
    world.receiver.wait_for(1)
    commits.lose(1)
    world.receiver.release()
    until(lambda: commits.lost == 1, "the settlement's answer is lost")
    until(lambda: (world.clock.advance(1), len(world.receiver.requests()) >= 2)[1], "it goes on", 20)
    world.delivered([event], endpoint)
    assert [each["outcome"] for each in world.delivery(event, endpoint)["attempts"]] == ["bad_status", "ok"]
    still_works(world)


@pytest.mark.slow
def test_an_event_about_an_endpoint_is_emitted_once_even_if_the_answer_is_lost(world: World) -> None:
    commits = UnknownCommits(world.server)
    world.register("/watch", events=["endpoint.disabled"])
    endpoint = world.register("/gone", events=["step"])
    world.receiver.answer(Reaction(status=410, waits=True), path="/gone")
    for _ in range(5):
        world.api.publish("step")
    world.receiver.wait_for(5, path="/gone")
    commits.lose(2)
    world.receiver.release()
    until(lambda: commits.lost == 2, "answers are lost")
    until(lambda: (world.clock.advance(1), world.endpoint(endpoint)["state"] == "disabled")[1], "it is disabled", 20)
    world.receiver.wait_for(1, path="/watch")
    world.nothing_more(1, "/watch")


@pytest.mark.slow
def test_an_attempt_whose_number_was_taken_gets_the_next(world: World) -> None:
    # As when a list of what waits is cancelled while somebody else resumes the endpoint.
    world.receiver.answer(Reaction(waits=True))
    endpoint = world.register()
    event = world.api.publish("step")
    world.receiver.wait_for(1)
    writer_of(world.server).wait(_cancel_behind_its_back)
    world.receiver.release()
    until(
        lambda: (world.clock.advance(1), len(world.delivery(event, endpoint)["attempts"]) == 2)[1], "both are kept", 20
    )
    assert world.delivery(event, endpoint)["state"] == "delivered"
    still_works(world)


def _cancel_behind_its_back(db: Db) -> None:
    row = db.query("SELECT MAX(number) FROM delivery", {})[0]
    columns = ("delivery", "n", "at", "outcome", "state", "duration_ms")
    db.insert("attempt", columns, [(row[0], 1, 1, "cancelled", "cancelled", 0)])


def still_works(world: World) -> None:
    """Deliveries to another endpoint continue and are settled."""
    world.receiver.answer(204, path="/fine")
    fine = world.register("/fine", events=["fine"])
    world.delivered([world.api.publish("fine")], fine)
