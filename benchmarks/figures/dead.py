"""Figures `dead` and `dead-memory`: what one dead endpoint with a million waiting deliveries costs the others."""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.paired import paired_speeds, preload
from benchmarks.processes import memory_mb
from benchmarks.server import running
from benchmarks.table import Row

EVENTS = 1_000_000
QUICK_EVENTS = 30_000


def dead(context: Context) -> list[Row]:
    """Two servers with the same events; one has an endpoint for them that answers 500 to everything.

    Both get the same load on another endpoint, turn by turn. The memory is the difference between the two after it.
    """
    events = QUICK_EVENTS if context.quick else EVENTS
    clean_folder, dead_folder = context.new_folder(), context.new_folder()
    with running(clean_folder) as clean, running(dead_folder) as burdened:
        burdened.register(context.sink, "/error/dead", ["bench.dead"])
        for server in (clean, burdened):
            rested = preload(context, server, events, "bench.dead")
        clean.register(context.sink, "/ok/dead/without", ["bench.order"])
        burdened.register(context.sink, "/ok/dead/beside", ["bench.order"])
        pairs = paired_speeds(context, clean, burdened)
        tries = context.sink.stats()["paths"].get("/error/dead", {}).get("requests", 0)
        clean_mb, burdened_mb = memory_mb(clean.pid), memory_mb(burdened.pid)
    for folder in (clean_folder, dead_folder):
        context.throw_away(folder)
    note = f"beside it {pairs.second:,.0f}/s, without {pairs.first:,.0f}/s; the reference is without"
    memory_note = f"{burdened_mb:.0f} MB against {clean_mb:.0f} MB"
    details = {**pairs.details(), "waiting": events, "seconds_to_rest": rested, "tries_in_last_turn": tries}
    return [
        Row("dead", pairs.percent, 100.0, fair=not pairs.missing, note=note, details=details),
        Row("dead-memory", max(0.0, burdened_mb - clean_mb), clean_mb, note=memory_note),
    ]
