"""What was promised to callers, against what arrived: lost, late, twice, out of order, and how long nothing came."""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.nodes.callers import Answered
from benchmarks.numbers import percentiles
from benchmarks.processes import SinkProcess

ALL, TURNS = "/ok/all", "/ok/turns"


@dataclass
class Verdict:
    """What became of a run."""

    acknowledged: int
    lost: int
    """Acknowledged, and not in the store."""
    undelivered: int
    twice: int
    turns: int = 0
    out_of_order: int = 0
    silences: list[float] = field(default_factory=list)
    """The longest silence after each fault, in seconds."""
    others_ms: dict[str, float] = field(default_factory=dict)
    """How long calls to the nodes that nothing happened to took, from each fault to its end."""

    def told(self) -> str:
        """In one line."""
        ordered = sorted(self.silences)
        said = (
            f"{self.acknowledged:,} acknowledged, {self.lost} lost, {self.undelivered} undelivered, {self.twice} twice"
        )
        if self.turns:
            said += f"; {self.turns:,} in turn, {self.out_of_order} out of order"
        if ordered:
            said += f"; silence after {len(ordered)} faults: median {ordered[len(ordered) // 2]:.1f} s, "
            said += f"longest {ordered[-1]:.1f} s"
        if self.others_ms:
            said += f"; others' calls p50 {self.others_ms['p50']:.1f} ms, p99 {self.others_ms['p99']:.1f} ms"
        return said


@dataclass(frozen=True)
class Fault:
    """Something that was done to a node, or to the primary (None), and when it was over."""

    node: int | None
    began_ns: int
    ended_ns: int


def judge(
    sink: SinkProcess,
    stored: set[str],
    answered: list[Answered],
    in_turn: list[int],
    faults: list[Fault],
    patience: float,
) -> Verdict:
    """Compare, after what is still on its way has arrived. `stored`: the ids of all events in the store."""
    numbers, until = [each.number for each in answered], time.monotonic() + patience
    while True:
        times, turns = sink.times(ALL), sink.times(TURNS)
        missing = [number for number in numbers if number >= len(times) or not times[number]]
        missing += [number for number in in_turn if number >= len(turns) or not turns[number]]
        if not missing or time.monotonic() > until:
            break
        time.sleep(0.3)
    first, ordered = sink.first(ALL), sink.first(TURNS)
    seen = [ordered[number] for number in in_turn if number < len(ordered) and ordered[number]]
    return Verdict(
        acknowledged=len(numbers) + len(in_turn),
        lost=len({*(f"evt_bench{n}" for n in numbers), *(f"evt_turn{n}" for n in in_turn)} - stored),
        undelivered=len(missing),
        twice=sum(count - 1 for count in (*times, *turns) if count > 1),
        turns=len(in_turn),
        out_of_order=sum(1 for before, after in pairwise(seen) if after < before),
        silences=silences(first, faults),
        others_ms=percentiles((each.took_ns for each in answered if _beside(each, faults)), 1e-6),
    )


def silences(first: array[int], faults: list[Fault]) -> list[float]:
    """The longest time without an arrival after each fault, until the next one."""
    arrivals, found = sorted(at for at in first if at), []
    for number, fault in enumerate(faults):
        end = faults[number + 1].began_ns if number + 1 < len(faults) else fault.ended_ns + 30_000_000_000
        inside = [fault.began_ns, *(at for at in arrivals if fault.began_ns < at < end)]
        found.append(max((b - a for a, b in pairwise(inside)), default=0) / 1e9)
    return found


def _beside(call: Answered, faults: list[Fault]) -> bool:
    return any(
        fault.node is not None and call.node != fault.node and fault.began_ns <= call.asked_ns <= fault.ended_ns
        for fault in faults
    )
