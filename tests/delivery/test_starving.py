"""Poisoned events starve no good ones, whatever they are answered with, and whatever the endpoint's options are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.simulated import HANGS, Answer, Simulated
from tests.examples import slow
from tidings.model.link import Batch
from tidings.rules.deliver import retry

KINDS = {
    "429": Answer(429),
    "429 for 2 s": Answer(429, retry_after=2),
    "503 for 2 s": Answer(503, retry_after=2),
    "500": Answer(500),
    "422": Answer(422),
    "no answer": Answer(after=HANGS),
    "500 after 14 s": Answer(500, after=14),
    "closed": Answer(None),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "batch": {"batch": Batch(max_events=5, max_ms=100)},
    "batch, 2 in flight": {"batch": Batch(max_events=50, max_ms=200), "max_in_flight": 2},
    "rate 1": {"rate": 1.0},
    "rate 5": {"rate": 5.0},
    "1 in flight": {"max_in_flight": 1},
    "2 in flight": {"max_in_flight": 2},
    "3 in flight": {"max_in_flight": 3},
    "5 in flight": {"max_in_flight": 5},
    "order by subject": {"order": "subject"},
}
GOODS, GOOD_EVERY, KNOWN = 70, 1.2, 30


def poison(kind: str) -> Any:
    def receives(data: list[dict[str, Any]], at: float) -> Answer:
        return KINDS[kind] if any("bad" in each for each in data) else Answer()

    return receives


def lateness(folder: Path, kind: str, options: dict[str, Any], bad: int, goods: int = GOODS) -> Simulated:
    """An endpoint that got a good event, then poisoned ones, then a good one every 1.2 s for a minute and a half."""
    world = Simulated(folder, poison(kind), **options)
    world.publish({"g": -1, "subject": "first"})
    world.run(1)
    world.publish(*({"bad": n, "subject": f"bad{n}"} for n in range(bad)))
    world.run(0.5)
    for good in range(goods):
        world.publish({"g": good, "subject": f"g{good}"})
        world.run(GOOD_EVERY)
    world.run(8)
    return world


def pairs() -> Iterator[Any]:
    """Each response with each kind of endpoint. `make test` tries an eighth: each of both at least once."""
    for (row, kind), (column, options) in itertools.product(enumerate(KINDS), enumerate(OPTIONS)):
        yield pytest.param(kind, options, marks=[pytest.mark.thorough] if (row + column) % 8 else [])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), list(pairs()))
def test_good_events_arrive_within_seconds(tmp_path: Path, kind: str, options: str) -> None:
    slow = KINDS[kind].after > 1
    # A single poisoned one with every fourth pair: it is in nothing harder than many.
    for bad in (1, 30) if (list(KINDS).index(kind) + list(OPTIONS).index(options)) % 4 == 0 else (30,):
        (tmp_path / str(bad)).mkdir()
        world = lateness(tmp_path / str(bad), kind, OPTIONS[options], bad)
        world.close()
        late = [world.late(good) for good in range(GOODS - 1)]
        assert None not in late, late
        # Until something has failed, nothing is known of it. With one place, each waits for one timeout at most.
        assert max(each or 0 for each in late[KNOWN:]) <= (15 if slow else 7), late


def limiter(per_second: int) -> Any:
    """A real rate limiter: this many requests in each second, 429 for the rest of it."""
    taken: dict[int, int] = {}

    def receives(data: list[dict[str, Any]], at: float) -> Answer:
        second = int(at)
        taken[second] = taken.get(second, 0) + 1
        return Answer() if taken[second] <= per_second else Answer(429, retry_after=1)

    return receives


@pytest.mark.slow
def test_a_real_limit_uses_up_no_attempts(tmp_path: Path, database: str | None) -> None:
    world = Simulated(tmp_path, limiter(5), database, retry_delays_seconds=(0.0,))
    world.publish(*({"g": n} for n in range(200)))
    for n in range(200, 260):
        world.publish({"g": n})
        world.run(1)
    world.run(240)
    refused = sum(status == 429 for _, _, status in world.log)
    world.close()
    assert len(world.arrived) == 260
    assert refused < len(world.arrived), refused


def test_nothing_is_sent_to_an_endpoint_that_refuses_everything_for_a_while(tmp_path: Path) -> None:
    world = Simulated(tmp_path, lambda data, at: Answer(429, retry_after=30) if at >= 1 else Answer())
    world.publish({"g": 0})
    world.run(1)
    for n in range(1, 100):
        world.publish({"g": n})
        world.run(1)
    times = [at for at, _, status in world.log if status == 429]
    world.close()
    assert len(times) == 4 and all(later - at >= 30 for at, later in itertools.pairwise(times)), times


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_message_that_is_always_asked_to_wait_uses_up_its_attempts(tmp_path: Path, database: str | None) -> None:
    def receives(data: list[dict[str, Any]], at: float) -> Answer:
        return Answer(429, retry_after=3600) if "bad" in data[0] else Answer()

    world = Simulated(tmp_path, receives, database, retry_delays_seconds=(0.0, 1.0, 1.0))
    world.publish({"g": 0})
    world.run(1)
    world.publish({"bad": 0})
    for n in range(1, 300):
        world.publish({"g": n})
        world.run(120)
    bad = [at for at, data, _ in world.log if "bad" in data[0]]
    world.close()
    # Held for everybody once; the second and third time only it waits; then three attempts, as its schedule says.
    assert max(world.late(n) or 0 for n in range(40, 290)) < 1
    assert len(bad) == 6, bad


@pytest.mark.parametrize("rate", [1.0, *slow(5.0)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.few(2)
def test_at_a_narrow_rate_good_events_get_more_than_every_second_turn(tmp_path: Path, kind: str, rate: float) -> None:
    world = lateness(tmp_path, kind, {"rate": rate}, 30)
    world.close()
    late = [world.late(good) for good in range(GOODS - 1)]
    # From the first one on, though they need five of six turns, and slow ones are not known to be slow before a second.
    assert None not in late and max(each or 0 for each in late) <= 8, late


def again() -> Iterator[Any]:
    """Each response with each option, by turns after a restart and a resume; on PostgreSQL each option once."""
    kinds, options = ("429", "429 for an hour", "500"), ("none", "1 in flight", "rate 1", "order by subject")
    ways, postgres = ("restart", "resume"), [pytest.mark.slow, pytest.mark.postgres]
    for (row, kind), (column, option) in itertools.product(enumerate(kinds), enumerate(options)):
        turn, is_tried = (row + column) % 2, row == column % 3
        marks = [pytest.mark.slow] if column > 0 else []
        marks += [] if is_tried else [pytest.mark.thorough]
        yield pytest.param("sqlite", kind, option, ways[turn], marks=marks)
        if is_tried:
            yield pytest.param("postgres", kind, option, ways[column // 2 % 2], marks=postgres)


@pytest.mark.slow
@pytest.mark.parametrize(("database", "kind", "options", "again"), list(again()), indirect=["database"])
def test_a_restart_or_a_resume_makes_nothing_worse(
    tmp_path: Path, database: str | None, kind: str, options: str, again: str
) -> None:
    answers = {**KINDS, "429 for an hour": Answer(429, retry_after=3600)}

    def receives(data: list[dict[str, Any]], at: float) -> Answer:
        return answers[kind] if any("bad" in each for each in data) else Answer()

    world = Simulated(tmp_path, receives, database, **OPTIONS[options])
    world.publish({"g": -1, "subject": "first"})
    world.run(1)
    world.publish(*({"bad": n, "subject": f"bad{n}"} for n in range(30)))
    for n in range(40):
        world.publish({"g": -2 - n, "subject": f"before{n}"})
        world.run(GOOD_EVERY)
    # Time for what it asked for, until it has contradicted itself.
    world.run(8_000 if "hour" in kind else 20)
    for good in range(200):
        bad = [{"bad": good, "subject": f"bad{good}"}] if good in (80, 120, 160) else []
        world.publish({"g": good, "subject": f"g{good}"}, *bad)
        if good == 100 and again == "restart":
            world.restart()
        elif good == 100:
            world.pause_and_resume()
            world.pause_and_resume()
        world.run(GOOD_EVERY)
    world.run(8)
    world.close()
    late = [world.late(good) for good in range(100, 190)]
    assert None not in late
    # What was published together with a refused one is not newer than it, so it may wait for a pause of a minute.
    assert all((each or 0) <= (60 if good in (120, 160) else 8) for good, each in enumerate(late, 100)), late


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["422", "500", "closed", "429 for 2 s"])
@pytest.mark.few(2)
def test_calls_for_poisoned_events_are_no_more_than_their_schedule(tmp_path: Path, kind: str) -> None:
    world = lateness(tmp_path, kind, {}, 200, goods=100)
    world.run(600)
    world.close()
    times: dict[int, list[float]] = {}
    for at, data, _ in world.log:
        for each in data:
            if "bad" in each:
                times.setdefault(each["bad"], []).append(at)
    assert len(times) == 200
    elapsed = world.now - 1
    if "429" in kind:
        # Answers that ask for a pause are no attempts. Each pause costs one call, and lasts a second or more.
        assert sum(map(len, times.values())) <= 200 * _attempts(elapsed) + elapsed
        return
    assert max(map(len, times.values())) <= _attempts(elapsed)
    assert all(later - at >= 3 for each in times.values() for at, later in itertools.pairwise(each))


def _attempts(seconds: float) -> int:
    """How many attempts the default schedule has within this time, at its shortest."""
    due = itertools.accumulate(delay * 0.8 for delay in retry.DELAYS_SECONDS)
    return sum(each <= seconds for each in due)
