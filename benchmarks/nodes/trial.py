"""A cluster under load, the faults that are done to it, and the verdict."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.nodes.callers import EVENTS, Callers
from benchmarks.nodes.callers import TURNS as TURN_EVENTS
from benchmarks.nodes.cluster import Cluster, is_ready
from benchmarks.nodes.judge import ALL, TURNS, Fault, Verdict, judge
from benchmarks.nodes.phases import ITEMS, PHASES, Phase
from benchmarks.processes import SinkProcess
from tests.postgres_pair import PostgresPair
from tidings.testing import until

FAULT_SECONDS = 300.0
PATIENCE_SECONDS = 90.0
ALIVE_SECONDS = (0.5, 2.0)
TRIES = 300
SETTLE_SECONDS = 0.004
SLOW = "/slow/1000/all"
ASKED_SECONDS, ASKED_TIMES = 3.0, 10
"""How long a request may take to bring a node where it is to be stopped, and how often that is tried."""


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
        self._note(Fault(number, began, time.monotonic_ns(), sent=number == sender), "killed")

    def stop(self) -> None:
        """SIGTERM, as for an upgrade, and a new start; of the sender each second time."""
        sender = self.cluster.until_sender()
        number = sender if len(self.faults) % 2 else (sender + 1) % len(self.cluster.nodes)
        node, began = self.cluster.nodes[number], time.monotonic_ns()
        status = node.stop()
        node.launch()
        until(lambda: is_ready(node), f"{node.url} is back:\n{node.log[-1500:]}", FAULT_SECONDS)
        self._note(Fault(number, began, time.monotonic_ns(), sent=number == sender), f"stopped with status {status}")

    def freeze(self, name: str, seconds: float, *, sender: bool = True) -> bool:
        """SIGSTOP of the sender, or of a node that takes in, in a phase, and SIGCONT later.

        Returns whether the phase was met.
        """
        phase, sends = PHASES[name], self.cluster.until_sender()
        number = sends if sender else (sends + 1) % len(self.cluster.nodes)
        began = self._stop_at(number, phase) if phase.place is not None else self._stop_in(number, phase)
        if began is None:
            return False
        time.sleep(seconds)
        ended = time.monotonic_ns()
        self.cluster.wake(number)
        self._note(Fault(number, began, ended, sent=sender), f"for {seconds:.0f} s frozen {name}")
        self.cluster.until_ready()
        return True

    def _note(self, fault: Fault, what: str) -> None:
        self.faults.append(fault)
        sent = ", which sent" if fault.sent else ""
        self.say(f"{len(self.faults)}: {what}: node {fault.node}{sent}; now node {self.cluster.until_sender()} sends")

    def _stop_in(self, number: int, phase: Phase) -> int | None:
        """Stop it at any moment, or while its writer has nothing to do."""
        for _ in range(TRIES):
            began = time.monotonic_ns()
            self.cluster.signal(number, signal.SIGSTOP)
            time.sleep(SETTLE_SECONDS)
            if phase.is_slow:
                return began
            seen = self.cluster.writer(number)
            if seen is not None and seen[0] == "idle":
                return began
            self.cluster.signal(number, signal.SIGCONT)
            time.sleep(self.chance.uniform(0.0, 0.01))
        return None

    def _stop_at(self, number: int, phase: Phase) -> int | None:
        """Stop it in the middle of what it sends to the database."""
        assert phase.place is not None
        stopped, at = threading.Event(), []

        def stop() -> None:
            at.append(time.monotonic_ns())
            self.cluster.signal(number, signal.SIGSTOP)
            stopped.set()

        self.cluster.ways[number].stop_at(phase.place, stop)
        for attempt in range(ASKED_TIMES):
            if phase.request is not None:
                self.callers.ask(number, phase.request(self.callers.run, len(self.faults) * ASKED_TIMES + attempt))
            if stopped.wait(ASKED_SECONDS):
                return at[0]
        self.cluster.ways[number].go_on()
        return at[0] if at else None

    def fail_over(self) -> None:
        """kill -9 of the primary; the replica is promoted a second later. The fault begins with the promotion."""
        assert self.pair is not None
        self.pair.kill_primary()
        time.sleep(1.0)
        self.pair.promote()
        began = time.monotonic_ns()
        self.until_arrivals()
        self._note(Fault(None, began, time.monotonic_ns()), "the replica was promoted")
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
        return judge(self.sink, stored, self.callers, self.faults, patience)


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
    turn_pause: float = 0.0,
    phase: str = "",
    seed: int | None = None,
    share_sending: str = "auto",
) -> Iterator[Trial]:
    """Nodes with two links: one gets all events, one those that are published in turn, in order.

    `phase`: the one in which they will be frozen.
    """
    chance, about = random.Random(seed), PHASES.get(phase)
    by_ways = about is not None and about.place is not None
    with Cluster(folder, url, nodes, by_ways=by_ways, share_sending=share_sending) as cluster:
        api = cluster.nodes[0].api
        api.post("/v1/endpoints", {"url": sink.url(ALL), "events": [EVENTS]})
        api.post("/v1/endpoints", {"url": sink.url(TURNS), "events": [TURN_EVENTS], "order": "subject"})
        if about is not None and about.is_slow:
            api.post("/v1/endpoints", {"url": sink.url(SLOW), "events": [EVENTS]})
        api.put(f"/v1/collections/{ITEMS}", {"fields": {"number": "integer"}})
        for item in ("one", "two"):
            api.put(f"/v1/items/{ITEMS}/{item}", {"number": 0})
        load = {"turns": turns, "turn_pause": turn_pause, "edits": 0.0 if about is None else about.edits}
        urls, run = [node.url for node in cluster.nodes], sink.new_run()
        with Callers(urls, api.key or "", run, rate, folder / "acknowledged", chance=chance, **load) as callers:  # type: ignore[arg-type]
            yield Trial(cluster, sink, callers, pair, chance, say)
