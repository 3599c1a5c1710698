"""Figure `neighbour`: what one endpoint that never answers costs twenty that do."""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.numbers import median
from benchmarks.processes import run_load
from benchmarks.server import Server, running
from benchmarks.table import Row

HEALTHY = 20
RATE = 50
ROUNDS = 12
TURN_SECONDS = 5
WARM_SECONDS = 20


def neighbour(context: Context) -> list[Row]:
    """Two servers with twenty endpoints, one of them with one more that never answers; turn by turn, p99 of the twenty.

    The turns begin after the silent one has had time to hold on to everything that it can get.
    """
    seconds = 3 if context.quick else TURN_SECONDS
    alone_folder, beside_folder = context.new_folder(), context.new_folder()
    alone_ms, beside_ms = [], []
    with running(alone_folder) as alone, running(beside_folder) as beside:
        for number in range(HEALTHY):
            alone.register(context.sink, f"/ok/neighbour/alone/{number}")
            beside.register(context.sink, f"/ok/neighbour/beside/{number}")
        beside.register(context.sink, "/never/neighbour")
        for server in (alone, beside):
            _p99(context, server, 2 if context.quick else WARM_SECONDS)
        for _ in range(1 if context.quick else ROUNDS):
            alone_ms.append(_p99(context, alone, seconds))
            beside_ms.append(_p99(context, beside, seconds))
            context.say(f"neighbour: p99 without {alone_ms[-1]:.2f} ms, with {beside_ms[-1]:.2f} ms")
    for folder in (alone_folder, beside_folder):
        context.throw_away(folder)
    percents = [100 * with_it / without for with_it, without in zip(beside_ms, alone_ms, strict=True)]
    note = f"{median(beside_ms):.2f} ms with it, {median(alone_ms):.2f} ms without; the reference is without"
    details = {"with_ms": beside_ms, "without_ms": alone_ms, "events_per_second": RATE}
    return [Row("neighbour", median(percents), 100.0, note=note, details=details)]


def _p99(context: Context, server: Server, seconds: float) -> float:
    """p99 over the deliveries of the healthy endpoints, in ms."""
    report = run_load(server.load(context.sink.new_run(), seconds, rate=RATE))
    context.sink.wait_for(report["accepted"] * HEALTHY)
    paths = context.sink.stats()["paths"]
    healthy = [tally["latency_ms"] for path, tally in paths.items() if path.startswith("/ok/neighbour/")]

    return median([latency["p99"] for latency in healthy if latency])
