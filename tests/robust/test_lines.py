"""Ordered endpoints under pressure: no line is broken, and none stands still forever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.world import World
from tests.robust.stalls import stalled, writer_of
from tidings.store.base import Db
from tidings.testing import FakeClock, Reaction, Receiver, TestServer, until


def numbers(world: World) -> list[int]:
    """The numbers in the data of what came, in the order in which it came."""
    return [each.json["data"]["n"] for each in world.receiver.requests()]


def publish(world: World, first: int, last: int, **more: str) -> list[str]:
    """Publish events numbered from `first` up to, not including, `last`; their ids."""
    ids: list[str] = []
    for start in range(first, last, 1000):
        events = [{"type": "step", "data": {"n": n}, **more} for n in range(start, min(start + 1000, last))]
        ids += [each["id"] for each in world.api.post("/v1/events:batch", {"events": events})["events"]]
    return ids


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 2, 64])
@pytest.mark.few(1)
def test_one_subject_longer_than_the_slots(world: World, slots: int) -> None:
    endpoint = world.register(order="subject", max_in_flight=slots)
    world.api.post(f"/v1/endpoints/{endpoint}:pause")
    events = publish(world, 0, 200, subject="a")
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    world.delivered(events, endpoint)
    assert numbers(world) == list(range(200))


@pytest.mark.slow
def test_a_dead_head_frees_its_line_though_the_breaker_opens(world: World) -> None:
    world.receiver.answer(*[500] * 10, 204)
    endpoint = world.register(order="subject", retry_delays_seconds=[0])
    events = publish(world, 0, 15, subject="a")
    until(lambda: world.endpoint(endpoint)["health"]["fails"] == 10, "ten have failed")
    world.clock.advance(60)
    world.delivered(events[10:], endpoint)
    assert numbers(world) == list(range(15))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["pause", "edit"])
def test_a_freed_delivery_survives(world: World, how: str) -> None:
    # With a rate, what was freed is in the queue for a while; then the queue goes back to the store.
    endpoint = world.register(order="subject", rate=1)
    events = publish(world, 0, 5, subject="a")
    world.receiver.wait_for(1)
    until(lambda: world.api.get("/v1/deliveries", endpoint=endpoint, state="delivered")["data"], "the first is stored")
    if how == "pause":
        world.api.post(f"/v1/endpoints/{endpoint}:pause")
        world.api.post(f"/v1/endpoints/{endpoint}:resume")
    else:
        world.api.patch(f"/v1/endpoints/{endpoint}", {"order": "none"})
        world.api.patch(f"/v1/endpoints/{endpoint}", {"order": "subject"})
    until(lambda: (world.clock.advance(1), len(world.receiver.requests()) >= 5)[1], "the rest arrives", 20)
    world.delivered(events, endpoint)
    assert sorted(numbers(world)) == list(range(5))


@pytest.fixture
def uneven(tmp_path: Path, clock: FakeClock, receiver: Receiver) -> Iterator[World]:
    """A server whose chance says something else each time, the longest wait first."""
    said = iter(lambda: None, 0)
    turns = [1.0, 0.0, 0.7, 0.2, 0.9, 0.4]

    def chance() -> float:
        next(said)
        turns.append(turns.pop(0))
        return turns[-1]

    with TestServer(tmp_path / "uneven", clock=clock, chance=chance) as server:
        yield World(server, clock, receiver)


@pytest.mark.slow
def test_a_failed_batch_keeps_its_order(uneven: World) -> None:
    uneven.receiver.answer(500, 204)
    endpoint = uneven.register(order="all", batch={"max_events": 10, "max_ms": 1000})
    events = publish(uneven, 0, 10)
    events += publish(uneven, 10, 20)
    uneven.receiver.wait_for(1)
    until(lambda: uneven.endpoint(endpoint)["health"]["fails"] == 1, "it has failed")
    until(lambda: (uneven.clock.advance(0.5), len(done(uneven, endpoint)) == 20)[1], "all arrive", 20)
    assert set(events) == done(uneven, endpoint)
    arrived = [event["data"]["n"] for each in uneven.receiver.requests()[1:] for event in each.json["data"]]
    assert arrived == list(range(20))


def done(world: World, endpoint: str) -> set[str]:
    """The events that were delivered."""
    return {each["event_id"] for each in world.api.pages("/v1/deliveries", endpoint=endpoint, state="delivered")}


def test_a_held_delivery_sent_before_it_was_stored_does_not_wait_again(world: World) -> None:
    # With a rate, the second is in the queue until the clock moves.
    endpoint = world.register("/line", order="subject", rate=1, events=["step"])
    world.receiver.answer(500, path="/other")
    other = world.register("/other", events=["other"])
    failed = world.after_attempts(world.api.publish("other"), other, 1)["id"]
    world.receiver.answer(Reaction(waits=True), 204, path="/line")
    events = publish(world, 0, 2, subject="a")
    world.receiver.wait_for(1, path="/line")
    with stalled(world.server):
        # One settlement is under way and stands. In the next, the second is held, freed, sent, and has ended.
        cancel = threading.Thread(target=lambda: world.api.post(f"/v1/deliveries/{failed}:cancel"))
        cancel.start()
        assert world.server.server is not None
        deliver = world.server.server.deliver
        until(lambda: deliver._settling is not None, "a settlement is under way")
        world.clock.advance(1)
        until(lambda: deliver._settlement.waiting, "the second is held, which is not stored yet")
        world.receiver.release()
        world.receiver.wait_for(2, path="/line")
        until(lambda: deliver.flights == 0, "both were answered")
    cancel.join(10)
    world.delivered(events, endpoint)
    assert not world.api.get("/v1/deliveries", state="waiting")["data"]


@pytest.mark.thorough
@pytest.mark.slow
def test_many_retries_by_hand_do_not_bury_the_head(world: World) -> None:
    # All of them are due at once; the first fails, and all others wait for it, more than fit into memory.
    endpoint = world.register(order="all")
    world.api.post(f"/v1/endpoints/{endpoint}:pause")
    events = publish(world, 0, 3000)
    writer_of(world.server).wait(_let_all_be_dead)
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    world.receiver.answer(500, 204)
    world.clock.advance(1)
    world.api.post("/v1/replays", {"endpoint_id": endpoint, "since": "2020-01-01T00:00:00Z", "which": "failed"})
    until(lambda: world.endpoint(endpoint)["health"]["fails"] == 1, "the first has failed")
    until(lambda: len(world.api.pages("/v1/deliveries", state="waiting", limit=1000)) == 3000, "the replay is done")
    until(lambda: (world.clock.advance(5), done(world, endpoint) >= set(events))[1], "all arrive", 60)
    assert [len(each) for each in (world.receiver.requests(), set(numbers(world)))] == [3001, 3000]


def _let_all_be_dead(db: Db) -> None:
    found = db.query("SELECT number, link FROM delivery", {})
    rows = [(number, 1, 1, "timeout", "dead", 1, link) for number, link in found]
    db.insert("attempt", ("delivery", "n", "at", "outcome", "state", "duration_ms", "ended_link"), rows)
