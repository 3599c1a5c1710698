"""Compares the speed of two servers fairly: turn by turn in the same minutes, because machines change under us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.context import Context
from benchmarks.hold import Shape, one_run, whole_rate
from benchmarks.numbers import median
from benchmarks.processes import run_load
from benchmarks.server import Server, ServerFailed

TURN_SECONDS = 10
ROUNDS = 4
LOAD_BATCH = 500
PRELOAD_SECONDS_MAX = 900


@dataclass
class Pairs:
    """Deliveries a second of both servers, turn by turn."""

    firsts: list[float]
    seconds: list[float]

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
        return {"first_per_second": self.firsts, "second_per_second": self.seconds}


def preload(context: Context, server: Server, events: int, event_type: str) -> None:
    """Publish so many events in batches, without measuring. Raises ServerFailed when some are refused."""
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
    context.say(f"stored {report['accepted']:,} events in {seconds:,.0f} s")
    if report["accepted"] < events:
        raise ServerFailed(f"of {events:,} events only {report['accepted']:,} were accepted: {report['refused']}")


def paired_speeds(context: Context, first: Server, second: Server) -> Pairs:
    """Both servers flat out in turn, the order changing each round; the first turn of each is not counted."""
    seconds = 3 if context.quick else TURN_SECONDS
    pairs = Pairs([], [])
    for number in range(2 if context.quick else ROUNDS + 1):
        order = (first, second) if number % 2 else (second, first)
        speeds = {id(server): whole_rate(one_run(context, server, Shape(), seconds)) for server in order}
        context.say(f"turn {number}: {speeds[id(first)]:,.0f}/s and {speeds[id(second)]:,.0f}/s")
        if number:
            pairs.firsts.append(speeds[id(first)])
            pairs.seconds.append(speeds[id(second)])
    return pairs
