"""Compares the speed of two servers fairly: turn by turn in the same minutes, because machines change under us."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.context import Context
from benchmarks.hold import Shape, one_run, whole_rate
from benchmarks.numbers import median
from benchmarks.processes import run_load, thread_uses
from benchmarks.server import Server, ServerFailed

TURN_SECONDS = 10
ROUNDS = 4
LOAD_BATCH = 500
PRELOAD_SECONDS_MAX = 900
REST_SECONDS_MAX = 300
REST_SHARE = 0.1  # of one processor


@dataclass
class Pairs:
    """Deliveries a second of both servers, turn by turn."""

    firsts: list[float]
    seconds: list[float]
    missing: int = 0

    @property
    def first(self) -> float:
        """Median speed of the first server."""
        return median(self.firsts)

    @property
    def second(self) -> float:
        """Median speed of the second server."""
        return median(self.seconds)

    @property
    def percent(self) -> float:
        """The median, over the rounds, of the second's speed in percent of the first's."""
        return median([100 * b / a for a, b in zip(self.firsts, self.seconds, strict=True)])

    def details(self) -> dict[str, Any]:
        """Every turn."""
        return {"first_per_second": self.firsts, "second_per_second": self.seconds, "missing": self.missing}


def preload(context: Context, server: Server, events: int, event_type: str) -> float:
    """Publish this many events in batches, and wait until the server rests; the seconds that it worked on after them.

    Raises ServerFailed when some are refused, or when it does not come to rest.
    """
    load = server.load(
        context.sink.new_run(),
        PRELOAD_SECONDS_MAX,
        count=events,
        batch=LOAD_BATCH,
        connections=8,
        event_type=event_type,
    )
    report = run_load(load)
    seconds = (report["ended_ns"] - report["started_ns"]) / 1e9
    if report["accepted"] < events:
        raise ServerFailed(f"of {events:,} events only {report['accepted']:,} were accepted: {report['refused']}")
    rested = _rest(server)
    context.say(f"stored {report['accepted']:,} events in {seconds:,.0f} s, at rest after another {rested:,.0f} s")
    return rested


def _rest(server: Server) -> float:
    """Wait until the server uses almost no processor time; the seconds that took."""
    begun, before = time.monotonic(), _used(server)
    while time.monotonic() - begun < REST_SECONDS_MAX:
        time.sleep(1)
        now = _used(server)
        if now - before < REST_SHARE:
            return time.monotonic() - begun - 1
        before = now
    raise ServerFailed(f"it was still at work {REST_SECONDS_MAX} s after the last event")


def _used(server: Server) -> float:
    return sum(use.seconds for use in thread_uses(server.pid).values())


def paired_speeds(context: Context, first: Server, second: Server) -> Pairs:
    """Both servers flat out in turn, the order changing each round; the first turn of each is not counted."""
    seconds = 3 if context.quick else TURN_SECONDS
    pairs = Pairs([], [])
    for number in range(2 if context.quick else ROUNDS + 1):
        order = (first, second) if number % 2 else (second, first)
        held = {id(server): one_run(context, server, Shape(), seconds) for server in order}
        one, other = held[id(first)], held[id(second)]
        pairs.missing += one.missing + other.missing
        missing = f", {one.missing:,} and {other.missing:,} missing" if one.missing or other.missing else ""
        context.say(f"turn {number}: {whole_rate(one):,.0f}/s and {whole_rate(other):,.0f}/s{missing}")
        if number:
            pairs.firsts.append(whole_rate(one))
            pairs.seconds.append(whole_rate(other))
    return pairs
