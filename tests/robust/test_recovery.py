"""What a kill leaves in the store is enough: nothing in flight is forgotten, and order holds over the restart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.delivery.world import World
from tests.examples import thorough
from tidings.store.base import Db
from tidings.testing import Reaction, until

Crash = Callable[[], World]


def numbers(world: World) -> list[int]:
    """The numbers in the data of what came, in the order in which it came."""
    return [each.json["data"]["n"] for each in world.receiver.requests()]


def held(world: World, endpoint: str) -> int:
    """How many deliveries of an ordered endpoint are stored as held."""
    assert world.server.server is not None
    parts = world.server.server.parts
    link = parts.catalog.now.endpoints_by_id[endpoint].num
    return int(
        parts.readers.run(
            lambda db: db.query("SELECT COUNT(*) FROM waiting WHERE held = 1 AND link = :link", {"link": link})
        )[0][0]
    )


@pytest.mark.slow
def test_requests_in_flight_when_the_breaker_opened_are_sent_again(world: World, crash: Crash) -> None:
    # The queue goes back to the store, behind the lane's cursor; what is in flight is before it, and unanswered.
    world.receiver.answer(*[Reaction(status=500, waits=True)] * 10, Reaction(silent=True))
    endpoint = world.register(max_in_flight=16)
    events = [world.api.publish("step", {"n": n}) for n in range(30)]
    world.receiver.wait_for(16)
    world.receiver.release()
    until(lambda: world.endpoint(endpoint)["health"]["fails"] == 10, "ten have failed")
    until(
        lambda: sum(each["attempts"] for each in world.api.pages("/v1/deliveries", endpoint=endpoint)) == 10, "settled"
    )
    after = crash()
    after.clock.advance(60)
    after.delivered(events, endpoint)


def test_order_holds_when_the_head_was_in_flight(world: World, crash: Crash) -> None:
    world.receiver.answer(Reaction(silent=True))
    endpoint = world.register(order="subject")
    events = [world.api.publish("step", {"n": n}, subject="a") for n in range(5)]
    until(lambda: held(world, endpoint) == 4, "four are held")
    after = crash()
    after.delivered(events, endpoint)
    assert numbers(after) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_a_new_event_does_not_overtake_those_held(world: World, crash: Crash) -> None:
    world.receiver.answer(Reaction(silent=True))
    endpoint = world.register(order="subject", retry_delays_seconds=[0], timeout_seconds=1)
    events = [world.api.publish("step", {"n": n}, subject="a") for n in range(3)]
    until(lambda: held(world, endpoint) == 2, "two are held")
    # As a kill leaves it between the settlement of the head and that of the next one.
    assert world.server.server is not None
    world.server.server.writer.wait(_end_the_head)
    after = crash()
    # Or the server that continues here could not store its own result when it stops.
    world.server.server.writer.wait(lambda db: db.query("DELETE FROM attempt", {}))
    events += [after.api.publish("step", {"n": n}, subject="a") for n in range(3, 6)]
    after.delivered(events[1:], endpoint)
    assert numbers(after) == [1, 2, 3, 4, 5]


def _end_the_head(db: Db) -> None:
    row = db.query("SELECT MIN(number) FROM delivery", {})[0]
    columns = ("delivery", "n", "at", "outcome", "state", "duration_ms")
    db.insert("attempt", columns, [(row[0], 1, 1, "timeout", "dead", 1)])


@pytest.mark.slow
@pytest.mark.parametrize("order", ["subject", *thorough("all")])
def test_many_behind_a_head_that_was_in_flight(world: World, crash: Crash, order: str) -> None:
    # So many that the lane lags: the head is before its cursor, and those held fill it.
    world.receiver.answer(Reaction(silent=True))
    endpoint = world.register(order=order)
    for start in range(0, 2000, 500):
        batch = [{"type": "step", "subject": "a", "data": {"n": n}} for n in range(start, start + 500)]
        world.api.post("/v1/events:batch", {"events": batch})
    if order == "subject":
        until(lambda: held(world, endpoint) >= 500, "many are held")
    after = crash()
    after.receiver.wait_for(2000, 60)
    assert numbers(after) == list(range(2000))


@pytest.mark.slow
def test_queued_and_paused_deliveries_are_sent_after_a_crash(world: World, crash: Crash) -> None:
    world.receiver.answer(Reaction(silent=True))
    endpoint = world.register(max_in_flight=2)
    events = [world.api.publish("step", {"n": n}) for n in range(20)]
    world.receiver.wait_for(2)
    world.api.post(f"/v1/endpoints/{endpoint}:pause")
    events += [world.api.publish("step", {"n": n}) for n in range(20, 30)]
    after = crash()
    after.api.post(f"/v1/endpoints/{endpoint}:resume")
    after.delivered(events, endpoint)
    assert sorted(numbers(after)) == list(range(30))
