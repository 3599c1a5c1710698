"""Figure `start`: from the command to the first answer that it is ready."""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.numbers import median
from benchmarks.server import Server
from benchmarks.table import Row

STARTS = 5


def start(context: Context) -> list[Row]:
    """The median of five starts on an empty folder; starts on a folder in use are in the details."""
    fresh, again, stops = [], [], []
    for _ in range(2 if context.quick else STARTS):
        server = Server(context.new_folder())
        try:
            fresh.append(server.start())
            stops.append(server.stop())
            again.append(server.start())
        finally:
            server.stop()
        context.throw_away(server.folder)
    note = f"on a folder in use {median(again):.2f} s; stop {median(stops):.2f} s"
    return [Row("start", median(fresh), note=note, details={"fresh": fresh, "again": again, "stop": stops})]
