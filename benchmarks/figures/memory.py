"""Figures `memory-idle` and `memory-load`: resident memory of the server and everything it started."""

from __future__ import annotations

import time

from benchmarks.context import Context
from benchmarks.hold import Shape, one_run
from benchmarks.processes import memory_mb
from benchmarks.server import running
from benchmarks.table import Row

IDLE_SECONDS = 3
LOAD_SECONDS = 20


def memory(context: Context) -> list[Row]:
    """Idle: three seconds after the start. First load: the most it ever held in 20 s of 64 connections flat out."""
    folder = context.new_folder()
    with running(folder) as server:
        time.sleep(IDLE_SECONDS)
        idle = memory_mb(server.pid)
        server.register(context.sink, "/ok/memory")
        held = one_run(context, server, Shape(), 4 if context.quick else LOAD_SECONDS)
        most, after = memory_mb(server.pid, "VmHWM"), memory_mb(server.pid)
    context.throw_away(folder)
    details = {"after_mb": after, "accepted": held.report["accepted"]}
    return [
        Row("memory-idle", idle),
        Row("memory-load", most, note=f"{after:.0f} MB after it", details=details),
    ]
