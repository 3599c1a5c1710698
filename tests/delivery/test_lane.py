"""A lane and its gate: what others may do with a lane, and lanes that share one gate."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import tidings.deliver
from tests.repository import nodes
from tidings.deliver.lane.gate import Gate
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.lines import Lines
from tidings.deliver.lane.queued import Queued
from tidings.deliver.lane.serve import LaneStore, Launch, serve
from tidings.deliver.lane.shares import in_turns
from tidings.deliver.settle import Settlement
from tidings.model.link import Link, Pacing
from tidings.model.moment import SECOND, Micros

NOW: Micros = 1_800_000_000 * SECOND
STAGE = Path(tidings.deliver.__file__).parent


def lane(num: int, gate: Gate | None = None, **pacing: Any) -> Lane:
    link = Link(num=num, id=f"ep_{num}", tenant=None, pacing=Pacing(**pacing), what=None)
    return Lane(link, None, gate or Gate(), set())  # type: ignore[arg-type]


class NothingStored(LaneStore):
    """What waits is all in memory."""

    def __init__(self) -> None:
        super().__init__(None, lambda numbers: {})  # type: ignore[arg-type]


def send(lanes: Sequence[Lane], now: Micros) -> tuple[list[int], list[Micros | None]]:
    """One round of the stage: which links sent something, in this order, and when each is to be looked at again."""
    launch: Launch = []
    again = [serve(each, now, launch, Settlement(), NothingStored(), lambda: 0.5, 0) for each in in_turns(lanes)]
    for each, items in launch:
        each.arrived(items, now)
    return [each.num for each, _ in launch], again


def fill(*lanes: Lane, count: int = 10) -> None:
    for each in lanes:
        for number in range(count):
            each.enqueue(Queued(1_000 * each.num + number, 1, NOW), NOW)


@pytest.mark.slow
def test_nobody_outside_its_folder_writes_to_a_lane_or_touches_what_it_holds() -> None:
    made = lane(1)
    held = {name for name, value in vars(made).items() if isinstance(value, dict | set | deque | list | Lines)}
    assert {"queue", "flying", "busy", "lines"} <= held
    found = []
    for path in STAGE.glob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[-1] == "lane":
                private = node.attr.startswith("_") or node.attr in held
                if private or not isinstance(node.ctx, ast.Load):
                    found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert not found, f"give Lane a verb for these: {found}"


def test_a_hold_asked_of_one_lane_stops_all_that_share_its_gate() -> None:
    gate = Gate()
    first, second, other = lane(1, gate), lane(2, gate), lane(3)
    fill(first, second, other)
    assert send([first, second, other], NOW)[0].count(2) == 10
    fill(first, second, other)
    first.hold(NOW, 0.5, 429, 30.0)
    assert send([first, second, other], NOW + SECOND) == ([3] * 10, [NOW + 30 * SECOND, NOW + 30 * SECOND, None])
    assert (bool(first.room), bool(second.room), bool(other.room)) == (False, False, True)
    assert (first.health.held_status, second.health.held_status) == (429, None)
    sent, _ = send([first, second, other], NOW + 31 * SECOND)
    assert set(sent) == {1, 2} and first.health.held_until is None
    assert first.room and second.room


def test_resuming_one_lane_opens_the_gate_for_all() -> None:
    gate = Gate()
    first, second = lane(1, gate), lane(2, gate)
    fill(first, second)
    first.hold(NOW, 0.5, 429, 30.0)
    second.probe_now(NOW, free=False)
    assert send([first, second], NOW)[0] == []
    second.mend(NOW)
    assert send([first, second], NOW)[0] == [], "an edit of one link says nothing of what the others lead to"
    second.probe_now(NOW, free=True)
    assert set(send([first, second], NOW)[0]) == {1, 2}
    assert first.health.held_until is None


def test_lanes_that_share_a_gate_share_its_rate_in_turn() -> None:
    gate = Gate(rate=1.0)
    lanes = [lane(1, gate), lane(2, gate), lane(3, gate)]
    fill(*lanes)
    sent = []
    for second in range(9):
        went, again = send(lanes, NOW + second * SECOND)
        sent += went
        assert set(again) == {NOW + (second + 1) * SECOND}
    assert len(sent) == 9 and all(sent.count(num) == 3 for num in (1, 2, 3)), sent


def test_an_edit_changes_the_rate_of_a_lanes_own_gate_but_not_of_a_shared_one() -> None:
    alone, gate = lane(1, Gate(1.0), rate=1.0), Gate(1.0)
    several = [lane(2, gate, rate=1.0), lane(3, gate, rate=1.0)]
    for each in (alone, *several):
        fill(each)
        edited = Link(num=each.num, id="ep", tenant=None, pacing=Pacing(), what=None)
        each.replace(edited, None)  # type: ignore[arg-type]
    assert len(send([alone], NOW)[0]) == 10
    assert len(send(several, NOW)[0]) == 1


def test_a_clock_change_moves_a_hold_once() -> None:
    gate = Gate()
    gate.pause(NOW + 30 * SECOND)
    gate.move(100 * SECOND)
    assert gate.paused_until(NOW + 129 * SECOND) == NOW + 130 * SECOND
    assert gate.paused_until(NOW + 130 * SECOND) is None and not gate.paused


@pytest.mark.parametrize("order", ["all", "subject"])
def test_only_deliveries_cancelled_in_flight_are_marked(order: str) -> None:
    made = lane(1, order=order)
    made.enqueue(Queued(7, 1, NOW, known=True), NOW)
    assert not made.cancel_flying(7)
    launch: Launch = []
    serve(made, NOW, launch, Settlement(), NothingStored(), lambda: 0.5, 0)
    assert made.cancel_flying(7) and launch[0][1][0].cancelled
