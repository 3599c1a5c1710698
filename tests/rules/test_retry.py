"""The retry schedule, its spread, and Retry-After."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.moment import SECOND
from tidings.rules.deliver.retry import DELAYS_SECONDS, check_delays, next_due, parse_retry_after
from tidings.rules.reading.refused import Refused

NOW = 1_700_000_000 * SECOND
CHANCE = st.floats(min_value=0, max_value=1, exclude_max=True)


def test_the_planned_schedule() -> None:
    hours = 3600
    planned = [0, 5, 300, 1800, 2 * hours, 5 * hours, 10 * hours, 14 * hours, 20 * hours, 24 * hours]
    assert list(DELAYS_SECONDS) == planned
    due = [next_due(NOW, n, DELAYS_SECONDS, 0.5) for n in range(10)]
    assert [(at or 0) - NOW for at in due] == [delay * SECOND for delay in DELAYS_SECONDS]
    assert next_due(NOW, 10, DELAYS_SECONDS, 0.5) is None
    assert next_due(NOW, 99, DELAYS_SECONDS, 0.5, retry_after=60) is None


@given(st.integers(0, 9), CHANCE)
def test_spread_is_a_fifth_either_way(n: int, chance: float) -> None:
    due = next_due(NOW, n, DELAYS_SECONDS, chance)
    assert due is not None
    assert 0.8 * DELAYS_SECONDS[n] * SECOND - 1 <= due - NOW <= 1.2 * DELAYS_SECONDS[n] * SECOND + 1


@given(st.integers(0, 9), CHANCE, st.floats(min_value=0, max_value=1e12))
def test_retry_after_only_makes_it_later_and_to_an_hour(n: int, chance: float, retry_after: float) -> None:
    plain = next_due(NOW, n, DELAYS_SECONDS, chance)
    asked = next_due(NOW, n, DELAYS_SECONDS, chance, retry_after)
    assert plain is not None and asked is not None
    assert asked == max(plain, NOW + round(min(retry_after, 3600) * SECOND))


def test_retry_after_in_seconds_and_in_all_three_date_forms() -> None:
    now = 784111777 * SECOND  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110
    assert parse_retry_after("120", now) == 120
    assert parse_retry_after(" 0 ", now) == 0
    for text in ("Sun, 06 Nov 1994 08:50:37 GMT", "Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"):
        assert parse_retry_after(text, now) == 60
    assert parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now) == 0


@given(st.integers(0, 32_000_000_000))
def test_dates_agree_with_the_standard_library(seconds: int) -> None:
    at = datetime.fromtimestamp(seconds, tz=UTC)
    assert parse_retry_after(format_datetime(at, usegmt=True), 0) == at.timestamp()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "1.5",
        "1e9",
        "inf",
        "nan",
        "9" * 11,
        "9" * 100_000,
        "١٢",
        "²",
        "soon",
        "Sun, 31 Feb 2026 00:00:00 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Xxx 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "\x00",
        "é",
    ],
)
def test_a_malformed_retry_after_is_ignored(value: str) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=60))
def test_any_text_is_handled(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


def test_years_at_the_limits_are_handled() -> None:
    assert parse_retry_after("Sun, 06 Nov 0000 08:49:37 GMT", NOW) == 0
    assert (parse_retry_after("Sun, 06 Nov 9999 08:49:37 GMT", NOW) or 0) > 3600
    assert parse_retry_after("Sun Feb 31 08:50:37 0001", NOW) == 0


def test_own_schedules() -> None:
    assert check_delays([0, 1.5, 604800]) == (0, 1.5, 604800)
    for wrong, pointer in (
        ([], "/r"),
        ([0] * 21, "/r"),
        ("5", "/r"),
        (None, "/r"),
        ([0, -1], "/r/1"),
        ([604801], "/r/0"),
        ([True], "/r/0"),
        (["5"], "/r/0"),
        ([float("nan")], "/r/0"),
        ([float("inf")], "/r/0"),
        ([10**400], "/r/0"),
    ):
        with pytest.raises(Refused) as caught:
            check_delays(wrong, "/r")
        assert caught.value.pointer == pointer
        assert caught.value.place.pointer == pointer
