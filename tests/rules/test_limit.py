"""Call limits in windows, their headers, and the sending rate."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.access import CallLimit
from tidings.model.moment import SECOND, Micros
from tidings.rules.limits.windows import LIMITS_MAX, LeastRate, TokenBucket, Windows, check_limits, rate_limit_headers
from tidings.rules.reading.refused import Refused

NOW = 1_700_000_000 * SECOND + 250_000  # 22:13:20.25 UTC
SECOND_AND_DAY = (CallLimit(calls=2, seconds=1), CallLimit(calls=5, seconds=86400))


def test_several_windows_at_once() -> None:
    windows = Windows()
    first = windows.take("k", SECOND_AND_DAY, NOW)
    assert (first.allowed, first.remaining, first.limit, first.window, first.reset_seconds) == (True, 1, 2, 1, 0.75)
    assert windows.take("k", SECOND_AND_DAY, NOW).allowed
    third = windows.take("k", SECOND_AND_DAY, NOW)
    assert (third.allowed, third.remaining, third.window) == (False, 0, 1)
    # All or nothing: the refused call did not count against the day.
    assert third.windows[1].remaining == 3
    assert windows.take("other", SECOND_AND_DAY, NOW).allowed
    for later in (1, 1, 2):
        assert windows.take("k", SECOND_AND_DAY, NOW + later * SECOND).allowed
    last = windows.take("k", SECOND_AND_DAY, NOW + 3 * SECOND)
    assert (last.allowed, last.window) == (False, 86400)
    assert last.reset_seconds == 86400 - (NOW + 3 * SECOND) % (86400 * SECOND) / SECOND
    assert windows.take("k", SECOND_AND_DAY, NOW + 86400 * SECOND).allowed


def test_cost() -> None:
    windows = Windows()
    limits = (CallLimit(calls=10, seconds=60),)
    assert windows.take("k", limits, NOW, cost=7).remaining == 3
    refused = windows.take("k", limits, NOW, cost=4)
    assert (refused.allowed, refused.remaining) == (False, 3)
    assert windows.take("k", limits, NOW, cost=3).remaining == 0
    assert not windows.take("k", limits, NOW + 60 * SECOND, cost=11).allowed


def test_a_clock_set_back_opens_no_new_window() -> None:
    windows = Windows()
    limits = (CallLimit(calls=1, seconds=60),)
    assert windows.take("k", limits, NOW).allowed
    assert not windows.take("k", limits, NOW - 120 * SECOND).allowed


def test_old_windows_are_forgotten() -> None:
    windows = Windows()
    for number in range(1000):
        windows.take(f"k{number}", (CallLimit(calls=1, seconds=1),), NOW)
    assert len(windows) == 1000
    windows.take("k", (CallLimit(calls=1, seconds=1),), NOW + 61 * SECOND)
    assert len(windows) == 1


@given(
    st.lists(st.integers(0, 400_000), max_size=60),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=3, unique_by=lambda pair: pair[1]),
)
def test_no_window_ever_holds_more_than_its_limit(gaps: list[int], pairs: list[tuple[int, int]]) -> None:
    limits = [CallLimit(calls=calls, seconds=seconds) for calls, seconds in pairs]
    windows, now = Windows(), NOW
    allowed: list[Micros] = []
    for gap in gaps:
        now += gap
        verdict = windows.take("k", limits, now)
        would_fit = all(
            sum(at // (limit.seconds * SECOND) == now // (limit.seconds * SECOND) for at in allowed) < limit.calls
            for limit in limits
        )
        assert verdict.allowed == would_fit
        assert 0 < verdict.reset_seconds <= verdict.window
        if verdict.allowed:
            allowed.append(now)
    for limit in limits:
        counts = Counter(at // (limit.seconds * SECOND) for at in allowed)
        assert not counts or max(counts.values()) <= limit.calls


def test_headers_have_the_draft_s_form() -> None:
    windows = Windows()
    limits = (*SECOND_AND_DAY, CallLimit(calls=7, seconds=90))
    verdict = windows.take("k", limits, NOW)
    assert rate_limit_headers(verdict) == [
        ("RateLimit-Policy", '"second";q=2;w=1, "day";q=5;w=86400, "90-seconds";q=7;w=90'),
        ("RateLimit", '"second";r=1;t=1, "day";r=4;t=6400, "90-seconds";r=6;t=10'),
    ]
    windows.take("k", limits, NOW)
    refused = windows.take("k", limits, NOW)
    assert rate_limit_headers(refused)[2] == ("Retry-After", "1")
    item = r'"[a-z0-9-]+"(;[a-z]+=[0-9]+)+'
    for _, value in rate_limit_headers(verdict):
        assert re.fullmatch(rf"{item}(, {item})*", value)


def test_limits_are_checked() -> None:
    assert check_limits(SECOND_AND_DAY) == SECOND_AND_DAY
    assert check_limits(()) == ()
    for limits, pointer in (
        ([CallLimit(calls=0, seconds=1)], "/limits/0/calls"),
        ([CallLimit(calls=10**10, seconds=1)], "/limits/0/calls"),
        ([*SECOND_AND_DAY, CallLimit(calls=1, seconds=0)], "/limits/2/seconds"),
        ([CallLimit(calls=1, seconds=40 * 86400)], "/limits/0/seconds"),
        ([*SECOND_AND_DAY, CallLimit(calls=1, seconds=1)], "/limits/2/seconds"),
        ([CallLimit(calls=1, seconds=n) for n in range(1, LIMITS_MAX + 2)], "/limits"),
    ):
        with pytest.raises(Refused) as caught:
            check_limits(limits, "/limits")
        assert caught.value.pointer == pointer


# --- rate -------------------------------------------------------------------------------------------------------------


def test_ten_a_second() -> None:
    bucket, now = TokenBucket(10), NOW
    sent: list[int] = []
    while len(sent) < 50:
        now = bucket.ready_at(now)
        assert bucket.take(now)
        assert not bucket.take(now)
        sent.append(now)
    assert [after - before for before, after in itertools.pairwise(sent)] == [100_000] * 49


def test_a_burst_is_saved_up_and_no_more() -> None:
    bucket = TokenBucket(1, burst=3)
    assert [bucket.take(NOW) for _ in range(4)] == [True, True, True, False]
    assert bucket.ready_at(NOW) == NOW + SECOND
    assert [bucket.take(NOW + 100 * SECOND) for _ in range(4)] == [True, True, True, False]


@given(
    st.one_of(st.floats(min_value=0.01, max_value=5000), st.integers(1, 5000)),
    st.integers(1, 20),
    st.lists(st.integers(0, 3_000_000), min_size=1, max_size=80),
)
def test_ready_at_is_when_take_succeeds_and_no_second_has_too_many(rate: float, burst: int, gaps: list[int]) -> None:
    bucket, now = TokenBucket(rate, burst), NOW
    taken: list[Micros] = []
    for gap in gaps:
        now += gap
        ready = bucket.ready_at(now)
        assert ready >= now
        assert bucket.take(now) == (ready == now)
        if ready == now:
            taken.append(now)
    for index, at in enumerate(taken):
        within = sum(at <= other < at + SECOND for other in taken[index:])
        assert within <= rate + burst


def test_a_least_rate_is_an_average_over_its_seconds() -> None:
    rate = LeastRate(1_000, 30.0)
    # Pauses are fine as long as the whole comes fast enough.
    assert not rate.too_slow(30_000, 1.0)
    assert not any(rate.too_slow(0, 1.0) for _ in range(29))
    # Each window is judged by itself.
    assert not any(rate.too_slow(1, 0.5) for _ in range(59))
    assert rate.too_slow(1, 0.5)


@pytest.mark.parametrize("back", [1, 59, 61, 86_400, 30 * 86_400])
def test_a_clock_that_was_set_back_opens_no_window_and_makes_none_longer(back: int) -> None:
    windows, limits, now = Windows(), (CallLimit(calls=5, seconds=60),), 1_000 * 86_400 * SECOND
    for _ in range(5):
        assert windows.take("k", limits, now).allowed
    refused = windows.take("k", limits, now - back * SECOND)
    assert not refused.allowed and refused.reset_seconds <= 60
    assert windows.take("k", limits, now + (60 - back) * SECOND).allowed


def test_old_windows_are_forgotten_after_the_clock_was_set_back_too() -> None:
    windows, limits, now = Windows(), (CallLimit(calls=5, seconds=1),), 1_000 * 86_400 * SECOND
    windows.take("ahead", limits, now + 30 * 86_400 * SECOND)
    for n in range(100):
        windows.take(f"k{n}", limits, now + n * SECOND)
    assert len(windows) < 75


def test_a_bucket_is_not_shut_for_a_day_by_a_clock_that_was_set_back() -> None:
    bucket, now = TokenBucket(2, burst=3), 1_000 * 86_400 * SECOND
    while bucket.take(now):
        pass
    now -= 86_400 * SECOND
    assert bucket.ready_at(now) - now <= SECOND
    assert bucket.take(bucket.ready_at(now))
