"""The clock that is moved by hand."""

from __future__ import annotations

import pytest

from tidings.model.moment import SECOND
from tidings.testing.clock import FakeClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(1_000)
    assert [clock.now(), clock.now()] == [1_000, 1_000]
    assert clock.advance(1.5) == 1_000 + 1_500_000 == clock.now()


def test_it_can_also_run() -> None:
    clock = FakeClock(ticking=True)
    first = clock.now()
    while clock.now() == first:
        pass
    assert clock.advance(60) > first + 60 * SECOND


def test_sleepers_are_woken_by_each_move() -> None:
    clock = FakeClock()
    woken: list[int] = []
    clock.on_jump(lambda: woken.append(clock.now()))
    clock.advance(5)
    assert woken == [clock.now()]


def test_it_is_never_moved_back() -> None:
    with pytest.raises(ValueError, match="forward"):
        FakeClock().advance(-1)
