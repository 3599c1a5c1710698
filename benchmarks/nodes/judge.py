"""What was promised to callers, against what arrived: lost, late, twice, out of order, and how long nothing came."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.nodes.callers import Answered, Callers
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
    silences: list[tuple[bool, float]] = field(default_factory=list)
    """The longest silence after each fault, in seconds, and whether it was one of the sender."""
    others_ms: dict[str, float] = field(default_factory=dict)
    """How long calls to the nodes that nothing happened to took, from each fault to its end."""
    others_refused: dict[int, int] = field(default_factory=dict)
    """How many of those were refused, by their status; 0: there was no response."""
    edits_s: list[float] = field(default_factory=list)
    """After each fault, the longest time without an edit of one item that succeeded at another node."""

    def told(self) -> str:
        """In one line."""
        said = (
            f"{self.acknowledged:,} acknowledged, {self.lost} lost, {self.undelivered} undelivered, {self.twice} twice"
        )
        if self.turns:
            said += f"; {self.turns:,} in turn, {self.out_of_order} out of order"
        for sent, of in ((True, " of the sender"), (False, "")):
            if found := [seconds for each, seconds in self.silences if each is sent]:
                said += f"; silence after {len(found)} faults{of}: {_spread(found)}"
        if self.others_ms:
            times = ", ".join(f"{name} {self.others_ms[name]:.0f}" for name in ("p50", "p99", "max"))
            said += f"; others' calls {times} ms, refused: {self.others_refused or 0}"
        if self.edits_s:
            said += f"; without an edit of the locked item: {_spread(self.edits_s)}"
        return said


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"median {ordered[len(ordered) // 2]:.1f} s, longest {ordered[-1]:.1f} s"


@dataclass(frozen=True)
class Fault:
    """Something that was done to a node, or to the primary (None), and when it was over."""

    node: int | None
    began_ns: int
    ended_ns: int
    sent: bool = False
    """Whether it was the sender."""


def judge(sink: SinkProcess, stored: set[str], callers: Callers, faults: list[Fault], patience: float) -> Verdict:
    """Compare, after what is still on its way has arrived. `stored`: the ids of all events in the store."""
    in_turn, until = callers.in_turn, time.monotonic() + patience
    numbers = [each.number for each in callers.answered]
    while True:
        times, turns = sink.times(ALL), sink.times(TURNS)
        missing = [number for number in numbers if number >= len(times) or not times[number]]
        missing += [number for number in in_turn if number >= len(turns) or not turns[number]]
        if not missing or time.monotonic() > until:
            break
        time.sleep(0.3)

    def others(call: Answered) -> bool:
        return _beside(call, faults)

    first, ordered = sink.first(ALL), sink.first(TURNS)
    seen = [ordered[number] for number in in_turn if number < len(ordered) and ordered[number]]
    return Verdict(
        acknowledged=len(numbers) + len(in_turn),
        lost=len({*(f"evt_bench{n}" for n in numbers), *(f"evt_turn{n}" for n in in_turn)} - stored),
        undelivered=len(missing),
        twice=sum(count - 1 for count in (*times, *turns) if count > 1),
        turns=len(in_turn),
        out_of_order=sum(1 for before, after in pairwise(seen) if after < before),
        silences=list(zip((fault.sent for fault in faults), silences(first, faults), strict=True)),
        others_ms=percentiles((each.took_ns for each in (*callers.answered, *callers.refused) if others(each)), 1e-6),
        others_refused=dict(Counter(each.status for each in callers.refused if others(each))),
        edits_s=[_without_edits(callers.edited, fault) for fault in faults] if callers.edits else [],
    )


def silences(first: Iterable[int], faults: list[Fault]) -> list[float]:
    """The longest time without an arrival after each fault, until the next one."""
    arrivals, found = sorted(at for at in first if at), []
    for number, fault in enumerate(faults):
        end = faults[number + 1].began_ns if number + 1 < len(faults) else fault.ended_ns + 30_000_000_000
        inside = [fault.began_ns, *(at for at in arrivals if fault.began_ns < at < end)]
        found.append(max((b - a for a, b in pairwise(inside)), default=0) / 1e9)
    return found


def _without_edits(edited: list[Answered], fault: Fault) -> float:
    """The longest time from the beginning of a fault to its end in which no edit at another node succeeded."""
    done = sorted(each.asked_ns + each.took_ns for each in edited if each.node != fault.node)
    inside = [fault.began_ns, *(at for at in done if fault.began_ns < at < fault.ended_ns), fault.ended_ns]
    return max(b - a for a, b in pairwise(inside)) / 1e9


def _beside(call: Answered, faults: list[Fault]) -> bool:
    return any(
        fault.node is not None and call.node != fault.node and fault.began_ns <= call.asked_ns <= fault.ended_ns
        for fault in faults
    )
