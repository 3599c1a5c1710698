"""Figures `pull`, `pull-memory` and `timers`: a poll of 1,000,000 records that it knows, and 10,000 idle links."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.context import Context
from benchmarks.processes import end, memory_mb
from benchmarks.server import Server, ServerFailed, running
from benchmarks.source import PAGE_RECORDS
from benchmarks.table import Row

PAGES, QUICK_PAGES = 1_000, 20
RUN_SECONDS_MAX = 1_800
TIMERS, QUICK_TIMERS = 10_000, 500
IDLE_SECONDS, QUICK_IDLE_SECONDS = 20, 3


def pulls(context: Context) -> list[Row]:
    """The second run reads what the first one put into the mirror; memory is the most it held above idle."""
    pages = QUICK_PAGES if context.quick else PAGES
    folder = context.new_folder()
    with _source(pages) as port, running(folder) as server:
        time.sleep(1)
        idle = memory_mb(server.pid)
        server.call("PUT", "/v1/connections/source", {"base": f"http://127.0.0.1:{port}"})
        call = {"via": "source", "get": "/", "pages": {"next": "{{ body.next }}"}}
        emit = {"type": "contact", "each": "records", "key": "id", "cursor": {"clock": True, "from": "now"}}
        server.call("PUT", "/v1/links/pull", {"when": {"every": "366d"}, "call": call, "emit": emit})
        first = _ended(server, 1)
        server.call("POST", "/v1/links/pull:run")
        again = _ended(server, 2)
        most = memory_mb(server.pid, "VmHWM") - idle
    context.throw_away(folder)
    records = pages * PAGE_RECORDS
    note = f"{records:,} records in {again:.0f} s; the first time, written too, {records / first:,.0f}/s"
    return [Row("pull", records / again, note=note), Row("pull-memory", most)]


def timers(context: Context) -> list[Row]:
    """Processor time of a server with links that are due at three at night, while nothing is due."""
    folder, count = context.new_folder(), QUICK_TIMERS if context.quick else TIMERS
    seconds = QUICK_IDLE_SECONDS if context.quick else IDLE_SECONDS
    with running(folder) as server:
        server.call("PUT", "/v1/collections/nights", {"fields": {"due": "string"}})
        item = {"collection": "nights", "put": "one", "data": {"due": "{{ data.due }}"}}
        links = {f"t{number}": {"when": {"cron": "0 3 29 2 *"}, "item": item} for number in range(count)}
        server.call("POST", "/v1/links:apply", {"links": links})
        time.sleep(2)
        before = _processor_seconds(server.pid)
        time.sleep(seconds)
        used = (_processor_seconds(server.pid) - before) / seconds * 100
    context.throw_away(folder)
    return [Row("timers", used, note=f"{count:,} links, for {seconds} s")]


@contextmanager
def _source(pages: int) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.source", str(pages)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        end(process)


def _ended(server: Server, count: int) -> float:
    """The seconds that the last run took, once as many have ended."""
    deadline = time.monotonic() + RUN_SECONDS_MAX
    while time.monotonic() < deadline:
        found = server.call("GET", "/v1/deliveries?link=pull")["data"]
        if len(found) == count and found[0]["state"] != "waiting":
            attempt: dict[str, Any] = server.call("GET", f"/v1/deliveries/{found[0]['id']}")["attempts"][-1]
            if attempt["outcome"] != "ok":
                raise ServerFailed(f"the poll failed: {attempt['reason']}")
            return float(attempt["duration_ms"]) / 1000
        time.sleep(0.2)
    raise ServerFailed("the poll did not end in time")


def _processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
