"""The table of a delivery's states."""

from __future__ import annotations

from typing import get_args

from tidings.model.delivery import State
from tidings.rules.deliver.lifecycle import MOVES, STATES, Cause, after, as_mermaid, fate, state


def test_the_table_is_whole() -> None:
    assert set(STATES) == set(get_args(State))
    assert {move.cause for move in MOVES} == set(get_args(Cause))
    assert len({(move.source, move.cause) for move in MOVES}) == len(MOVES)
    assert {move.source for move in MOVES} | {move.target for move in MOVES} == set(STATES)
    assert all(move.reason for move in MOVES)


def test_final_states_are_left_only_on_request() -> None:
    for move in MOVES:
        if move.source != "waiting" or move.cause in ("retry", "replay"):
            assert move.target == "waiting"
            assert move.cause in ("retry", "replay")


def test_moves() -> None:
    assert after("waiting", "success") == "delivered"
    assert after("waiting", "exhausted") == "dead"
    assert after("waiting", "cancel") == "cancelled"
    assert after("dead", "retry") == "waiting"
    assert after("dead", "replay") == "waiting"
    assert after("cancelled", "retry") == "waiting"
    assert after("waiting", "retry") == "waiting"
    # A replay of what failed takes what is dead; a replay of all makes new deliveries, and moves none.
    assert [move.source for move in MOVES if move.cause == "replay"] == ["dead"]
    assert {cause: fate(cause) for cause in ("hold", "split", "park", "edit", "given_up")} == {
        "hold": "waiting",
        "split": "waiting",
        "park": "waiting",
        "edit": "waiting",
        "given_up": "dead",
    }
    assert after("delivered", "cancel") is None
    assert after("dead", "cancel") is None
    assert after("cancelled", "success") is None


def test_the_state_that_the_facts_tell() -> None:
    assert state(None, True, False) == "waiting"
    assert state(None, False, False) == "waiting"  # it lies after its endpoint's cursor
    assert state("waiting", True, False) == "waiting"
    assert state("waiting", False, False) == "waiting"
    for end in ("delivered", "dead", "cancelled"):
        assert state(end, False, False) == end
        assert state(end, False, True) == end
        assert state(end, True, False) == "waiting"  # asked for again
    assert state(None, False, True) == "cancelled"
    assert state("waiting", True, True) == "cancelled"
    assert state("dead", True, True) == "cancelled"


def test_the_picture_shows_every_move() -> None:
    lines = as_mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == len(MOVES) + 2
    for move in MOVES:
        assert any(line.strip().startswith(f"{move.source} --> {move.target}: {move.cause} ") for line in lines)
