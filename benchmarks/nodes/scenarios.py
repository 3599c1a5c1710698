"""The scenarios: each starts a cluster on a primary with a synchronous replica, and returns its lines of the table."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.nodes.cost import cost, stored
from benchmarks.nodes.helping import helping
from benchmarks.nodes.phases import PHASES
from benchmarks.nodes.same import same
from benchmarks.nodes.setting import Setting
from benchmarks.nodes.trial import Trial
from tests.postgres_pair import PostgresPair

KILL_SECONDS = 5.0
"""Between two kills in the middle of events that are published in turn."""
FROZEN_RATE, FROZEN_PAUSE = 8.0, 0.1
"""Events a second at each node, and the pause between two in turn, while nodes are frozen: it takes long, and several
clusters may run side by side."""


def kills(setting: Setting) -> list[str]:
    """kill -9 of one of the nodes, several times, with events of one subject in turn at all of them."""
    return _ended(setting, "kill -9", Trial.kill)


def stops(setting: Setting) -> list[str]:
    """SIGTERM of one node after the other, as in an upgrade."""
    return _ended(setting, "SIGTERM", Trial.stop)


def _ended(setting: Setting, signal: str, end: Callable[[Trial], object]) -> list[str]:
    with PostgresPair() as pair, setting.trial(pair, turns=10**9) as made:
        for _ in setting.rounds():
            made.wait()
            end(made)
        made.wait()
        return [f"{signal} of one of {setting.nodes} nodes x {len(made.faults)}: {made.verdict().told()}"]


def freezes(setting: Setting) -> list[str]:
    """SIGSTOP in each phase: of the sender, and of a node that takes in if it gets there too."""
    lines = []
    with PostgresPair() as pair:
        for name in setting.phases:
            load: dict[str, Any] = {"turns": 10**9, "turn_pause": FROZEN_PAUSE, "rate": FROZEN_RATE, "phase": name}
            with setting.trial(pair, **load) as made:
                met = {True: 0, False: 0}
                for _ in setting.rounds():
                    for sender in (True, False) if PHASES[name].at_any_node else (True,):
                        made.wait()
                        met[sender] += made.freeze(name, setting.seconds, sender=sender)
                made.wait()
                often = f"{met[True]} of {setting.times} times of the sender"
                often += f", {met[False]} of {setting.times} of another" if PHASES[name].at_any_node else ""
                lines.append(f"SIGSTOP for {setting.seconds:.0f} s {name}, {often}: {made.verdict().told()}")
                setting.say(lines[-1])
    return lines


def fail_overs(setting: Setting) -> list[str]:
    """kill -9 of the primary, and promotion of its synchronous replica."""
    with PostgresPair() as pair, setting.trial(pair, turns=10**9) as made:
        for _ in setting.rounds():
            made.wait()
            made.fail_over()
        made.wait()
        return [f"kill -9 of the primary x {len(made.faults)}, silence from promotion: {made.verdict().told()}"]


def order(setting: Setting) -> list[str]:
    """Events of one subject, published in turn at two nodes, with kills between."""
    turns, killed = setting.times * 100, 0
    with PostgresPair() as pair, setting.trial(pair, nodes=2, rate=5.0, turns=turns) as made:
        began = time.monotonic()
        while made.callers.is_turning():
            time.sleep(KILL_SECONDS)
            if made.callers.is_turning():
                made.wait()
                made.kill()
                killed += 1
        seconds = time.monotonic() - began
        return [f"{turns:,} in turn at two nodes, {killed} kills, {seconds:.0f} s: {made.verdict().told()}"]


SCENARIOS: dict[str, Callable[[Setting], list[str]]] = {
    "kills": kills,
    "stops": stops,
    "freezes": freezes,
    "primary": fail_overs,
    "order": order,
    "same": same,
    "cost": cost,
    "stored": stored,
    "helping": helping,
}
SHORT = {
    "kills": 3,
    "stops": 3,
    "freezes": 1,
    "primary": 2,
    "order": 5,
    "same": 1,
    "cost": 1,
    "stored": 1,
    "helping": 1,
}
LONG = {
    "kills": 100,
    "stops": 20,
    "freezes": 10,
    "primary": 20,
    "order": 100,
    "same": 10,
    "cost": 3,
    "stored": 3,
    "helping": 3,
}
"""How many faults, hundreds of events in turn or of pairs, or rounds."""
