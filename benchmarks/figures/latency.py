"""Figures `latency-p50` and `latency-p99`: from the planned publish call to the arrival."""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.numbers import median
from benchmarks.processes import run_load
from benchmarks.server import running
from benchmarks.table import Row

RATE = 200
ROUNDS = 3


def latency(context: Context) -> list[Row]:
    """200 events a second, evenly, whether or not the last was answered; the median of three runs."""
    seconds = 4 if context.quick else max(5.0, context.seconds / ROUNDS)
    references, measured = [], []
    folder = context.new_folder()
    with running(folder) as server:
        server.register(context.sink, "/ok/latency")
        for _ in range(1 if context.quick else ROUNDS):
            references.append(context.latency_reference(RATE, seconds))
            report = run_load(server.load(context.sink.new_run(), seconds, rate=RATE))
            context.sink.wait_for(report["accepted"])
            measured.append(context.sink.stats()["all_latency_ms"])
            context.say(f"latency: {measured[-1]}, straight to the sink {references[-1]}")
    context.throw_away(folder)
    return [
        Row(
            f"latency-{mark}",
            median([each[mark] for each in measured]),
            median([each[mark] for each in references]),
            details={"measured_ms": measured, "reference_ms": references, "rate": RATE},
        )
        for mark in ("p50", "p99")
    ]
