"""The breaker, its probes, the warning and the disabling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidings.model.moment import DAY, HOUR, SECOND, Micros
from tidings.rules.deliver.health import (
    HEALTHY,
    TRUSTED,
    EndpointHealth,
    Failure,
    Recovery,
    Trust,
    accepted,
    after_failure,
    after_hold,
    after_probe,
    after_success,
    failing_since,
    may_send,
    may_try_newest,
    recovery,
    released,
    should_disable,
    should_warn,
    weigh,
)

NOW = 1_700_000_000 * SECOND
CHANCE = st.floats(min_value=0, max_value=1, exclude_max=True)


def failed(times: int, at: Micros = NOW, health: EndpointHealth = HEALTHY) -> EndpointHealth:
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
    assert failed(9, health=after_success(nine, NOW)).open is False


def test_probes_come_at_5_10_20_40_60_60_seconds() -> None:
    health, delays = failed(10), []
    for _ in range(6):
        assert health.probe_at is not None
        delays.append(health.probe_delay_seconds)
        health = after_failure(after_probe(health, health.probe_at, 0.5), health.probe_at, 0.5)
    assert delays == [5, 10, 20, 40, 60, 60]


def test_attempts_under_way_when_it_opened_do_not_push_the_probe_out() -> None:
    opened = failed(10)
    later = failed(50, NOW + SECOND, opened)
    assert (later.probe_at, later.probe_delay_seconds) == (opened.probe_at, 5)
    assert later.fails == 60


@given(st.integers(0, 20), CHANCE)
def test_probe_delays_stay_within_a_fifth(probes: int, chance: float) -> None:
    health = failed(10)
    for _ in range(probes):
        health = after_probe(health, NOW, chance)
    health = after_probe(health, NOW, chance)
    delay = ((health.probe_at or 0) - NOW) / SECOND
    assert 0.8 * health.probe_delay_seconds - 1e-6 <= delay <= 1.2 * health.probe_delay_seconds + 1e-6
    assert 5 <= health.probe_delay_seconds <= 60


def test_probes_are_never_further_apart_than_a_tenth_of_the_time_since_the_last_success() -> None:
    health = HEALTHY
    for _ in range(10):
        health = after_failure(health, NOW, 0.5, NOW - 10 * SECOND)
    assert health.probe_at == NOW + SECOND
    for ago, delay in ((0, 0.1), (30, 3), (3600, 40)):
        health = after_probe(health, NOW, 0.5, NOW - ago * SECOND)
        assert health.probe_at == NOW + delay * SECOND


REFUSED = Failure(refused=True)
OLD = Failure(newer=False, first=False)


def test_refused_messages_count_only_while_nothing_newer_succeeds() -> None:
    """A message that was there before the last success, and is refused again, says nothing of the endpoint."""
    for old in (Failure(newer=False, refused=True), Failure(first=False, refused=True)):
        assert after_failure(HEALTHY, NOW, 0.5, NOW, old) is HEALTHY
    health = HEALTHY
    for _ in range(10):
        health = after_failure(health, NOW, 0.5, None, REFUSED)
    assert health.open and health.refusing
    delays = []
    for _ in range(6):
        delays.append(health.probe_delay_seconds)
        health = after_probe(health, health.probe_at or 0, 0.5)
    assert delays == [0.5, 1, 2, 4, 5, 5]
    assert not after_failure(health, NOW, 0.5).refusing


def test_refused_messages_alone_warn_late_and_disable_only_where_they_were_many() -> None:
    health, few = HEALTHY, HEALTHY
    for n in range(40):
        before, health = health, after_failure(health, NOW + n * SECOND, 0.5, None, REFUSED)
        assert not should_warn(before, health)
        few = after_failure(few, NOW + n * 6 * HOUR, 0.5, None, Failure(first=n % 10 == 0, refused=True))
    assert should_warn(health, after_failure(health, NOW + HOUR, 0.5, None, REFUSED))
    assert not should_disable(few, NOW + 11 * DAY)
    many = after_failure(health, NOW + 13 * HOUR, 0.5, None, REFUSED)
    assert should_disable(many, NOW + 5 * DAY)


def test_it_is_failing_from_the_first_failure_but_only_from_the_tenth_refused_message() -> None:
    assert failing_since(HEALTHY) is None
    assert failing_since(after_failure(HEALTHY, NOW, 0.5)) == NOW
    health = HEALTHY
    for n in range(10):
        assert failing_since(health) is None
        health = after_failure(health, NOW + n, 0.5, None, REFUSED)
    assert failing_since(health) == NOW
    assert failing_since(after_failure(after_failure(HEALTHY, NOW, 0.5, None, REFUSED), NOW + 1, 0.5)) == NOW


def test_while_only_old_messages_fail_new_ones_may_be_tried() -> None:
    health = HEALTHY
    for _ in range(20):
        health = after_failure(health, NOW, 0.5, NOW - SECOND, OLD)
    assert health.open and may_try_newest(health)
    assert not should_warn(HEALTHY, health)
    assert not may_try_newest(after_failure(health, NOW, 0.5, NOW - SECOND))


def test_a_hold_lasts_as_long_as_was_asked_for_up_to_an_hour() -> None:
    for asked, seconds in ((30.0, 30), (0.0, 1), (9e9, 3600), (None, 5)):
        health = after_hold(HEALTHY, NOW, 0.5, 429, asked)
        assert health.held_until == NOW + seconds * SECOND
        assert not may_send(health, NOW + seconds * SECOND - 1)
        assert may_send(health, NOW + seconds * SECOND)
        assert not health.fails and not health.open


def test_holds_grow_until_something_succeeds() -> None:
    health, delays, now = HEALTHY, [], NOW
    for _ in range(6):
        health = after_hold(health, now, 0.5, 429, None)
        # Others that left before come back too: they make it no longer.
        assert after_hold(health, now, 0.5, 429, None) == health
        delays.append(((health.held_until or 0) - now) / SECOND)
        now = health.held_until or 0
        health = released(health)
    assert delays == [5, 10, 20, 40, 60, 60]
    assert after_success(health, now) == HEALTHY


def test_a_success_that_left_before_does_not_end_a_hold() -> None:
    health = after_hold(failed(3), NOW, 0.5, 503, 30)
    after = after_success(health, NOW + SECOND)
    assert (after.held_until, after.held_status, after.fails) == (NOW + 30 * SECOND, 503, 0)


def test_a_success_ends_the_episode() -> None:
    assert after_success(failed(30), NOW) == HEALTHY
    assert after_success(HEALTHY, NOW) is HEALTHY


def test_it_warns_once_per_episode() -> None:
    health, warnings = HEALTHY, 0
    for _ in range(40):
        before, health = health, after_failure(health, NOW, 0.5)
        warnings += should_warn(before, health)
    assert warnings == 1
    health = after_success(health, NOW)
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
    assert not should_disable(after_success(beyond, NOW), NOW + 5 * DAY)


def test_the_epoch_itself_is_a_valid_time() -> None:
    health = failed(10, 0)
    assert health.failing_since == 0
    assert should_disable(failed(1, 13 * HOUR, health), 5 * DAY)


def test_answers_that_settle_their_message_in_a_line_open_nothing() -> None:
    settled = Failure(refused=True, settles=True)
    health = HEALTHY
    for _ in range(20):
        health = after_failure(health, NOW, 0.5, None, settled)
    assert (health.fails, health.open) == (20, False)
    # Once no answer comes, it is left alone at once.
    dead = after_failure(health, NOW, 0.5)
    assert (dead.open, may_send(dead, NOW)) == (True, False)
    # An answer lets the next one go as a probe; if none comes to that, the distance of probes grows as ever.
    again = after_failure(dead, NOW, 0.5, None, settled)
    assert again.open and may_send(again, NOW)
    distances = []
    for _ in range(3):
        again = after_failure(after_probe(again, NOW, 0.5), NOW, 0.5)
        distances.append((again.probe_at or 0) - NOW)
    assert distances == [5 * SECOND, 10 * SECOND, 20 * SECOND]


ASKS = st.builds(
    lambda newer, first, trial, good: (Failure(newer=newer, first=first), trial, good),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(ASKS, max_size=60))
def test_a_pause_is_doubted_only_after_a_contradiction(asks: list[tuple[Failure, bool, bool]]) -> None:
    trust, now, contradicted = TRUSTED, NOW, False
    for ask, trial, good in asks:
        now += SECOND
        whom, trust = weigh(trust, now, None, ask, trial=trial)
        contradicted = contradicted and whom != "all"
        assert whom != "message" or contradicted
        if whom == "older" and trial and good:
            trust = accepted(trust, waiting=True)
            contradicted = contradicted or trust.doubted
    assert not trust.doubted or contradicted


def test_an_endpoint_that_contradicted_itself_is_believed_after_five_in_a_row() -> None:
    doubted = Trust(doubted=True)
    for newer, whom in ((True, "all"), (False, "older")):
        found, trust = [], doubted
        for n in range(5):
            # What was asked before says nothing new, however often it is asked again.
            again, trust = weigh(trust, NOW + n * SECOND, None, Failure(newer=newer, first=False))
            said, trust = weigh(trust, NOW + n * SECOND, None, Failure(newer=newer))
            found += [again, said]
        assert found == ["message"] * 9 + [whom]
        # Older ones do not say that newer ones would not be accepted.
        assert trust.doubted is not newer
    assert accepted(Trust(suspected=True), waiting=False) == TRUSTED


def test_a_success_after_an_outage_releases_each_retry_once() -> None:
    down = failed(10)
    assert recovery(failed(9), NOW + HOUR, None) is None
    assert recovery(down, NOW + 15 * SECOND - 1, None) is None
    assert recovery(down, NOW + 15 * SECOND, None) == Recovery(NOW + 15 * SECOND, 0)
    found = recovery(down, NOW + HOUR, NOW - SECOND)
    assert found is not None and found.since == NOW - SECOND
    never_before, retried_since, released_before = NOW - DAY, NOW + SECOND, NOW - HOUR
    assert found.covers(never_before, never_before) and found.covers(retried_since, never_before)
    assert not found.covers(released_before, never_before)
    assert not found.covers(found.at, NOW)
    assert found.moved(DAY).at == found.at + DAY
