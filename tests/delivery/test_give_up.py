"""`give_up_on`: statuses after which a delivery is dead at once; batches are halved before anything is given up."""

from __future__ import annotations

import pytest

from tests.delivery.world import World
from tidings.testing import Reaction, Received, until


@pytest.mark.parametrize(
    ("given", "status"), [([422], 422), (["4xx"], 404), ([400, "5xx"], 503), (["3xx"], 302), ([410], 410)]
)
@pytest.mark.few(2)
def test_a_status_in_give_up_on_ends_a_delivery_at_once(world: World, given: list[object], status: int) -> None:
    world.receiver.answer(status)
    endpoint = world.register(give_up_on=given)
    found = world.ended(world.api.publish("step"), endpoint)
    assert (found["state"], len(found["attempts"])) == ("dead", 1)
    assert "give_up_on" in found["attempts"][0]["reason"]


def test_other_statuses_are_tried_again(world: World) -> None:
    world.receiver.answer(422)
    endpoint = world.register(give_up_on=[400, "5xx"])
    assert world.after_attempts(world.api.publish("step"), endpoint, 1)["state"] == "waiting"


@pytest.mark.slow
def test_give_up_on_can_be_shown_changed_and_removed(world: World) -> None:
    endpoint = world.register(give_up_on=[400, "5xx"])
    assert world.endpoint(endpoint)["give_up_on"] == [400, "5xx"]
    path = f"/v1/endpoints/{endpoint}"
    assert world.api.patch(path, {"give_up_on": [422]})["give_up_on"] == [422]
    assert world.api.patch(path, {"give_up_on": None})["give_up_on"] == []
    for wrong, place in (([200], "/give_up_on/0"), ([400, "2xx"], "/give_up_on/1"), ([400] * 51, "/give_up_on")):
        reply = world.api.call("PATCH", path, {"give_up_on": wrong})
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, place)


@pytest.mark.slow
def test_giving_up_frees_the_line(world: World) -> None:
    world.receiver.answer(422, 204)
    endpoint = world.register(order="all", give_up_on=["4xx"])
    events = [world.api.publish("step", {"n": n}) for n in range(3)]
    world.delivered(events[1:], endpoint)
    assert world.ended(events[0], endpoint)["state"] == "dead"


def sizes(world: World) -> list[int]:
    """How many events each request carried."""
    return [len(each.json["data"]) for each in world.receiver.requests("/")]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["none", "all"])
def test_a_batch_that_is_too_large_goes_in_halves(world: World, order: str) -> None:
    world.receiver.answer_by(lambda received: 413 if len(received.json["data"]) > 3 else 204)
    endpoint = world.register(order=order, retry_delays_seconds=[0], batch={"max_events": 20, "max_ms": 60_000})
    events = world.api.post("/v1/events:batch", {"events": [{"type": "step", "data": {"n": n}} for n in range(20)]})
    world.delivered([each["id"] for each in events["events"]], endpoint)
    assert sizes(world)[:2] == [20, 10]
    assert world.endpoint(endpoint)["health"]["fails"] == 0
    if order == "all":
        good = [each for each in world.receiver.requests("/") if len(each.json["data"]) <= 3]
        assert [event["data"]["n"] for each in good for event in each.json["data"]] == list(range(20))


@pytest.mark.slow
def test_of_a_refused_batch_only_the_bad_event_is_given_up(world: World) -> None:
    def choose(received: Received) -> int:
        return 422 if any(event["data"]["n"] == 13 for event in received.json["data"]) else 204

    world.receiver.answer_by(choose)
    endpoint = world.register(batch={"max_events": 20, "max_ms": 60_000}, give_up_on=[422])
    made = world.api.post("/v1/events:batch", {"events": [{"type": "step", "data": {"n": n}} for n in range(20)]})
    events = [each["id"] for each in made["events"]]
    bad = events.pop(13)
    world.delivered(events, endpoint)
    assert world.ended(bad, endpoint)["state"] == "dead"


@pytest.mark.slow
def test_an_ordered_batch_waits_behind_its_bad_event(world: World) -> None:
    bad = True

    def choose(received: Received) -> int:
        return 422 if bad and any(event["data"]["n"] == 5 for event in received.json["data"]) else 204

    world.receiver.answer_by(choose)
    endpoint = world.register(order="all", batch={"max_events": 10, "max_ms": 60_000})
    made = world.api.post("/v1/events:batch", {"events": [{"type": "step", "data": {"n": n}} for n in range(10)]})
    events = [each["id"] for each in made["events"]]
    world.delivered(events[:5], endpoint)

    def tried() -> list[list[int]]:
        sent = [[event["data"]["n"] for event in each.json["data"]] for each in world.receiver.requests("/")]
        return [each for each in sent if 5 in each]

    # Alone, in the end: only once that is written down is its next attempt planned.
    until(lambda: [5] in tried(), "the bad event is sent alone")
    world.after_attempts(events[5], endpoint, len(tried()))
    bad = False
    world.clock.advance(60)
    world.delivered(events, endpoint)
    arrived = [
        event["data"]["n"]
        for each in world.receiver.requests("/")
        for event in each.json["data"]
        if choose(each) == 204
    ]
    taken = list(dict.fromkeys(reversed(arrived)))[::-1]
    assert taken == list(range(10))


@pytest.mark.slow
def test_a_batch_is_closed_by_its_bytes(world: World) -> None:
    endpoint = world.register(batch={"max_events": 100, "max_ms": 60_000, "max_bytes": 10_000})
    made = world.api.post(
        "/v1/events:batch", {"events": [{"type": "step", "data": {"x": "y" * 3_000}} for _ in range(100)]}
    )
    world.delivered([each["id"] for each in made["events"]], endpoint)
    assert all(len(each.body) <= 10_000 for each in world.receiver.requests("/"))
    assert max(sizes(world)) == 3
    large = world.api.post("/v1/events:batch", {"events": [{"type": "step", "data": {"x": "y" * 20_000}}] * 1})
    until(lambda: world.clock.advance(61) and len(world.receiver.requests("/")[-1].body) > 20_000, "it goes alone")
    world.delivered([each["id"] for each in large["events"]], endpoint)


@pytest.mark.slow
def test_a_batch_of_large_events_has_at_most_a_mebibyte_by_default(world: World) -> None:
    endpoint = world.register(batch={"max_events": 100, "max_ms": 1})
    assert world.endpoint(endpoint)["batch"]["max_bytes"] == 1_048_576
    path = f"/v1/endpoints/{endpoint}"
    assert world.api.patch(path, {"batch": {"max_bytes": 2_000_000}})["batch"]["max_bytes"] == 2_000_000
    assert world.api.patch(path, {"batch": {"max_bytes": None}})["batch"]["max_bytes"] == 1_048_576
    for wrong in (0, 1_023, 16 * 1024 * 1024 + 1):
        assert world.api.call("PATCH", path, {"batch": {"max_bytes": wrong}}).status == 422


@pytest.mark.slow
def test_the_bare_body_is_the_data_alone(world: World) -> None:
    world.register("/one", body="bare", fields=["a", "b.c"])
    world.register("/many", body="bare", batch={"max_events": 2, "max_ms": 60_000})
    for n in range(2):
        world.api.publish("step", {"a": n, "b": {"c": 1, "d": 2}})
    assert [each.json for each in world.receiver.wait_for(2, path="/one")] == [
        {"a": 0, "b": {"c": 1}},
        {"a": 1, "b": {"c": 1}},
    ]
    [batch] = world.receiver.wait_for(1, path="/many")
    assert batch.json == [{"a": n, "b": {"c": 1, "d": 2}} for n in range(2)]
    assert batch.headers["content-type"] == "application/json" and batch.headers["webhook-id"].startswith("bat_")


@pytest.mark.slow
def test_413_with_retry_after_still_halves(world: World) -> None:
    world.receiver.answer_by(
        lambda each: Reaction(status=413, headers={"Retry-After": "60"}) if len(each.json["data"]) > 1 else 204
    )
    endpoint = world.register(batch={"max_events": 4, "max_ms": 60_000})
    made = world.api.post("/v1/events:batch", {"events": [{"type": "step", "data": {}}] * 4})
    world.delivered([each["id"] for each in made["events"]], endpoint)


@pytest.mark.slow
@pytest.mark.parametrize(("order", "status"), [("all", 422), ("subject", 422), ("all", 500)])
def test_giving_up_at_once_does_not_slow_the_line(world: World, order: str, status: int) -> None:
    def choose(received: Received) -> int:
        return 204 if received.json["data"]["good"] else status

    world.receiver.answer_by(choose)
    endpoint = world.register(order=order, give_up_on=["4xx", "5xx"])
    world.delivered([world.api.publish("step", {"good": True}, subject="a")], endpoint)
    world.clock.advance(1)
    events = [{"type": "step", "data": {"good": n == 40}, "subject": "a"} for n in range(41)]
    made = world.api.post("/v1/events:batch", {"events": events})["events"]
    # The clock stands still: nothing waits for a probe.
    world.delivered([made[-1]["id"]], endpoint)
    assert len(world.receiver.requests("/")) == 42
