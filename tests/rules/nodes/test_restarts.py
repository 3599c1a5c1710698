"""When a worker that has ended is started again."""

from __future__ import annotations

from tidings.rules.nodes.restarts import GIVE_UP_SECONDS, PAUSE_MAX_SECONDS, STEADY_SECONDS, Restarts, is_hopeless


def test_the_first_restart_comes_at_once_and_those_after_it_later_and_later() -> None:
    restarts = Restarts()
    pauses = [restarts.ended(now) for now in range(9)]
    assert pauses[:5] == [0, 0.25, 0.5, 1, 2] and pauses == sorted(pauses)
    assert pauses[-1] == PAUSE_MAX_SECONDS < GIVE_UP_SECONDS


def test_a_worker_that_was_steady_is_replaced_at_once_and_one_that_was_not_is_not() -> None:
    restarts = Restarts()
    assert [restarts.ended(0), restarts.ended(0), restarts.ended(0)] == [0, 0.25, 0.5]
    restarts.ready(100)
    assert restarts.ended(99.9 + STEADY_SECONDS) == 1
    restarts.ready(200)
    assert restarts.ended(200 + STEADY_SECONDS) == 0
    assert restarts.ended(200 + STEADY_SECONDS) == 0.25, "that was before it was ready"


def test_it_gives_up_once_no_worker_was_ready_for_a_minute() -> None:
    assert not is_hopeless(100 + GIVE_UP_SECONDS, 100)
    assert is_hopeless(100.1 + GIVE_UP_SECONDS, 100)
