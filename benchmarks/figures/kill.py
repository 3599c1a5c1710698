"""Figures `kill-*`: kill -9 at random moments under load. Nothing acknowledged may be lost, little may come twice."""

from __future__ import annotations

import bisect
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
LAST_WORDS_SECONDS = 0.05
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
        context.sink.wait_for(report["sent"], quiet_seconds=4 if context.quick else 30)
        rows = _compared(context, engine, acknowledged_file, killed_ns, report["accepted"])
    finally:
        server.stop()
    context.throw_away(folder)
    return rows


def _kill_often(context: Context, server: Server, running: Running, kills: int) -> list[int]:
    """Kill and start the server so often; the moments when each was surely dead, in ns."""
    killed_ns = []
    for number in range(1, kills + 1):
        if not context.sink.wait_for_more(BACK_SECONDS_MAX) or running.process.poll() is not None:
            raise ServerFailed(f"after kill {number - 1} nothing arrived for {BACK_SECONDS_MAX} s")
        time.sleep(random.uniform(*ALIVE_SECONDS))
        server.kill()
        time.sleep(LAST_WORDS_SECONDS)  # the sink still reads what the server had sent
        killed_ns.append(time.monotonic_ns())
        server.start()
        if number % 10 == 0:
            context.say(f"kill: {number} of {kills}, {context.sink.count():,} events arrived so far")
    time.sleep(1)
    return killed_ns


def _compared(context: Context, engine: str, file: Path, killed_ns: list[int], accepted: int) -> list[Row]:
    """The two rows: acknowledged but never seen, and seen twice without having been in flight at a kill."""
    acknowledged = array("q", file.read_bytes())
    times, first = context.sink.times(PATH), context.sink.first(PATH)
    seen = times.ljust(len(acknowledged), b"\0")
    lost = sum(1 for number, at in enumerate(acknowledged) if at and not seen[number])
    ages = _ages_ms([first[number] for number, count in enumerate(times) if count > 1], killed_ns, acknowledged)
    of_all = sorted(age for each in ages for age in each)
    unexplained = sum(1 for age in of_all if age > UNSETTLED_SECONDS * 1000)
    kills, twice = len(killed_ns), len(of_all)
    details = {
        "kills": kills,
        "acknowledged": accepted,
        "arrived": sum(1 for count in times if count),
        "most_times": max(times, default=0),
        "twice_at_each_kill_ms_before": [[round(min(age, 1e9)) for age in sorted(each)] for each in ages],
        "wrong_signatures": context.sink.stats()["unverified"],
    }
    oldest = f", {max(map(len, ages))} at most at one kill, the oldest {of_all[-1]:.0f} ms before it" if of_all else ""
    return [
        Row(f"kill{engine}-lost", lost, note=f"{kills} kills, {accepted:,} acknowledged", details=details),
        Row(f"kill{engine}-twice", unexplained, note=f"{twice} came twice in {kills} kills{oldest}"),
    ]


def _ages_ms(firsts: list[int], killed_ns: list[int], acknowledged: array[int]) -> list[list[float]]:
    """For each kill, how long before it the events first came that were sent again after it.

    The time counts to the last acknowledgement before the kill: until then the store is known to have written.
    A last list, with infinite times, is for what came twice without any kill after its first arrival.
    """
    answered = sorted(at for at in acknowledged if at)
    ages: list[list[float]] = [[] for _ in [*killed_ns, None]]
    for first in firsts:
        kill = bisect.bisect_left(killed_ns, first)
        if kill == len(killed_ns):
            ages[kill].append(float("inf"))
            continue
        before = bisect.bisect_right(answered, killed_ns[kill])
        last = answered[before - 1] if before else killed_ns[kill]
        ages[kill].append(max(0, last - first) / 1e6)
    return ages
