"""Finds the speed that a server can hold: as many events arriving as are accepted, with no growing backlog.

First everything at once (64 connections, each sending as soon as it is answered): where the server itself slows its
callers to the speed of its deliveries, that run is already fair. Where it accepts faster than it delivers, the same
64 connections get a planned rate, which is raised or lowered in short runs, and the best is then held for the
full time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.context import Context
from benchmarks.numbers import backlog
from benchmarks.processes import Others, Use, run_load, thread_uses
from benchmarks.server import Server

PROBE_SECONDS = 6
QUICK_PROBE_SECONDS = 2
STEP = 1.2
CLOSE = 1.04
CAUTION = 0.97  # a short run flatters
PROBES_MAX = 8
QUICK_PROBES_MAX = 2
HOLDS_MAX = 4
GROWTH_SECONDS_MAX = 0.25  # of the rate, over the whole run
DRAIN_SECONDS_MAX = 3.0
TOLD_SECONDS = 0.02


@dataclass
class Shape:
    """What is sent: `batch` events a request to `paths` endpoints, 64 connections."""

    batch: int = 1
    deliveries_per_event: int = 1


@dataclass
class Held:
    """One run: what was accepted and delivered each second, and whether that is a speed the server can hold."""

    rate: float
    seconds: float
    report: dict[str, Any]
    arrived: Mapping[int, int]
    drain_seconds: float
    owed: list[int]
    latency_ms: dict[str, float]
    threads: dict[str, Use]
    others_percent: float
    missing: int

    @property
    def delivered_per_second(self) -> float:
        """Deliveries that arrived during the sending, each second, without the first and the last, broken ones."""
        whole = range(min(self.report["seconds"], default=0) + 1, max(self.report["seconds"], default=0))
        return sum(self.arrived.get(second, 0) for second in whole) / len(whole) if len(whole) else 0.0

    @property
    def accepted_per_second(self) -> float:
        """Events accepted each second over the run."""
        return int(self.report["accepted"]) / (int(self.report["ended_ns"]) - int(self.report["started_ns"])) * 1e9

    @property
    def server_us(self) -> float:
        """Processor time of the server for each delivery, in us."""
        return sum(use.seconds for use in self.threads.values()) / max(1, sum(self.arrived.values())) * 1e6

    @property
    def growth(self) -> float:
        """By how much the backlog grew from the first third of the run to the last, in seconds' worth of deliveries."""
        third = max(1, len(self.owed) // 3)
        early, late = self.owed[1 : 1 + third], self.owed[-1 - third : -1]
        if not early or not late or not self.delivered_per_second:
            return float("inf")
        return (sum(late) / len(late) - sum(early) / len(early)) / self.delivered_per_second

    @property
    def fault(self) -> str:
        """Why this run is not a speed that can be held; empty when it is."""
        if self.report["refused"]:
            return f"refused {self.report['refused']}"
        if self.missing:
            return f"{self.missing} deliveries did not come"
        if self.report["behind"] > self.rate * GROWTH_SECONDS_MAX:
            return f"{self.report['behind']} requests could not be sent in time"
        if self.growth > GROWTH_SECONDS_MAX:
            return f"the backlog grew by {self.growth:.2f} s of work"
        if self.drain_seconds > DRAIN_SECONDS_MAX:
            return f"the end took {self.drain_seconds:.1f} s to drain"
        return ""

    def details(self) -> dict[str, Any]:
        """What is worth keeping of it."""
        sent = max(1, self.report["accepted"])
        return {
            "rate": round(self.rate, 1),
            "seconds": self.seconds,
            "accepted_per_second": round(self.accepted_per_second, 1),
            "delivered_per_second": round(self.delivered_per_second, 1),
            "backlog_each_second": self.owed,
            "backlog_most": max(self.owed, default=0),
            "drain_seconds": round(self.drain_seconds, 2),
            "latency_ms": self.latency_ms,
            "answer_ms": self.report["answer_ms"],
            "other_programs_percent": round(self.others_percent),
            "server_cpu_us_per_event": {
                name: round(used.seconds / sent * 1e6, 1) for name, used in self.threads.items()
            },
            "fault": self.fault,
        }


def one_run(context: Context, server: Server, shape: Shape, seconds: float, rate: float = 0) -> Held:
    """Send for so long, wait until everything arrived, and see how it went. `rate` is in events a second."""
    sink = context.sink
    run = sink.new_run()
    before, others = thread_uses(server.pid), Others(context.postgres.pid)
    report = run_load(server.load(run, seconds, rate=rate, batch=shape.batch))
    expected = report["accepted"] * shape.deliveries_per_event
    drained = sink.wait_for(expected)
    after, others_percent = thread_uses(server.pid), others.percent(report["cpu_seconds"])
    stats = sink.stats()
    if stats["unverified"]:
        raise RuntimeError(f"{stats['unverified']} signatures were wrong")
    arrived: dict[int, int] = {}
    for path in stats["paths"].values():
        for second, count in path["seconds"].items():
            arrived[int(second)] = arrived.get(int(second), 0) + count
    return Held(
        rate=rate,
        seconds=seconds,
        report=report,
        arrived=arrived,
        drain_seconds=drained,
        owed=backlog(report["seconds"], arrived, shape.deliveries_per_event),
        latency_ms=stats["all_latency_ms"],
        threads=_since(before, after),
        others_percent=others_percent,
        missing=max(0, expected - sink.count()),
    )


def _since(before: Mapping[str, Use], after: Mapping[str, Use]) -> dict[str, Use]:
    """What each thread that did anything worth telling used between two moments."""
    used = {name: use.since(before.get(name)) for name, use in after.items()}
    return {name: use for name, use in used.items() if use.seconds > TOLD_SECONDS}


def highest_held(context: Context, server: Server, shape: Shape) -> Held:
    """The fastest run over the full time that holds; when none does, the last one, with its fault."""
    probe = QUICK_PROBE_SECONDS if context.quick else PROBE_SECONDS
    for seconds in (probe, context.seconds):
        flat_out = one_run(context, server, shape, seconds)
        context.say(_told("flat out", flat_out))
        if flat_out.fault:
            break
    else:
        return flat_out
    rate = _probed(context, server, shape, probe, whole_rate(flat_out) / shape.deliveries_per_event)
    for _ in range(2 if context.quick else HOLDS_MAX):
        held = one_run(context, server, shape, context.seconds, rate)
        context.say(_told("held", held))
        if not held.fault:
            break
        rate *= 0.95
    return held


def whole_rate(held: Held) -> float:
    """Deliveries a second over sending and draining together: what a server does that is never idle."""
    sending = (int(held.report["ended_ns"]) - int(held.report["started_ns"])) / 1e9
    return sum(held.arrived.values()) / (sending + held.drain_seconds)


def _probed(context: Context, server: Server, shape: Shape, seconds: float, rate: float) -> float:
    """The best rate that short runs could hold: steps from a guess until one holds and one does not, then halves."""
    best, worst = 0.0, float("inf")
    for _ in range(QUICK_PROBES_MAX if context.quick else PROBES_MAX):
        held = one_run(context, server, shape, seconds, rate)
        context.say(_told("probe", held))
        if not held.fault:
            best = rate
        else:
            worst = rate
        if best * CLOSE >= worst:
            break
        rate = rate * STEP if worst == float("inf") else rate / STEP if not best else (best + worst) / 2
    return best * CAUTION or rate


def _told(name: str, held: Held) -> str:
    """One line about a run, for whoever watches."""
    asked = f" of {held.rate:,.0f}/s asked" if held.rate else ""
    return (
        f"{name}: accepted {held.accepted_per_second:,.0f}/s{asked}, delivered {held.delivered_per_second:,.0f}/s, "
        f"backlog at most {max(held.owed, default=0):,}, {held.fault or 'held'} "
        f"(server {held.server_us:,.0f} us per delivery, "
        f"other programs {held.others_percent:,.0f} % of the processors)"
    )
