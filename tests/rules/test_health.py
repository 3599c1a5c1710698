"""The breaker, its probes, the warning and the disabling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidings.model.moment import DAY, HOUR, MINUTE, SECOND, Micros
from tidings.rules.health import (
    HEALTHY,
    Health,
    after_failure,
    after_success,
    may_send,
    should_disable,
    should_warn,
)

NOW = 1_700_000_000 * SECOND
CHANCE = st.floats(min_value=0, max_value=1, exclude_max=True)


def failed(times: int, at: Micros = NOW, health: Health = HEALTHY) -> Health:
    for _ in range(times):
        health = after_failure(health, at, 0.5)
    return health


def test_the_breaker_opens_after_ten_failures_in_a_row() -> None:
    nine = failed(9)
    assert not nine.open
    assert may_send(nine, NOW)
    ten = after_failure(nine, NOW, 0.5)
    assert ten.open
    assert ten.probe_at == NOW + 5 * SECOND
    assert not may_send(ten, NOW + 5 * SECOND - 1)
    assert may_send(ten, NOW + 5 * SECOND)
    assert failed(9, health=after_success(nine)).open is False


def test_probes_come_at_5_10_20_40_60_60_seconds() -> None:
    health, delays = failed(10), []
    for _ in range(6):
        assert health.probe_at is not None
        delays.append(health.probe_delay_seconds)
        health = after_failure(health, health.probe_at, 0.5)
    assert delays == [5, 10, 20, 40, 60, 60]


def test_attempts_under_way_when_it_opened_do_not_push_the_probe_out() -> None:
    opened = failed(10)
    later = failed(50, NOW + SECOND, opened)
    assert (later.probe_at, later.probe_delay_seconds) == (opened.probe_at, 5)
    assert later.fails == 60


@given(st.lists(st.tuples(st.integers(0, 2 * MINUTE), CHANCE), min_size=1, max_size=40))
def test_probe_delays_stay_within_a_fifth(steps: list[tuple[int, float]]) -> None:
    health, now = HEALTHY, NOW
    for gap, chance in steps:
        now += gap
        before = health
        health = after_failure(health, now, chance)
        assert health.failing_since == NOW + steps[0][0]
        assert health.last_failure == now
        if health.probe_at is not None and health.probe_at != before.probe_at:
            delay = (health.probe_at - now) / SECOND
            assert 0.8 * health.probe_delay_seconds - 1e-6 <= delay <= 1.2 * health.probe_delay_seconds + 1e-6
            assert 5 <= health.probe_delay_seconds <= 60


def test_a_success_ends_the_episode() -> None:
    assert after_success(failed(30)) == HEALTHY
    assert after_success(HEALTHY) is HEALTHY


def test_it_warns_once_an_episode() -> None:
    health, warnings = HEALTHY, 0
    for _ in range(40):
        before, health = health, after_failure(health, NOW, 0.5)
        warnings += should_warn(before, health)
    assert warnings == 1
    health = after_success(health)
    assert should_warn(failed(9, health=health), failed(10, health=health))


def test_disabling_needs_five_days_and_a_spread_of_over_twelve_hours() -> None:
    assert not should_disable(HEALTHY, NOW)
    once = failed(1)
    assert not should_disable(once, NOW + 30 * DAY)
    at_twelve = failed(1, NOW + 12 * HOUR, once)
    assert not should_disable(at_twelve, NOW + 30 * DAY)
    beyond = failed(1, NOW + 12 * HOUR + 1, once)
    assert not should_disable(beyond, NOW + 5 * DAY - 1)
    assert should_disable(beyond, NOW + 5 * DAY)
    assert not should_disable(after_success(beyond), NOW + 5 * DAY)


def test_times_from_the_very_epoch_are_times_too() -> None:
    health = failed(10, 0)
    assert health.failing_since == 0
    assert should_disable(failed(1, 13 * HOUR, health), 5 * DAY)
