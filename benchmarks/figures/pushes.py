"""Figure `push`: calls that a link makes from events that waited, one connection without a rate."""

from __future__ import annotations

import time

from benchmarks.context import Context
from benchmarks.processes import run_load
from benchmarks.server import ServerFailed, running
from benchmarks.table import Row

EVENTS, QUICK_EVENTS = 30_000, 3_000
SECONDS_MAX = 300


def pushes(context: Context) -> list[Row]:
    """Events are published while the link is paused; then it is resumed, and the receiver counts its calls."""
    events = QUICK_EVENTS if context.quick else EVENTS
    folder, sink = context.new_folder(), context.sink
    with running(folder) as server:
        server.call("PUT", "/v1/connections/there", {"base": f"http://127.0.0.1:{sink.port}"})
        call = {"via": "there", "post": "/ok/push", "json": {"id": "{{ id }}", "data": "{{ data }}"}}
        server.call("PUT", "/v1/links/push", {"when": {"event": "bench.push"}, "call": call})
        server.call("POST", "/v1/links/push:pause")
        load = server.load(sink.new_run(), SECONDS_MAX, count=events, batch=500, event_type="bench.push")
        report = run_load(load)
        before = sink.stats()["requests"]
        begun = time.monotonic()
        server.call("POST", "/v1/links/push:resume")
        while (made := sink.stats()["requests"] - before) < report["accepted"]:
            if time.monotonic() - begun > SECONDS_MAX:
                raise ServerFailed(f"only {made:,} of {report['accepted']:,} calls were made")
            time.sleep(0.05)
        took = time.monotonic() - begun
    context.throw_away(folder)
    return [
        Row("push", report["accepted"] / took, note=f"{report['accepted']:,} calls in {took:.1f} s, one connection")
    ]
