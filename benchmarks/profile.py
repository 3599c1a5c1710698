"""Shows where a server's processor time goes: `python -m benchmarks.profile [--seconds 15] [--spy FILE]`.

It starts a server and a sink, keeps a load on it, and prints what each thread used, by Linux's own count
(`/proc/PID/task/*/stat`), in us per delivery and in percent of one core. With `--spy FILE` and py-spy installed
(it is no dependency: `.venv/bin/uv pip install py-spy`), it also records stacks of every thread, with native
frames: `FILE.svg` is a flame graph, `FILE.txt` the raw stacks, of which the functions that cost most are printed.
"""

from __future__ import annotations

import argparse
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

SPY_RATE = 200
TOP = 25
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
    """Warm up, then the measured run, with py-spy beside it when asked for."""
    shape = Shape(arguments.batch, arguments.endpoints)
    one_run(context, server, shape, WARM_SECONDS, arguments.rate)
    spies: list[threading.Thread] = []
    if arguments.spy:
        for kind, suffix in (("flamegraph", "svg"), ("raw", "txt")):
            file = f"{arguments.spy}.{suffix}"
            spies.append(threading.Thread(target=_spy, args=(server.pid, kind, file, arguments.seconds - 1)))
    for spy in spies:
        spy.start()
    held = one_run(context, server, shape, arguments.seconds, arguments.rate)
    for spy in spies:
        spy.join()
    _print_threads(held)
    if arguments.spy:
        _print_functions(Path(f"{arguments.spy}.txt"))


def _print_threads(held: Held) -> None:
    """Each thread's share."""
    deliveries = max(1, sum(held.arrived.values()))
    wall = held.seconds + held.drain_seconds
    print(f"accepted {held.accepted_per_second:,.0f}/s, delivered {held.delivered_per_second:,.0f}/s")
    print(f"latency ms {held.latency_ms}\nanswers ms {held.report['answer_ms']}, {held.fault or 'held'}")
    print(f"other programs took {held.others_percent:.0f} % of the processors\n")
    print(f"{'thread':40} {'us/delivery':>12} {'% of a core':>12}")
    for name, used in sorted(held.threads.items(), key=lambda item: -item[1]):
        print(f"{name:40} {used / deliveries * 1e6:12.1f} {used / wall * 100:12.1f}")
    total = sum(held.threads.values())
    print(f"{'all':40} {total / deliveries * 1e6:12.1f} {total / wall * 100:12.1f}")


def _spy(pid: int, kind: str, file: str, seconds: float) -> None:
    """Record stacks of all threads; only those that hold or want the processor count."""
    beside = Path(sys.executable).with_name("py-spy")
    command = [str(beside) if beside.exists() else "py-spy", "record", "--pid", str(pid), "--threads", "--native"]
    command += ["--rate", str(SPY_RATE), "--duration", str(max(1, int(seconds))), "--format", kind, "--output", file]
    subprocess.run(command, check=True, capture_output=True)


def _print_functions(file: Path) -> None:
    """The frames in which most samples ended (self) and through which most went (all), per thread."""
    ended: Counter[tuple[str, str]] = Counter()
    through: Counter[tuple[str, str]] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if frames:
            ended[thread, frames[-1]] += int(count)
            through.update({(thread, frame): int(count) for frame in set(frames)})
    for title, counts in (("ended in", ended), ("went through", through)):
        total = sum(ended.values()) or 1
        print(f"\nsamples that {title}")
        for (thread, frame), samples in counts.most_common(TOP):
            print(f"  {100 * samples / total:5.1f} %  {thread[:28]:28} {frame[:100]}")


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long (15)")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second; 0 for as fast as answers come")
    parser.add_argument("--batch", type=int, default=1, help="events in one request (1)")
    parser.add_argument("--endpoints", type=int, default=1, help="endpoints that get each event (1)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    parser.add_argument("--spy", default="", help="also record with py-spy, to FILE.svg and FILE.txt")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
