"""What every figure is given: the sink, PostgreSQL, a folder for data, how long to measure, and a way to say things."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generator import Load
from benchmarks.postgres import Postgres
from benchmarks.processes import SinkProcess, run_load

REFERENCE_SECONDS = 3


@dataclass
class Context:
    """The surroundings of one run of the benchmark."""

    seconds: float
    quick: bool
    sink: SinkProcess
    folder: Path
    postgres: Postgres
    say: Callable[[str], None]
    folders: int = 0

    def new_folder(self) -> Path:
        """An empty folder for one server."""
        self.folders += 1
        return self.folder / f"server{self.folders}"

    def throw_away(self, folder: Path) -> None:
        """Give back the disk of a server that is no longer needed."""
        shutil.rmtree(folder, ignore_errors=True)

    def reference(self) -> float:
        """Events a second when the generator posts straight to the sink, 64 connections, taken now."""
        run = self.sink.new_run()
        seconds = 1 if self.quick else REFERENCE_SECONDS
        load = Load(port=self.sink.port, path="/ok/reference", run=run, seconds=seconds)
        report = run_load(load)
        return int(report["accepted"]) / (int(report["ended_ns"]) - int(report["started_ns"])) * 1e9

    def latency_reference(self, rate: float, seconds: float) -> dict[str, float]:
        """Percentiles in ms from planned sending to arrival, posting straight to the sink at that rate."""
        run = self.sink.new_run()
        run_load(Load(port=self.sink.port, path="/ok/reference", run=run, seconds=seconds, rate=rate))
        latencies: dict[str, float] = self.sink.stats()["all_latency_ms"]
        return latencies


def work_folder() -> Path:
    """A new folder for the data of one run; on the disk that holds temporary files."""
    return Path(tempfile.mkdtemp(prefix="tidings-benchmark-"))
