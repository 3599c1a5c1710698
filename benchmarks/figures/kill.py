"""Figures `kill-*`: kill -9 at random moments under load. Nothing acknowledged may be lost, little may come twice."""

from __future__ import annotations

import random
import time
from array import array
from pathlib import Path

from benchmarks.context import Context
from benchmarks.processes import Running, running_load
from benchmarks.server import Server, ServerFailed
from benchmarks.table import Row

KILLS = {"": 100, "-postgres": 20}
QUICK_KILLS = 4
RATE = 1500
ALIVE_SECONDS = (0.15, 1.2)
RUN_SECONDS_MAX = 3600
PATH = "/ok/kill"
UNSETTLED_SECONDS = 0.25
BACK_SECONDS_MAX = 30


def sqlite(context: Context) -> list[Row]:
    """100 kills on SQLite."""
    return _killed(context, "")


def postgres(context: Context) -> list[Row]:
    """20 kills on PostgreSQL; the database itself lives on."""
    return _killed(context, "-postgres")


def _killed(context: Context, engine: str) -> list[Row]:
    """Publish without pause while the server is killed and started; then compare what was promised with what came."""
    folder = context.new_folder()
    server = Server(folder, context.postgres.database() if engine else "")
    acknowledged_file = folder.parent / "acknowledged"
    kills = QUICK_KILLS if context.quick else KILLS[engine]
    try:
        server.start()
        server.register(context.sink, PATH)
        load = server.load(
            context.sink.new_run(),
            RUN_SECONDS_MAX,
            rate=RATE,
            reconnect=True,
            acknowledged_file=str(acknowledged_file),
        )
        with running_load(load) as running:
            killed_ns = _kill_often(context, server, running, kills)
            running.process.terminate()
            report = running.result()
        context.sink.wait_for(report["sent"], quiet_seconds=10 if context.quick else 30)
        rows = _compared(context, engine, acknowledged_file, killed_ns, report["accepted"])
    finally:
        server.stop()
    context.throw_away(folder)
    return rows


def _kill_often(context: Context, server: Server, running: Running, kills: int) -> list[int]:
    """Kill and start the server so often; the moments of the kills, in ns."""
    killed_ns = []
    for number in range(1, kills + 1):
        if not context.sink.wait_for_more(BACK_SECONDS_MAX) or running.process.poll() is not None:
            raise ServerFailed(f"after kill {number - 1} nothing arrived for {BACK_SECONDS_MAX} s")
        time.sleep(random.uniform(*ALIVE_SECONDS))
        killed_ns.append(server.kill())
        server.start()
        if number % 10 == 0:
            context.say(f"kill: {number} of {kills}, {context.sink.count():,} events arrived so far")
    time.sleep(1)
    return killed_ns


def _compared(context: Context, engine: str, file: Path, killed_ns: list[int], accepted: int) -> list[Row]:
    """The two rows: acknowledged but never seen, and seen twice without having been in flight at a kill."""
    acknowledged, times, first = file.read_bytes(), context.sink.times(PATH), context.sink.first(PATH)
    seen = times.ljust(len(acknowledged), b"\0")
    lost = sum(1 for number, mark in enumerate(acknowledged) if mark and not seen[number])
    twice = [number for number, count in enumerate(times) if count > 1]
    ages = sorted(_age_ms(first, number, killed_ns) for number in twice)
    unexplained = sum(1 for age in ages if age > UNSETTLED_SECONDS * 1000)
    kills = len(killed_ns)
    details = {
        "kills": kills,
        "acknowledged": accepted,
        "arrived": sum(1 for count in times if count),
        "twice": len(twice),
        "most_times": max(times, default=0),
        "twice_per_kill": len(twice) / kills,
        "oldest_twice_ms": ages[-1] if ages else 0,
        "wrong_signatures": context.sink.stats()["unverified"],
    }
    oldest = f"; the oldest of them first came {ages[-1]:.0f} ms before a kill" if ages else ""
    return [
        Row(f"kill{engine}-lost", lost, note=f"{kills} kills, {accepted:,} acknowledged", details=details),
        Row(f"kill{engine}-twice", unexplained, note=f"{len(twice)} came twice in {kills} kills{oldest}"),
    ]


def _age_ms(first: array[int], number: int, killed_ns: list[int]) -> float:
    """How long before the next kill an event first came; without a kill after it, infinitely long."""
    after = [at - first[number] for at in killed_ns if at >= first[number]]
    return min(after) / 1e6 if after else float("inf")
