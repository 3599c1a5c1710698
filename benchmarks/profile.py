"""Shows where a server's processor time goes: `python -m benchmarks.profile [--seconds 15] [--spy FILE]`.

It starts a server and a sink, keeps a load on it, and prints what each thread used, by Linux's own count
(`/proc/PID/task/*/stat`), in us per delivery and in percent of one core. With `--spy FILE` and py-spy installed
(it is not a dependency: `.venv/bin/uv pip install py-spy`), a second run of the same load is sampled: FILE gets the
raw stacks (flame graph tools and speedscope read them), and the functions that cost most are printed per thread.
`--gil` counts only threads that hold the interpreter: where it is held most, threads wait for it most.
`--native` adds C and Rust frames; it stops the server for each sample, so look at shares then, not at speeds.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.context import Context, work_folder
from benchmarks.hold import Held, Shape, one_run
from benchmarks.postgres import Postgres
from benchmarks.processes import SinkProcess, end
from benchmarks.server import Server, running

SPY_RATE = 250
TOP = 30
WARM_SECONDS = 3


def main() -> int:
    """Run the load and print the tables."""
    arguments = _arguments()
    folder, sink = work_folder(), SinkProcess()
    postgres = Postgres(folder / "postgres")
    context = Context(arguments.seconds, False, sink, folder, postgres, print)
    database = postgres.database() if arguments.postgres else ""
    try:
        with running(context.new_folder(), database) as server:
            for number in range(arguments.endpoints):
                server.register(sink, f"/ok/profile/{number}")
            _profiled(context, server, arguments)
    finally:
        end(sink.process)
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _profiled(context: Context, server: Server, arguments: argparse.Namespace) -> None:
    """Warm up, then the measured run, then another with py-spy next to it when asked for."""
    shape = Shape(arguments.batch, arguments.endpoints)
    one_run(context, server, shape, WARM_SECONDS, arguments.rate)
    held = one_run(context, server, shape, arguments.seconds, arguments.rate)
    stacks = ""
    if arguments.spy:
        spy = threading.Thread(target=_spy, args=(server.pid, arguments))
        spy.start()
        one_run(context, server, shape, arguments.seconds, arguments.rate)
        spy.join()
        stacks = Path(arguments.spy).read_text()
    _print_threads(held, dict(re.findall(r"thread \((\d+)\): ([^;]+);", stacks)))
    if stacks:
        _print_functions(stacks)


def _print_threads(held: Held, names: dict[str, str]) -> None:
    """Each thread's share; Python's names of threads are known to py-spy only."""
    deliveries = max(1, sum(held.arrived.values()))
    wall = held.seconds + held.drain_seconds
    print(f"accepted {held.accepted_per_second:,.0f}/s, delivered {held.delivered_per_second:,.0f}/s")
    print(f"latency ms {held.latency_ms}\nanswers ms {held.report['answer_ms']}, {held.fault or 'held'}")
    print(f"other programs took {held.others_percent:.0f} % of the processors\n")
    print(f"{'thread':36} {'us/delivery':>12} {'user':>7} {'system':>7} {'% of a core':>12} {'switches/delivery':>18}")
    for name, use in sorted(held.threads.items(), key=lambda item: -item[1].seconds):
        name += " " + names.get(name.split()[0].partition("/")[2], "")
        user, system = use.user / deliveries * 1e6, use.system / deliveries * 1e6
        share, switches = use.seconds / wall * 100, use.switches / deliveries
        print(f"{name:36} {user + system:12.1f} {user:7.1f} {system:7.1f} {share:12.1f} {switches:18.2f}")
    print(f"{'all':36} {held.server_us:12.1f}\n")


def _spy(pid: int, arguments: argparse.Namespace) -> None:
    """Record the stacks of all threads that are at work."""
    beside = Path(sys.executable).with_name("py-spy")
    command = [str(beside) if beside.exists() else "py-spy", "record", "--pid", str(pid), "--threads", "--function"]
    command += ["--rate", str(SPY_RATE), "--duration", str(max(1, int(arguments.seconds) - 1))]
    command += ["--format", "raw", "--output", arguments.spy, "--native" if arguments.native else "--nonblocking"]
    subprocess.run(command + ["--gil"] * arguments.gil, check=True, capture_output=True)


def _print_functions(stacks: str) -> None:
    """The functions in which most samples ended, and those through which most went, per thread."""
    ended: Counter[tuple[str, str]] = Counter()
    through: Counter[tuple[str, str]] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if frames:
            ended[thread, frames[-1]] += int(count)
            through.update({(thread, frame): int(count) for frame in set(frames)})
    total = sum(ended.values()) or 1
    for title, counts in (("ended in", ended), ("went through", through)):
        print(f"\nof {total} samples that many {title}")
        for (thread, frame), samples in counts.most_common(TOP):
            print(f"  {100 * samples / total:5.1f} %  {thread.partition(': ')[2] or thread:16} {frame[:100]}")


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long (15)")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second; 0 for as fast as answers come")
    parser.add_argument("--batch", type=int, default=1, help="events in one request (1)")
    parser.add_argument("--endpoints", type=int, default=1, help="endpoints that get each event (1)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--spy", default="", help="also sample with py-spy, stacks to this file")
    parser.add_argument("--gil", action="store_true", help="only threads that hold the interpreter")
    parser.add_argument("--native", action="store_true", help="with C and Rust frames")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
