"""429, and 503 with Retry-After: the whole endpoint rests until then, and nothing is used up or raised meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.delivery.world import World
from tidings.model.moment import MINUTE, to_text
from tidings.testing import Reaction, until

DAY_SECONDS = 86_400


def busy(world: World, status: int = 429, seconds: str | None = "30", **options: Any) -> tuple[str, str]:
    """An endpoint that asked for a rest at its first event; their ids."""
    headers = {} if seconds is None else {"Retry-After": seconds}
    world.receiver.answer(Reaction(status=status, headers=headers))
    endpoint = world.register(**options)
    event = world.api.publish("step", {"n": 0})
    world.after_attempts(event, endpoint, 1)
    return endpoint, event


@pytest.mark.slow
@pytest.mark.own_server
@pytest.mark.parametrize("status", [429, 503])
def test_nothing_is_sent_until_the_hold_ends(world: World, status: int) -> None:
    endpoint, first = busy(world, status, retry_delays_seconds=[0])
    events = [first, *(world.api.publish("step", {"n": n}) for n in range(1, 15))]
    health = world.endpoint(endpoint)["health"]
    assert world.seconds_until(health["held_until"]) == pytest.approx(30, abs=0.01)
    assert str(status) in health["held"] and health["held_until"] in health["held"]
    assert (health["fails"], health["failing_since"]) == (0, None)
    world.clock.advance(29)
    world.nothing_more(1, "/")
    world.receiver.answer(204)
    world.clock.advance(1)
    world.delivered(events, endpoint)
    assert "held_until" not in world.endpoint(endpoint)["health"]
    assert not world.api.pages("/v1/events", type="endpoint.failing")


@pytest.mark.slow
def test_a_hold_uses_up_no_attempt_and_nothing_dies(world: World) -> None:
    endpoint, event = busy(world, retry_delays_seconds=[0, 5])
    for made in range(2, 6):
        world.clock.advance(30)
        found = world.after_attempts(event, endpoint, made)
        assert found["state"] == "waiting"
        assert "not counted" in found["attempts"][-1]["reason"]
    world.receiver.answer(500)
    world.clock.advance(60)
    # Only now the schedule begins: one failure, and one more attempt 5 s later.
    assert world.after_attempts(event, endpoint, 6)["state"] == "waiting"
    world.clock.advance(5)
    assert world.ended(event, endpoint)["state"] == "dead"


def test_deliveries_to_an_endpoint_that_is_busy_forever_still_end(world: World) -> None:
    endpoint, event = busy(world, retry_delays_seconds=[0])
    world.clock.advance(5 * DAY_SECONDS + 1)
    assert world.ended(event, endpoint)["state"] == "dead"


@pytest.mark.slow
def test_a_hold_survives_a_restart(world: World) -> None:
    endpoint, event = busy(world)
    before = world.endpoint(endpoint)["health"]
    world.server.restart()
    assert world.endpoint(endpoint)["health"] == before
    later = world.api.publish("step")
    world.nothing_more(1, "/")
    world.receiver.answer(204)
    world.clock.advance(30)
    world.delivered([event, later], endpoint)


@pytest.mark.slow
def test_holds_grow_without_retry_after(world: World) -> None:
    endpoint, event = busy(world, seconds=None)
    for made, seconds in enumerate((5, 10, 20), 1):
        found = world.after_attempts(event, endpoint, made)
        assert world.seconds_until(found["next_attempt"]) == pytest.approx(seconds, abs=0.01)
        world.clock.advance(seconds)
    world.receiver.answer(204)
    world.after_attempts(event, endpoint, 4)
    world.clock.advance(40)
    assert world.ended(event, endpoint)["state"] == "delivered"


@pytest.mark.slow
def test_many_requests_in_flight_make_one_hold(world: World) -> None:
    world.receiver.answer(Reaction(status=429, headers={"Retry-After": "60"}))
    endpoint = world.register()
    for n in range(40):
        world.api.publish("step", {"n": n})
    until(lambda: "held_until" in world.endpoint(endpoint)["health"], "it rests")
    world.nothing_more(len(world.receiver.requests("/")), "/")
    tried = len(world.receiver.requests("/"))
    world.clock.advance(60)
    # One asks whether it is over.
    world.receiver.wait_for(tried + 1, path="/")
    world.nothing_more(tried + 1, "/")


@pytest.mark.slow
def test_a_hold_keeps_the_order(world: World) -> None:
    for order in ("all", "subject"):
        world.receiver.clear()
        endpoint, first = busy(world, order=order, events=["step"])
        events = [first, *(world.api.publish("step", {"n": n}, subject="s") for n in range(1, 4))]
        world.receiver.answer(204)
        world.clock.advance(30)
        world.delivered(events, endpoint)
        sent = [each.json["data"]["n"] for each in world.receiver.requests("/")]
        assert [n for n in sent if n] == [1, 2, 3] and sent.count(0) == 2
        assert order == "subject" or sent == [0, 0, 1, 2, 3]
        world.api.delete(f"/v1/endpoints/{endpoint}")


@pytest.mark.slow
def test_retry_after_may_be_a_date_and_an_hour_at_most(world: World) -> None:
    endpoint, _ = busy(world, 503, "Fri, 31 Dec 9999 23:59:59 GMT")
    assert world.seconds_until(world.endpoint(endpoint)["health"]["held_until"]) == pytest.approx(3600, abs=0.01)
    assert to_text(world.clock.now() + 60 * MINUTE) == world.endpoint(endpoint)["health"]["held_until"]


@pytest.mark.slow
def test_resuming_or_editing_ends_a_hold_and_a_single_retry_does_not(world: World) -> None:
    endpoint, event = busy(world)
    delivery = world.delivery(event, endpoint)["id"]
    world.api.post(f"/v1/deliveries/{delivery}:retry")
    world.nothing_more(1, "/")
    world.receiver.answer(204)
    world.api.post(f"/v1/endpoints/{endpoint}:resume")
    world.ended(event, endpoint)
    other, waits = busy(world)
    world.receiver.answer(204, path="/new")
    world.api.patch(f"/v1/endpoints/{other}", {"url": world.receiver.url("/new")})
    world.ended(waits, other)


@pytest.mark.slow
def test_a_hold_in_between_does_not_hide_failures(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register()
    for n in range(20):
        world.api.publish("step", {"n": n})
    until(lambda: world.endpoint(endpoint)["health"]["next_probe"], "the breaker is open")
    world.receiver.answer(Reaction(status=429, headers={"Retry-After": "100"}))
    world.clock.advance(5)
    health = until(lambda: (h := world.endpoint(endpoint)["health"]) and "held_until" in h and h, "it rests")
    assert health and health["next_probe"] >= health["held_until"]
    world.receiver.answer(204)
    world.clock.advance(100)
    until(lambda: world.endpoint(endpoint)["health"]["failing_since"] is None, "it is well")
