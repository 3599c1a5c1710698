"""What several workers on this machine take, and cost: `python -m benchmarks.workers [--seconds 5] [--rounds 3]`.

One server on PostgreSQL with one endpoint, 64 connections to the port that its workers share. `batches`: 100 events in
a request, so that sending is the limit, not taking in. `waiting`: events wait for an endpoint that is paused; how fast
they leave once it is resumed. Everything shares the processors of this machine: database, generator and receiver, too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import randbytes

from benchmarks.context import work_folder
from benchmarks.machine_use import Spent, spent
from benchmarks.postgres import Postgres
from benchmarks.processes import SinkProcess, end, family, memory_mb, run_load
from benchmarks.server import Server
from tests.nodes.workers import free_ports


@dataclass(frozen=True)
class Kind:
    """One way to run it."""

    workers: int
    join: bool = False
    batch: int = 1
    waiting: int = 0
    """How many events wait before anything is measured."""


KINDS = {
    "alone": Kind(1),
    "one that has joined": Kind(1, join=True),
    "2 workers": Kind(2),
    "3 workers": Kind(3),
    "alone, batches": Kind(1, batch=100),
    "2 workers, batches": Kind(2, batch=100),
    "alone, waiting": Kind(1, waiting=20_000),
    "2 workers, waiting": Kind(2, waiting=20_000),
}
READY_SECONDS = 60.0


def main() -> int:
    """Measure each kind in turn, and print a line for each round."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), help=", ".join(KINDS))
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder = work_folder()
    folder.mkdir(parents=True, exist_ok=True)
    postgres, sink = Postgres(folder / "postgres"), SinkProcess()
    try:
        for turn in range(arguments.rounds):
            for name in arguments.kinds:
                kind = KINDS[name]
                with _running(folder / f"{turn}-{name}", postgres.database(), kind) as server:
                    measure = _waiting if kind.waiting else _taking
                    print(f"{name:20}", measure(server, postgres, sink, kind, arguments.seconds), flush=True)
    finally:
        end(sink.process)
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _taking(server: Server, postgres: Postgres, sink: SinkProcess, kind: Kind, seconds: float) -> str:
    server.register(sink, "/ok/workers")
    for length in (1.0, seconds):
        run = sink.new_run()
        before, began = spent([server.pid], [postgres.pid]), time.monotonic()
        report = run_load(server.load(run, length, batch=kind.batch))
        at_end, accepted = sink.count(), report["accepted"]
        sink.wait_for(accepted)
        took = time.monotonic() - began
    used = spent([server.pid], [postgres.pid]).since(before)
    return (
        f"accepted {accepted / seconds:6,.0f}/s, delivered meanwhile {at_end / seconds:6,.0f}/s, "
        f"all of them in {took:4.1f} s; {_costs(server, used, accepted)}; "
        f"refused {sum(report['refused'].values())}, arrived {sink.count()} of {accepted}"
    )


def _waiting(server: Server, postgres: Postgres, sink: SinkProcess, kind: Kind, seconds: float) -> str:
    endpoint = server.register(sink, "/ok/workers")
    server.call("POST", f"/v1/endpoints/{endpoint}:pause")
    report = run_load(server.load(sink.new_run(), 60.0, batch=100, count=kind.waiting))
    before, began = spent([server.pid], [postgres.pid]), time.monotonic()
    server.call("POST", f"/v1/endpoints/{endpoint}:resume", {"missed": "send"})
    sink.wait_for(report["accepted"])
    took = time.monotonic() - began
    used = spent([server.pid], [postgres.pid]).since(before)
    return f"delivered {report['accepted'] / took:6,.0f}/s of {sink.count()}; {_costs(server, used, sink.count())}"


def _costs(server: Server, used: Spent, events: int) -> str:
    """Processor time per event, and memory of the processes that serve."""
    memory = sorted(memory_mb(pid) for pid in family(server.pid)[1:] or [server.pid])
    return (
        f"us per event: Tidings {used.nodes / events * 1e6:4.0f}, PostgreSQL {used.database / events * 1e6:4.0f}; "
        f"MB {', '.join(f'{each:.0f}' for each in memory)}"
    )


@contextmanager
def _running(folder: Path, database: str, kind: Kind) -> Iterator[Server]:
    environment = {
        "TIDINGS_WORKERS": str(kind.workers),
        "TIDINGS_JOIN": str(kind.join).lower(),
        "TIDINGS_SECRET_KEY": b64encode(randbytes(32)).decode(),
    }
    server = Server(folder, database, free_ports(1 + kind.workers), environment)
    try:
        server.start()
        until = time.monotonic() + READY_SECONDS
        while kind.workers > 1 and len(server.call("GET", "/v1/server")["nodes"]) < kind.workers:
            if time.monotonic() > until:
                raise TimeoutError(server.last_words())
            time.sleep(0.1)
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
