"""Many waiting, many endpoints: memory stays bounded, others are not held up, and all of it arrives in the end."""

from __future__ import annotations

import pytest

from tests.delivery.world import World
from tests.examples import thorough
from tidings.deliver.lane.lane import QUEUE_MAX
from tidings.deliver.lane.view import LaneView
from tidings.testing import Reaction, Receiver, until

pytestmark = pytest.mark.slow


def publish(world: World, first: int, last: int, kind: str = "step", **more: str) -> list[str]:
    """Publish events numbered from `first` up to, not including, `last`; their ids."""
    ids: list[str] = []
    for start in range(first, last, 500):
        events = [{"type": kind, "data": {"n": n}, **more} for n in range(start, min(start + 500, last))]
        ids += [each["id"] for each in world.api.post("/v1/events:batch", {"events": events})["events"]]
    return ids


def lane(world: World, endpoint: str) -> LaneView:
    """What the deliver stage holds of an endpoint."""
    assert world.server.server is not None
    parts = world.server.server.parts
    found = parts.deliver.lane(parts.catalog.now.endpoints_by_id[endpoint].num)
    assert found is not None
    return found


def held_in_memory(world: World) -> int:
    """Deliveries that the deliver stage keeps in memory, over all lanes."""
    assert world.server.server is not None
    lanes = world.server.server.deliver._lanes
    return len(lanes.outstanding) + sum(len(each.busy) + each.lines.held_count for each in lanes.by_link.values())


def everything(world: World, endpoint: str, events: list[str], seconds: float = 60) -> None:
    """Wait, with the clock moving, until an endpoint has got all of these."""

    def look() -> bool:
        world.clock.advance(1)
        # To read thousands again and again takes longer than to send them.
        if world.api.get("/v1/deliveries", endpoint=endpoint, state="waiting", limit=1)["data"]:
            return False
        found = world.api.pages("/v1/deliveries", endpoint=endpoint, state="delivered", limit=1000)
        return {each["event_id"] for each in found} >= set(events)

    until(look, f"{len(events)} events are delivered", seconds)


@pytest.mark.parametrize("order", ["subject", *thorough("none", "all")])
def test_a_dead_endpoint_comes_back_to_thousands(world: World, order: str) -> None:
    healthy = world.register("/healthy", events=["step"])
    with Receiver() as other:
        dead = world.api.post("/v1/endpoints", {"url": other.url(), "events": ["step"], "order": order})["id"]
        other.down()
        # Fifty subjects, in turn.
        events: list[str] = []
        for start in range(0, 2000, 50):
            batch = [{"type": "step", "subject": f"s{n % 50}", "data": {"n": n}} for n in range(start, start + 50)]
            events += [each["id"] for each in world.api.post("/v1/events:batch", {"events": batch})["events"]]
        everything(world, healthy, events)
        assert lane(world, dead).queued <= QUEUE_MAX and held_in_memory(world) < 4 * QUEUE_MAX
        if order != "all":
            until(lambda: (world.clock.advance(1), lane(world, dead).open)[1], "the breaker is open")
        other.up()
        everything(world, dead, events, 120)
        counts = [each.id for each in other.requests()]
        assert sorted(counts) == sorted(set(counts)), "nothing is sent twice"
        if order != "none":
            by_subject = [
                [n for n in (each.json["data"]["n"] for each in other.requests()) if n % 50 == s] for s in range(50)
            ]
            assert all(numbers == sorted(numbers) for numbers in by_subject)
        # Having caught up, it follows again.
        [late] = publish(world, 5000, 5001, subject="s1")
        everything(world, dead, [late])
        assert not lane(world, dead).lagging and held_in_memory(world) < 100


def test_probes_of_a_dead_endpoint_are_few(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register(max_in_flight=4)
    publish(world, 0, 2500)
    until(lambda: lane(world, endpoint).open, "the breaker is open")
    until(lambda: lane(world, endpoint).in_flight == 0, "what was in flight has ended")
    before = len(world.receiver.requests())
    assert before < 20
    for probe in range(1, 8):
        at = until(lambda: lane(world, endpoint).probe_at, "a probe is planned")
        assert at is not None
        wait = (at - world.clock.now()) / 1_000_000
        assert wait == pytest.approx(min(60, 5 * 2 ** (probe - 1)), rel=0.21)
        world.clock.advance(wait + 0.001)
        until(lambda: len(world.receiver.requests()) == before + probe, f"probe {probe}")
        until(lambda: lane(world, endpoint).probe_at != at, "the next one is planned")
    world.nothing_more(before + 7, "/")


@pytest.mark.thorough
def test_a_slow_endpoint_falls_behind_and_catches_up(world: World) -> None:
    fast = world.register("/fast", events=["step"])
    slow = world.register("/slow", events=["step"], max_in_flight=1)
    world.receiver.answer(Reaction(delay_seconds=0.05), path="/slow")
    events = publish(world, 0, 3000)
    everything(world, fast, events)
    assert lane(world, slow).lagging and lane(world, slow).queued <= QUEUE_MAX
    assert len(world.receiver.requests("/slow")) < 1000
    # It becomes quick, and may take more at once.
    world.receiver.answer(204, path="/slow")
    world.api.patch(f"/v1/endpoints/{slow}", {"max_in_flight": 64})
    everything(world, slow, events, 120)
    counts = [each.id for each in world.receiver.requests("/slow")]
    assert sorted(counts) == sorted(set(counts)), "nothing is sent twice"


@pytest.mark.thorough
def test_a_thousand_endpoints(world: World) -> None:
    dead = 100
    for n in range(1000):
        world.register(
            f"/{'dead' if n < dead else 'fine'}/{n}", events=["step"], order=("none", "subject", "all")[n % 3]
        )
    for n in range(dead):
        world.receiver.answer(500, path=f"/dead/{n}")
    events = publish(world, 0, 5, subject="a")
    fine = (1000 - dead) * len(events)
    until(lambda: sum(each.path.startswith("/fine") for each in world.receiver.requests()) == fine, "all arrive", 60)
    world.server.restart()
    events += publish(world, 5, 8, subject="a")
    fine = (1000 - dead) * len(events)
    until(lambda: sum(each.path.startswith("/fine") for each in world.receiver.requests()) == fine, "all arrive", 60)
    for n in range(dead):
        world.receiver.answer(204, path=f"/dead/{n}")

    def look() -> bool:
        world.clock.advance(5)
        return not world.api.get("/v1/deliveries", state="waiting")["data"]

    until(look, "nothing waits any more", 60)
    assert not world.api.get("/v1/deliveries", state="dead")["data"]
    assert held_in_memory(world) == 0
