"""Figure `stored`: is a server with a million events as fast as an empty one?"""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.paired import paired_speeds, preload
from benchmarks.server import running
from benchmarks.table import Row

EVENTS = 1_000_000
QUICK_EVENTS = 30_000


def stored(context: Context) -> list[Row]:
    """Two servers side by side, one with a million events published before it had an endpoint; turn by turn."""
    events = QUICK_EVENTS if context.quick else EVENTS
    empty_folder, full_folder = context.new_folder(), context.new_folder()
    with running(full_folder) as full, running(empty_folder) as empty:
        rested = preload(context, full, events, "bench.old")
        empty.register(context.sink, "/ok/stored/empty")
        full.register(context.sink, "/ok/stored/full")
        pairs = paired_speeds(context, empty, full)
    for folder in (empty_folder, full_folder):
        context.throw_away(folder)
    return [
        Row(
            "stored",
            pairs.percent,
            100.0,
            fair=not pairs.missing,
            note=f"{events:,} stored: {pairs.second:,.0f}/s, empty: {pairs.first:,.0f}/s; the reference is empty",
            details={**pairs.details(), "seconds_to_rest": rested},
        )
    ]
