"""What several workers on this machine take, and cost: `python -m benchmarks.workers [--seconds 5] [--rounds 3]`.

One server on PostgreSQL with 1, 2 and 3 workers, 64 connections, one endpoint. `not at the sender` sends all calls to a
worker that takes in, as a load balancer could that spares the one that sends. Everything shares the processors of this
machine: database, generator and receiver, too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import randbytes

from benchmarks.context import work_folder
from benchmarks.machine_use import spent
from benchmarks.postgres import Postgres
from benchmarks.processes import SinkProcess, end, family, memory_mb, run_load
from benchmarks.server import Server
from tests.nodes.workers import free_ports

KINDS = {"alone": 1, "joined, alone": 1, "2 workers": 2, "3 workers": 3, "not at the sender": 2}
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
            for kind in arguments.kinds:
                said = measured(folder / f"{turn}-{kind}", postgres, sink, kind, arguments.seconds)
                print(f"{kind:18}", said, flush=True)
    finally:
        end(sink.process)
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def measured(folder: Path, postgres: Postgres, sink: SinkProcess, kind: str, seconds: float) -> str:
    """One round, as a line."""
    with _running(folder, postgres.database(), kind) as server:
        server.register(sink, "/ok/workers")
        port = server.port
        if kind == "not at the sender":
            there = server.call("GET", "/v1/server")["nodes"]
            port = int(next(each["address"] for each in there if each["role"] == "takes in").rpartition(":")[2])
        for length in (1.0, seconds):
            run = sink.new_run()
            before, began = spent([server.pid], [postgres.pid]), time.monotonic()
            report = run_load(replace(server.load(run, length), port=port))
            at_end, accepted = sink.count(), report["accepted"]
            sink.wait_for(accepted)
            took = time.monotonic() - began
        used = spent([server.pid], [postgres.pid]).since(before)
        memory = sorted(memory_mb(pid) for pid in family(server.pid)[1:] or [server.pid])
        refused = sum(report["refused"].values())
        return (
            f"accepted {accepted / seconds:6,.0f}/s, delivered meanwhile {at_end / seconds:6,.0f}/s, "
            f"both until all arrived {accepted / took:6,.0f}/s; "
            f"us per event: server {used.nodes / accepted * 1e6:4.0f}, "
            f"PostgreSQL {used.database / accepted * 1e6:4.0f}; MB {', '.join(f'{each:.0f}' for each in memory)}; "
            f"refused {refused}, arrived {sink.count()} of {accepted}"
        )


@contextmanager
def _running(folder: Path, database: str, kind: str) -> Iterator[Server]:
    workers = KINDS[kind]
    environment = {"TIDINGS_WORKERS": str(workers), "TIDINGS_SECRET_KEY": b64encode(randbytes(32)).decode()}
    if kind == "joined, alone":
        environment["TIDINGS_JOIN"] = "true"
    server = Server(folder, database, free_ports(1 + workers), environment)
    try:
        server.start()
        until = time.monotonic() + READY_SECONDS
        # The first worker takes calls before the others have started.
        while workers > 1 and len(server.call("GET", "/v1/server")["nodes"]) < workers:
            if time.monotonic() > until:
                raise TimeoutError(server.last_words())
            time.sleep(0.1)
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
