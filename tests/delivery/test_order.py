"""Order: one line for all events, or one for each subject; what blocks it, what is parked, and restarts."""

from __future__ import annotations

import pytest

from tests.delivery.world import World
from tidings.testing import Reaction, until


def numbers(world: World, path: str | None = None) -> list[int]:
    """The numbers in the data of what came, in the order in which it came."""
    return [each.json["data"]["n"] for each in world.receiver.requests(path)]


@pytest.mark.slow
def test_order_all_sends_one_after_the_other(world: World) -> None:
    endpoint = world.register(order="all")
    events = [world.api.publish("step", {"n": n}) for n in range(50)]
    world.delivered(events, endpoint)
    assert numbers(world) == list(range(50))
    assert world.receiver.most_at_once == 1


@pytest.mark.slow
def test_a_stuck_head_blocks_the_line_until_it_arrives(world: World) -> None:
    world.receiver.answer(204, 500, 204)
    endpoint = world.register(order="all")
    events = [world.api.publish("step", {"n": n}) for n in range(10)]
    world.after_attempts(events[1], endpoint, 1)
    world.receiver.wait_for(2)
    assert numbers(world) == [0, 1]
    world.clock.advance(5)
    world.delivered(events, endpoint)
    assert numbers(world) == [0, 1, *range(1, 10)]


@pytest.mark.slow
def test_order_all_holds_across_a_restart(world: World) -> None:
    world.receiver.answer(204, 500)
    endpoint = world.register(order="all")
    events = [world.api.publish("step", {"n": n}) for n in range(10)]
    world.after_attempts(events[1], endpoint, 1)
    world.server.restart()
    events += [world.api.publish("step", {"n": n}) for n in range(10, 15)]
    world.nothing_more(2, "/")
    world.receiver.answer(204)
    world.clock.advance(5)
    world.delivered(events, endpoint)
    assert numbers(world, "/") == [0, 1, *range(1, 15)]


@pytest.mark.slow
def test_a_stuck_head_is_parked_when_it_is_too_old(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register(order="all", order_max_age_seconds=60)
    events = [world.api.publish("step", {"n": n}) for n in range(3)]
    world.after_attempts(events[0], endpoint, 1)
    world.receiver.answer(500, 204)
    world.clock.advance(61)
    # The head failed again past its age: the others continue without it.
    world.delivered(events[1:], endpoint)
    assert numbers(world) == [0, 0, 1, 2]
    assert world.delivery(events[0], endpoint)["state"] == "waiting"
    world.clock.advance(300)
    assert world.ended(events[0], endpoint)["state"] == "delivered"


@pytest.mark.slow
def test_order_by_subject_blocks_only_that_subject(world: World) -> None:
    endpoint = world.register(order="subject")
    world.receiver.answer(500, 204)
    stuck = world.api.publish("step", {"n": 0}, subject="a")
    world.after_attempts(stuck, endpoint, 1)
    behind = [world.api.publish("step", {"n": n}, subject="a") for n in (1, 2)]
    others = [world.api.publish("step", {"n": n}, subject=f"s{n}") for n in (10, 11)]
    free = world.api.publish("step", {"n": 12})
    world.delivered([*others, free], endpoint)
    assert sorted(numbers(world)) == [0, 10, 11, 12]
    world.clock.advance(5)
    world.delivered([stuck, *behind], endpoint)
    assert numbers(world)[-3:] == [0, 1, 2]


@pytest.mark.slow
def test_order_by_subject_holds_across_a_restart(world: World) -> None:
    endpoint = world.register(order="subject")
    world.receiver.answer(500)
    stuck = world.api.publish("step", {"n": 0}, subject="a")
    world.after_attempts(stuck, endpoint, 1)
    behind = [world.api.publish("step", {"n": n}, subject="a") for n in (1, 2)]
    world.delivery(behind[-1], endpoint)
    world.server.restart()
    behind.append(world.api.publish("step", {"n": 3}, subject="a"))
    world.nothing_more(1, "/")
    world.receiver.answer(204)
    world.clock.advance(5)
    world.delivered([stuck, *behind], endpoint)
    assert numbers(world, "/") == [0, 0, 1, 2, 3]


@pytest.mark.slow
def test_subjects_do_not_wait_for_one_another(world: World) -> None:
    world.receiver.answer(Reaction(waits=True))
    endpoint = world.register(order="subject")
    events = [world.api.publish("step", {"n": n}, subject=f"s{n % 5}") for n in range(15)]
    world.receiver.wait_for(5)
    until(lambda: world.receiver.most_at_once == 5, "one of each subject is under way")
    world.receiver.answer(204)
    world.receiver.release()
    world.delivered(events, endpoint)
    by_subject = [[n for n in numbers(world) if n % 5 == subject] for subject in range(5)]
    assert by_subject == [[subject, subject + 5, subject + 10] for subject in range(5)]


def test_cancelling_the_head_frees_the_line(world: World) -> None:
    world.receiver.answer(500, 204)
    endpoint = world.register(order="all")
    events = [world.api.publish("step", {"n": n}) for n in range(3)]
    head = world.after_attempts(events[0], endpoint, 1)
    world.api.post(f"/v1/deliveries/{head['id']}:cancel")
    world.delivered(events[1:], endpoint)
    assert numbers(world) == [0, 1, 2]


@pytest.mark.slow
def test_taking_the_order_away_frees_what_was_held(world: World) -> None:
    world.receiver.answer(500, 204)
    endpoint = world.register(order="subject")
    events = [world.api.publish("step", {"n": n}, subject="a") for n in range(4)]
    world.after_attempts(events[0], endpoint, 1)
    world.api.patch(f"/v1/endpoints/{endpoint}", {"order": "none"})
    world.delivered(events[1:], endpoint)
    world.clock.advance(5)
    world.delivered(events, endpoint)


@pytest.mark.slow
def test_a_dead_head_frees_the_line(world: World) -> None:
    world.receiver.answer(500, 204)
    endpoint = world.register(order="all", retry_delays_seconds=[0])
    events = [world.api.publish("step", {"n": n}) for n in range(3)]
    world.delivered(events[1:], endpoint)
    assert world.ended(events[0], endpoint)["state"] == "dead"
    assert numbers(world) == [0, 1, 2]


@pytest.mark.slow
def test_a_retry_by_hand_does_not_disturb_the_line(world: World) -> None:
    world.receiver.answer(500, 204)
    endpoint = world.register(order="all", retry_delays_seconds=[0])
    dead = world.api.publish("step", {"n": 0})
    found = world.ended(dead, endpoint)
    world.api.post(f"/v1/deliveries/{found['id']}:retry")
    assert world.ended(dead, endpoint)["state"] in ("dead", "delivered")
    events = [world.api.publish("step", {"n": n}) for n in range(1, 6)]
    world.delivered([dead, *events], endpoint)
    assert numbers(world) == [0, 0, 1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("order", ["all", "subject"])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_line_continues_when_its_head_is_too_old_not_at_its_next_attempt(
    world: World, order: str, restarts: bool
) -> None:
    endpoint = world.register(order=order, order_max_age_seconds=60, retry_delays_seconds=[0, 5000])
    world.receiver.answer(422, 204)
    stuck = world.api.publish("step", {"n": 0}, subject="a")
    world.after_attempts(stuck, endpoint, 1)
    behind = [world.api.publish("step", {"n": n}, subject="a") for n in range(1, 5)]
    world.delivery(behind[-1], endpoint)
    world.clock.advance(50)
    assert numbers(world) == [0]
    if restarts:
        world.server.restart()
        world.receiver.answer(204)
    world.clock.advance(11)
    world.delivered(behind, endpoint)
    assert numbers(world) == [0, 1, 2, 3, 4]
    assert world.delivery(stuck, endpoint)["state"] == "waiting"
    world.clock.advance(7000)
    assert world.ended(stuck, endpoint)["state"] == "delivered"


@pytest.mark.slow
def test_a_hold_that_the_endpoint_asked_for_does_not_break_its_order(world: World) -> None:
    endpoint = world.register(order="all", order_max_age_seconds=60)
    world.receiver.answer(Reaction(status=503, headers={"Retry-After": "100"}), 204)
    events = [world.api.publish("step", {"n": n}) for n in range(3)]
    world.after_attempts(events[0], endpoint, 1)
    world.clock.advance(101)
    world.delivered(events, endpoint)
    assert numbers(world) == [0, 0, 1, 2]
