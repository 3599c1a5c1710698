"""Whose each part of the endpoints is, and how many parts a busy sender gives away."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.nodes.helping import (
    BUSY,
    COSTLY_SECONDS,
    FULL,
    FULL_SECONDS,
    IDLE,
    PARTS,
    Load,
    Spare,
    assigned,
    part_of,
)

COSTLY = 2 * COSTLY_SECONDS
IDS = st.sets(st.text("0123456789abcdef", min_size=16, max_size=16), min_size=1, max_size=70)


@given(IDS, st.integers(0, PARTS))
def test_each_part_has_one_helper_and_none_has_more_than_its_share(helpers: set[str], count: int) -> None:
    found = assigned(count, helpers)
    assert set(found) == set(range(count)) and set(found.values()) <= helpers
    assert max(Counter(found.values()).values(), default=0) <= -(-PARTS // len(helpers))


@given(IDS, st.integers(0, PARTS - 1))
def test_a_part_stays_where_it_is_if_more_are_given_away(helpers: set[str], count: int) -> None:
    assert assigned(count + 1, helpers).items() >= assigned(count, helpers).items()


def test_if_a_helper_is_lost_few_parts_of_the_others_move() -> None:
    chance, moves = random.Random(0), []
    for _ in range(200):
        helpers = {f"{chance.getrandbits(64):016x}" for _ in range(chance.randint(2, 10))}
        before, lost = assigned(PARTS, helpers), min(helpers)
        after = assigned(PARTS, helpers - {lost})
        moves.append(sum(whose not in (lost, after[part]) for part, whose in before.items()))
    # Those that had no room with their first choice may find some now.
    assert sum(moves) / len(moves) < PARTS / 10 and max(moves) <= PARTS / 3


def test_without_helpers_nothing_is_given_away() -> None:
    assert assigned(PARTS, []) == {}
    assert {part_of(link) for link in range(1, 200)} == set(range(PARTS))


def test_a_busy_sender_gives_parts_away_and_takes_them_back_slowly() -> None:
    load = Load("auto")
    load.look(BUSY, FULL, COSTLY)
    assert load.given == 0
    given_away = []
    for _ in range(10):
        load.look(BUSY + 0.01, BUSY + 0.01, COSTLY)
        given_away.append(load.given)
    assert given_away[:3] == [4, 8, 12] and given_away[-1] == PARTS
    load.look((BUSY + IDLE) / 2, FULL, COSTLY)
    assert load.given == PARTS, "between the two, it stays as it is"
    for _ in range(PARTS + 5):
        load.look(IDLE - 0.01, 1.5, COSTLY)
    assert load.given == 0


def test_a_sender_whose_process_is_full_is_busy_if_sending_is_part_of_that() -> None:
    load = Load("auto")
    load.look(IDLE + 0.01, FULL + 0.01, COSTLY)
    assert load.given > 0


def test_cheap_requests_are_not_worth_giving_away() -> None:
    load = Load("auto")
    load.look(1.0, 1.0, COSTLY_SECONDS)
    assert load.given == 0


def test_a_helper_without_time_to_spare_takes_nothing_for_a_while() -> None:
    spare = Spare(100.0, 5.0)
    assert spare.look(100.5, 5.5), "too early to say"
    assert spare.look(101.0, 5.0 + FULL - 0.1)
    assert not spare.look(102.0, 6.0 + FULL)
    assert not spare.look(102.0 + FULL_SECONDS - 0.1, 6.0 + FULL)
    assert spare.look(102.0 + FULL_SECONDS, 6.0 + FULL)


@pytest.mark.parametrize(("share", "count"), [("always", PARTS), ("never", 0)])
def test_always_and_never_do_not_depend_on_the_load(share: str, count: int) -> None:
    load = Load(share)
    for busy in (0.0, 1.0):
        load.look(busy, busy, COSTLY)
        assert load.given == count
