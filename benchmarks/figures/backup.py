"""Figure `backup`: `tidings backup` of a store of 150 MB while 40 events a second are published to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

from benchmarks.context import Context
from benchmarks.numbers import median
from benchmarks.server import KEY, Server, running, tidings
from benchmarks.table import Row
from tidings.client import Client

STORE_BYTES, QUICK_BYTES = 150_000_000, 10_000_000
WRITES_PER_SECOND = 40
TURNS = 3
CALM_SECONDS = 3.0
BATCH_EVENTS, DATA_CHARS = 500, 400


class Publishing:
    """Publishes at an even pace in its own thread, and keeps how long each call took, from when it was planned."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []

    def __enter__(self) -> Publishing:
        self._thread.start()
        return self

    def __exit__(self, *wrong: object) -> None:
        self._stop.set()
        self._thread.join()

    def taken(self) -> list[float]:
        """The calls since the last look, in milliseconds, the quickest first."""
        taken, self.seconds = self.seconds, []
        return sorted(1000 * seconds for seconds in taken)

    def _run(self) -> None:
        planned = time.monotonic()
        while not self._stop.is_set():
            self._client.publish("step", {"n": 1})
            self.seconds.append(time.monotonic() - planned)
            planned = max(planned + 1 / WRITES_PER_SECOND, time.monotonic() - 1)
            self._stop.wait(max(0.0, planned - time.monotonic()))


def backup(context: Context) -> list[Row]:
    """The median of three backups, from the command to its end; a plain copy of the file, synced, is the reference."""
    folder = context.new_folder()
    seconds, bare, waits = [], [], []
    with running(folder) as server, Client(f"http://127.0.0.1:{server.port}", KEY, retries=0) as client:
        size = _fill(client, server, QUICK_BYTES if context.quick else STORE_BYTES)
        with Publishing(client) as publishing:
            time.sleep(CALM_SECONDS)
            calm = publishing.taken()
            for turn in range(1 if context.quick else TURNS):
                bare.append(_bare(server, folder / "bare.db"))
                publishing.taken()
                seconds.append(_back_up(server, folder / f"{turn}.db"))
                waits += publishing.taken()
    context.throw_away(folder)
    waits.sort()
    note = (
        f"{size / 1e6:.0f} MB; a publish meanwhile took {median(waits):.1f} ms, at most {waits[-1]:.0f} ms; "
        f"before {median(calm):.1f} ms, at most {calm[-1]:.0f} ms"
    )
    details = {"seconds": seconds, "bare_seconds": bare, "waits_ms": waits, "calm_ms": calm}
    return [Row("backup", median(seconds), median(bare), note=note, details=details)]


def _database(server: Server) -> Path:
    return server.folder / "data" / "tidings.db"


def _fill(client: Client, server: Server, size: int) -> int:
    events = [{"type": "fill", "data": {"n": n, "x": "y" * DATA_CHARS}} for n in range(BATCH_EVENTS)]
    while (there := _database(server).stat().st_size) < size:
        client.publish_batch(events)
    return there


def _back_up(server: Server, target: Path) -> float:
    begun = time.monotonic()
    command = [*tidings(), "backup", str(target), "--data", str(server.folder / "data")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    taken = time.monotonic() - begun
    target.unlink()
    return taken


def _bare(server: Server, target: Path) -> float:
    begun = time.monotonic()
    shutil.copyfile(_database(server), target)
    with target.open("rb") as copy:
        os.fsync(copy.fileno())
    taken = time.monotonic() - begun
    target.unlink()
    return taken
