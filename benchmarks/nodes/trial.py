"""A cluster under load, the faults that are done to it, and the verdict."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.nodes.callers import EVENTS, ITEMS, Callers
from benchmarks.nodes.callers import TURNS as TURN_EVENTS
from benchmarks.nodes.cluster import Cluster, is_ready
from benchmarks.nodes.judge import ALL, TURNS, Fault, Verdict, judge
from benchmarks.processes import SinkProcess
from tests.postgres_pair import PostgresPair
from tidings.testing import until

FAULT_SECONDS = 90.0
PATIENCE_SECONDS = 90.0
ALIVE_SECONDS = (0.5, 2.0)
TRIES = 300
SETTLE_SECONDS = 0.004
PHASES: dict[str, Callable[[tuple[str, str, str]], bool]] = {
    "at rest": lambda seen: seen[0] == "idle",
    "between statements": lambda seen: seen[0].startswith("idle in transaction"),
    "in COPY": lambda seen: seen[0] == "active" and seen[2].lstrip().upper().startswith("COPY"),
    "holding an item's row": lambda seen: seen[0].startswith("idle in transaction") and "c_benched" in seen[2],
    "in settlement": lambda seen: seen[0] != "idle" and "attempt" in seen[2].lower(),
}
"""What the session of a node's writer does when the node has just been stopped; "in HTTP" needs no look."""


@dataclass
class Trial:
    """One cluster, the receiver, and what was done."""

    cluster: Cluster
    sink: SinkProcess
    callers: Callers
    pair: PostgresPair | None
    chance: random.Random
    say: Callable[[str], None]
    faults: list[Fault] = field(default_factory=list)

    def wait(self) -> None:
        """Let it run for a moment that nobody can foresee, with all nodes at work."""
        self.cluster.until_ready()
        self.cluster.until_sender()
        time.sleep(self.chance.uniform(*ALIVE_SECONDS))

    def kill(self) -> None:
        """kill -9 of the sender, or of any node, which is started again at once."""
        sender = self.cluster.until_sender()
        number = sender if self.chance.random() < 0.5 else self.chance.randrange(len(self.cluster.nodes))
        node, began = self.cluster.nodes[number], time.monotonic_ns()
        node.kill()
        self.until_arrivals()
        node.launch()
        until(lambda: is_ready(node), f"{node.url} is back:\n{node.log[-1500:]}", FAULT_SECONDS)
        self.faults.append(Fault(number, began, time.monotonic_ns()))
        self.say(f"killed node {number}{' (it sent)' if number == sender else ''}")

    def stop(self) -> None:
        """SIGTERM, as for an upgrade, and a new start; of the sender each second time."""
        sender = self.cluster.until_sender()
        number = sender if len(self.faults) % 2 else (sender + 1) % len(self.cluster.nodes)
        node, began = self.cluster.nodes[number], time.monotonic_ns()
        status = node.stop()
        node.launch()
        until(lambda: is_ready(node), f"{node.url} is back:\n{node.log[-1500:]}", FAULT_SECONDS)
        self.faults.append(Fault(number, began, time.monotonic_ns()))
        self.say(f"stopped node {number}{' (it sent)' if number == sender else ''}: status {status}")

    def freeze(self, phase: str, seconds: float, *, sender: bool = True) -> bool:
        """SIGSTOP of a node in a phase, and SIGCONT later; whether the phase was met."""
        sends = self.cluster.until_sender()
        number = sends if sender else (sends + 1) % len(self.cluster.nodes)
        began = self._stop_in(number, phase)
        if began is None:
            return False
        time.sleep(seconds)
        ended = time.monotonic_ns()
        self.cluster.signal(number, signal.SIGCONT)
        self.faults.append(Fault(number, began, ended))
        self.say(f"froze node {number} {phase} for {seconds:.0f} s; now node {self.cluster.until_sender()} sends")
        self.cluster.until_ready()
        return True

    def _stop_in(self, number: int, phase: str) -> int | None:
        wanted = PHASES.get(phase)
        for _ in range(TRIES):
            began = time.monotonic_ns()
            self.cluster.signal(number, signal.SIGSTOP)
            time.sleep(SETTLE_SECONDS)
            if wanted is None:
                return began
            seen = self.cluster.writer(number)
            if seen is not None and wanted(seen):
                return began
            self.cluster.signal(number, signal.SIGCONT)
            time.sleep(self.chance.uniform(0.0, 0.01))
        return None

    def fail_over(self) -> None:
        """kill -9 of the primary; the replica is promoted a second later. The fault begins with the promotion."""
        assert self.pair is not None
        self.pair.kill_primary()
        time.sleep(1.0)
        self.pair.promote()
        began = time.monotonic_ns()
        self.until_arrivals()
        self.faults.append(Fault(None, began, time.monotonic_ns()))
        self.pair.rejoin()

    def until_arrivals(self) -> None:
        """Wait until something arrives again."""
        if not self.sink.wait_for_more(FAULT_SECONDS):
            logs = "\n".join(f"{node.url}: {node.log[-1500:]}" for node in self.cluster.nodes)
            raise RuntimeError(f"nothing arrived for {FAULT_SECONDS} s\n{logs}")

    def verdict(self, patience: float = PATIENCE_SECONDS) -> Verdict:
        """Stop the callers, and judge; what is late may be so for `patience` seconds."""
        self.callers.stop()
        stored = {str(row[0]) for row in self.cluster.ask("SELECT id FROM event")}
        return judge(self.sink, stored, self.callers.answered, self.callers.in_turn, self.faults, patience)


@contextmanager
def trial(
    folder: Path,
    sink: SinkProcess,
    url: str,
    *,
    nodes: int,
    say: Callable[[str], None],
    pair: PostgresPair | None = None,
    rate: float = 30.0,
    turns: int = 0,
    editors: int = 0,
    batches: bool = False,
    seed: int | None = None,
) -> Iterator[Trial]:
    """Nodes with two links: one gets all events, one those that are published in turn, in order."""
    chance = random.Random(seed)
    with Cluster(folder, url, nodes) as cluster:
        api = cluster.nodes[0].api
        api.post("/v1/endpoints", {"url": sink.url(ALL), "events": [EVENTS]})
        api.post("/v1/endpoints", {"url": sink.url(TURNS), "events": [TURN_EVENTS], "order": "subject"})
        api.put(f"/v1/collections/{ITEMS}", {"fields": {"number": "integer"}})
        api.put(f"/v1/items/{ITEMS}/one", {"number": 0})
        urls, run = [node.url for node in cluster.nodes], sink.new_run()
        with Callers(
            urls, api.key or "", run, rate, folder / "acknowledged", turns, editors, batches, chance
        ) as callers:
            yield Trial(cluster, sink, callers, pair, chance, say)
