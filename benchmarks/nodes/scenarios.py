"""The scenarios: each starts a cluster on a primary with a synchronous replica, and returns its lines of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine_use import Spent
from benchmarks.nodes.trial import PHASES, Trial, trial
from benchmarks.numbers import percentiles
from benchmarks.processes import SinkProcess
from tests.postgres_pair import PostgresPair

COST_RATE = 120.0
"""Events a second, of all nodes together."""
WARM_SECONDS = 5.0


@dataclass
class Setting:
    """What a scenario is run with."""

    folder: Path
    sink: SinkProcess
    say: Callable[[str], None]
    nodes: int = 3
    times: int = 3
    seconds: float = 25.0
    """How long a node is frozen."""
    seed: int | None = None
    made: int = 0

    @contextmanager
    def trial(self, pair: PostgresPair, *, nodes: int = 0, **load: Any) -> Iterator[Trial]:
        """A cluster under load on a new database of the pair."""
        self.made += 1
        folder = self.folder / f"cluster{self.made}"
        folder.mkdir(parents=True)
        parts = {"nodes": nodes or self.nodes, "say": self.say, "pair": pair, "seed": self.seed, **load}
        with trial(folder, self.sink, pair.database(), **parts) as made:
            yield made


def kills(setting: Setting) -> list[str]:
    """kill -9 of one of the nodes, several times, with events of one subject in turn at all of them."""
    return _ended(setting, "kill -9", Trial.kill)


def stops(setting: Setting) -> list[str]:
    """SIGTERM of one node after the other, as in an upgrade."""
    return _ended(setting, "SIGTERM", Trial.stop)


def _ended(setting: Setting, signal: str, end: Callable[[Trial], object]) -> list[str]:
    with PostgresPair() as pair, setting.trial(pair, turns=10**9) as made:
        for _ in range(setting.times):
            made.wait()
            end(made)
        made.wait()
        return [f"{signal} of one of {setting.nodes} nodes x {setting.times}: {made.verdict().told()}"]


def freezes(setting: Setting) -> list[str]:
    """SIGSTOP of a node in each phase."""
    lines = []
    with PostgresPair() as pair:
        for phase in (*PHASES, "in HTTP"):
            with setting.trial(pair, turns=10**9, editors=2 * ("item" in phase), batches="COPY" in phase) as made:
                met = 0
                for _ in range(setting.times):
                    made.wait()
                    met += made.freeze(phase, setting.seconds)
                made.wait()
                lines.append(f"SIGSTOP {phase} x {met} of {setting.times}: {made.verdict().told()}")
                setting.say(lines[-1])
    return lines


def fail_overs(setting: Setting) -> list[str]:
    """kill -9 of the primary, and promotion of its synchronous replica."""
    with PostgresPair() as pair, setting.trial(pair, turns=10**9) as made:
        for number in range(setting.times):
            made.wait()
            made.fail_over()
            setting.say(f"failover {number + 1} of {setting.times}")
        made.wait()
        return [f"kill -9 of the primary x {setting.times}, silence from promotion: {made.verdict().told()}"]


def order(setting: Setting) -> list[str]:
    """Events of one subject, published in turn at two nodes, with kills between."""
    turns, killed = setting.times * 100, 0
    with PostgresPair() as pair, setting.trial(pair, nodes=2, rate=5.0, turns=turns) as made:
        began = time.monotonic()
        while made.callers.is_turning():
            time.sleep(setting.seconds / 5)
            if made.callers.is_turning():
                made.wait()
                made.kill()
                killed += 1
        seconds = time.monotonic() - began
        return [f"{turns:,} in turn at two nodes, {killed} kills, {seconds:.0f} s: {made.verdict().told()}"]


def cost(setting: Setting) -> list[str]:
    """Processor time per delivered event and how long a call takes: the same load on one node and on four, in turn."""
    lines: list[str] = []
    found: dict[int, list[tuple[float, float, Spent]]] = {1: [], 4: []}
    with PostgresPair() as pair:
        for _ in range(setting.times):
            for nodes in (1, 4):
                found[nodes].append(_cost(setting, pair, nodes))
                each, p50, used = found[nodes][-1]
                lines.append(
                    f"{nodes} nodes at {COST_RATE:.0f}/s: {each * 1e6:.0f} us per delivered event "
                    f"({used.nodes:.1f} s in nodes, {used.database:.1f} s in PostgreSQL), call p50 {p50:.1f} ms"
                )
                setting.say(lines[-1])
    ratios = [(b[0] / a[0], b[1] / a[1]) for a, b in zip(found[1], found[4], strict=True)]
    cpu, p50 = (sorted(each[part] for each in ratios)[len(ratios) // 2] for part in (0, 1))
    return [*lines, f"4 nodes against 1: processor time {cpu:.0%}, p50 of a call {p50:.0%} (medians of {len(ratios)})"]


def _cost(setting: Setting, pair: PostgresPair, nodes: int) -> tuple[float, float, Spent]:
    with setting.trial(pair, nodes=nodes, rate=COST_RATE / nodes) as made:
        time.sleep(WARM_SECONDS)
        before, arrived, began = made.cluster.spent(*pair.pids()), made.sink.count(), time.monotonic_ns()
        time.sleep(setting.seconds)
        used, count = made.cluster.spent(*pair.pids()).since(before), made.sink.count() - arrived
        made.callers.stop()
        took = percentiles((each.took_ns for each in made.callers.answered if each.asked_ns > began), 1e-6)
        return (used.nodes + used.database) / max(1, count), took["p50"], used


SCENARIOS: dict[str, Callable[[Setting], list[str]]] = {
    "kills": kills,
    "stops": stops,
    "freezes": freezes,
    "primary": fail_overs,
    "order": order,
    "cost": cost,
}
SHORT = {"kills": 3, "stops": 3, "freezes": 1, "primary": 2, "order": 5, "cost": 1}
LONG = {"kills": 100, "stops": 20, "freezes": 10, "primary": 20, "order": 100, "cost": 5}
"""How many faults, hundreds of events in turn, or rounds."""
