"""When timers are due: durations, times of day in zones through changes of the clocks, and cron."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.link import DAYS, Timer
from tidings.model.moment import DAY, HOUR, MINUTE, SECOND, from_text, to_text
from tidings.rules.reading import durations
from tidings.rules.reading.places import Places
from tidings.rules.reading.refused import Refused
from tidings.rules.timers import cron, declared, due

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Kolkata", "UTC")


def timer(**when: Any) -> Timer:
    wrong = Places()
    found = declared.read(when, "/when", wrong)
    assert found is not None, wrong.found
    return found


def refusal(**when: Any) -> tuple[str | None, str]:
    wrong = Places()
    assert declared.read(when, "/when", wrong) is None
    (place,) = wrong.found
    return place.pointer, place.detail


def times(which: Timer, start: str, count: int) -> list[str]:
    """The next due times after a moment, as local times with their offsets."""
    at, found = from_text(start), []
    for _ in range(count):
        at = due.next_due(which, at, at)
        found.append(datetime.fromtimestamp(at / SECOND, ZoneInfo(which.tz)).strftime("%a %m-%d %H:%M%z"))
    return found


# --- times of day -----------------------------------------------------------------------------------------------------


def test_nine_on_working_days_is_nine_in_summer_and_in_winter() -> None:
    nine = timer(at="09:00", tz=BERLIN, days="mon-fri")
    assert times(nine, "2026-03-26T12:00:00Z", 3) == [
        "Fri 03-27 09:00+0100",
        "Mon 03-30 09:00+0200",
        "Tue 03-31 09:00+0200",
    ]
    assert times(nine, "2026-10-23T06:59:59Z", 2) == ["Fri 10-23 09:00+0200", "Mon 10-26 09:00+0100"]
    assert times(nine, "2026-10-23T07:00:00Z", 1) == ["Mon 10-26 09:00+0100"], "nine itself is over at nine"


def test_a_time_that_does_not_exist_runs_at_the_next_that_does() -> None:
    half_past = timer(at=["02:30", "02:45", "03:00"], tz=BERLIN)
    assert times(half_past, "2026-03-28T12:00:00Z", 3) == [
        "Sun 03-29 03:00+0200",
        "Mon 03-30 02:30+0200",
        "Mon 03-30 02:45+0200",
    ]
    # A whole day was left out.
    noon = timer(at="12:00", tz="Pacific/Apia")
    assert times(noon, "2011-12-29T23:00:00Z", 2) == ["Sat 12-31 00:00+1400", "Sat 12-31 12:00+1400"]


def test_a_time_that_occurs_twice_runs_the_first_time() -> None:
    half_past = timer(at="02:30", tz=BERLIN)
    assert times(half_past, "2026-10-24T12:00:00Z", 2) == ["Sun 10-25 02:30+0200", "Mon 10-26 02:30+0100"]


@given(
    st.sampled_from(ZONES),
    st.lists(st.times().map(lambda at: at.strftime("%H:%M")), min_size=1, max_size=4),
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.integers(from_text("2009-01-01T00:00:00Z"), from_text("2040-01-01T00:00:00Z")),
)
def test_each_time_of_day_is_due_once_on_each_of_its_days(tz: str, at: list[str], days: set[str], begin: int) -> None:
    which, where = timer(at=at, tz=tz, days=sorted(days)), ZoneInfo(tz)
    end, moment, found = begin + 40 * DAY, begin, []
    while (moment := due.next_due(which, moment, moment)) <= end:
        found.append(moment)
    assert found == sorted(set(found))
    expected = set()
    first = datetime.fromtimestamp(begin / SECOND, where).date() - timedelta(days=2)
    for number in range(45):
        day = first + timedelta(days=number)
        if DAYS[day.weekday()] in days:
            expected |= {_exists(day, time.fromisoformat(each), where) for each in at}
    assert set(found) == {each for each in expected if begin < each <= end}


def _exists(day: date, at: time, where: ZoneInfo) -> int:
    """The first moment of a local time or later: with one of the day's offsets, or by trying every minute."""
    local = datetime.combine(day, at)
    around = [(local + timedelta(days=number)).replace(tzinfo=where).utcoffset() or timedelta() for number in (-2, 2)]
    moments = [round((local - offset).replace(tzinfo=UTC).timestamp()) for offset in around]
    exact = [each for each in moments if datetime.fromtimestamp(each, where).replace(tzinfo=None) == local]
    if exact:
        return min(exact) * SECOND
    moment = min(moments) - 86_400
    while datetime.fromtimestamp(moment, where).replace(tzinfo=None) < local:
        moment += 60
    return moment * SECOND


# --- durations --------------------------------------------------------------------------------------------------------


def test_a_duration_counts_from_the_last_time() -> None:
    hourly = timer(every="1h")
    assert due.first_due(hourly, 17) == 17
    assert due.next_due(hourly, 0, 0) == HOUR
    assert due.next_due(hourly, 0, 2 * HOUR + 5) == 3 * HOUR
    assert due.passed(hourly, 0, 5 * HOUR + 5) == (5 * HOUR, 5)
    assert due.passed(hourly, 0, 5) == (0, 0)
    assert due.passed(timer(every="1s"), 0, DAY) == (DAY, due.COUNTED_MAX)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800)])
def test_durations_are_read_and_written(text: str, seconds: int) -> None:
    assert durations.seconds(text, "", 1, DAY) == seconds
    assert durations.seconds(durations.text(seconds), "", 1, DAY) == seconds


def test_wrong_durations_are_refused() -> None:
    for value in ("", "1", "1 h", "h", "1m1h", "-1h", "1.5h", 60, None, "٣h"):
        with pytest.raises(Refused):
            durations.seconds(value, "", 1, DAY)
    with pytest.raises(Refused, match="The duration must be from 1m to 1h"):
        durations.seconds("2h", "", 60, 3600)


# --- cron -------------------------------------------------------------------------------------------------------------


def test_cron_expressions_match_what_they_say() -> None:
    assert times(timer(cron="30 9 * * mon-fri", tz=BERLIN), "2026-10-23T12:00:00Z", 2) == [
        "Mon 10-26 09:30+0100",
        "Tue 10-27 09:30+0100",
    ]
    assert times(timer(cron="0 0 1 jan,Jul *"), "2026-03-01T00:00:00Z", 2) == [
        "Wed 07-01 00:00+0000",
        "Fri 01-01 00:00+0000",
    ]
    # One of the two kinds of days suffices if both are given.
    assert times(timer(cron="0 12 13 * fri"), "2026-11-09T00:00:00Z", 3) == [
        "Fri 11-13 12:00+0000",
        "Fri 11-20 12:00+0000",
        "Fri 11-27 12:00+0000",
    ]
    assert times(timer(cron="0 12 29 2 *"), "2026-11-09T00:00:00Z", 1) == ["Tue 02-29 12:00+0000"]
    assert cron.read("0 0 * * 0").week_days == cron.read("0 0 * * 7").week_days == cron.read("0 0 * * sun").week_days
    assert cron.read("0 0 * * fri-sun").week_days == {4, 5, 6}
    assert cron.read("*/20 8-18/5 * * *")[:2] == ((0, 20, 40), (8, 13, 18))


def test_an_hourly_cron_runs_by_elapsed_time_through_a_change() -> None:
    every = timer(cron="*/30 * * * *", tz=BERLIN)
    assert times(every, "2026-03-29T00:15:00Z", 4) == [
        "Sun 03-29 01:30+0100",
        "Sun 03-29 03:00+0200",
        "Sun 03-29 03:30+0200",
        "Sun 03-29 04:00+0200",
    ]
    assert [each[10:] for each in times(every, "2026-10-25T00:15:00Z", 4)] == [
        "02:30+0200",
        "02:00+0100",
        "02:30+0100",
        "03:00+0100",
    ]
    nightly = timer(cron="*/30 2 * * *", tz=BERLIN)
    assert times(nightly, "2026-03-28T12:00:00Z", 2) == ["Sun 03-29 03:00+0200", "Mon 03-30 02:00+0200"]
    assert times(nightly, "2026-10-24T12:00:00Z", 3) == [
        "Sun 10-25 02:00+0200",
        "Sun 10-25 02:30+0200",
        "Mon 10-26 02:00+0100",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *",
     "*/0 * * * *", "* * 31 feb *", "* * * * monday", "@daily", "a * * * *", "*-5 * * * *", "1,,2 * * * *"],
)  # fmt: skip
def test_invalid_cron_expressions_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        cron.read(text)


# --- what passed ------------------------------------------------------------------------------------------------------


def test_missed_times_are_counted_and_the_last_is_found() -> None:
    nine = timer(at="09:00", tz=BERLIN, days="mon-fri")
    friday = from_text("2026-10-23T07:00:00Z")
    assert due.passed(nine, friday, friday) == (friday, 0)
    last, count = due.passed(nine, friday, from_text("2026-10-27T12:00:00Z"))
    assert (to_text(last), count) == ("2026-10-27T08:00:00.000Z", 2)
    minutely = timer(cron="* * * * *")
    now = friday + 400 * DAY + 30 * SECOND
    assert due.passed(minutely, friday, now) == (now - 30 * SECOND, due.COUNTED_MAX)
    assert due.passed(timer(cron="0 0 * * *"), 0, 20_000 * DAY + 5 * MINUTE) == (20_000 * DAY, due.COUNTED_MAX)


# --- declarations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        {"every": "1h30m"},
        {"at": ["09:00"]},
        {"at": ["09:00", "17:30"], "days": "mon,wed-fri", "tz": BERLIN, "missed": "skip"},
        {"cron": "30 9 * * mon-fri", "tz": "America/New_York"},
    ],
)
def test_what_is_declared_is_shown_the_same(when: dict[str, Any]) -> None:
    assert declared.plain(timer(**when)) == when


def test_days_are_names_ranges_and_lists() -> None:
    assert timer(at="09:00", days="fri-mon").days == ("mon", "fri", "sat", "sun")
    assert timer(at="09:00", days=["Sun", "mon-tue"]).days == ("mon", "tue", "sun")
    assert "days" not in declared.plain(timer(at="09:00", days="mon-sun"))


def test_wrong_declarations_name_their_location() -> None:
    assert refusal(every="1h", at="09:00")[0] == "/when"
    assert refusal(every="1h", tz=BERLIN) == ("/when/tz", "`tz` can be used with `at` or `cron`, not with `every`.")
    assert refusal(cron="0 9 * * *", days="mon") == ("/when/days", "`days` can be used with `at`, not with `cron`.")
    assert refusal(at="9:00") == (
        "/when/at",
        'A time of day must have two digits each for hours and minutes, from "00:00" to "23:59", not \'9:00\'.',
    )
    assert refusal(at=540)[0] == "/when/at"
    assert refusal(at=[])[0] == "/when/at"
    assert refusal(at="09:00", days="weekdays")[0] == "/when/days"
    assert refusal(at="09:00", days=[])[0] == "/when/days"
    assert "no time zone 'Mars/Olympus'" in refusal(at="09:00", tz="Mars/Olympus")[1]
    for zone in ("../../etc/passwd", "/etc/passwd", "", "Europe", 7, "x" * 100):
        assert refusal(at="09:00", tz=zone)[0] == "/when/tz"
    assert refusal(every="1h", missed="all") == ("/when/missed", "`missed` must be once or skip.")
    assert refusal(every="0s")[0] == "/when/every"
    assert refusal(cron=["a"])[0] == "/when/cron"
