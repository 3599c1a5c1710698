"""Figure `import`: a file of 100,000 rows into an empty collection, each with its event, in parts (`partial=true`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.context import Context
from benchmarks.figures.items import ORDERS
from benchmarks.numbers import median
from benchmarks.processes import Others, thread_uses
from benchmarks.server import KEY, running
from benchmarks.table import Row
from tidings.client import Client
from tidings.store.engines.sqlite import SqliteEngine

ROWS, QUICK_ROWS = 100_000, 5_000
TURNS = 3
PIECE_ROWS = 500
NAMES = ("number", "status", "customer", "total", "note")
NOTE = "Leave it with the neighbours at number 12, please."
STATUSES = ("new", "paid", "sent")


def take(context: Context) -> list[Row]:
    """The median of three imports on fresh folders: from the first row that is made to the answer."""
    count = QUICK_ROWS if context.quick else ROWS
    seconds, bare, used, others_percent = [], [], [], []
    for _ in range(1 if context.quick else TURNS):
        folder = context.new_folder()
        bare.append(_bare(folder, count) * ROWS / count)
        with running(folder) as server, Client(f"http://127.0.0.1:{server.port}", KEY, retries=0) as client:
            client.put_collection("orders", ORDERS)
            before, others, own = thread_uses(server.pid), Others(context.postgres.pid), time.process_time()
            begun = time.monotonic()
            said = client.items("orders").import_(_file(count), "csv", partial=True)
            seconds.append((time.monotonic() - begun) * ROWS / count)
            others_percent.append(others.percent(time.process_time() - own))
            used.append(sum(use.since(before.get(name)).seconds for name, use in thread_uses(server.pid).items()))
            assert said["created"] == count, said
        context.throw_away(folder)
    server_us = median(used) / count * 1e6
    note = f"{server_us:.0f} us of the server for a row, others {median(others_percent):.0f} %"
    details = {"seconds": seconds, "bare_seconds": bare, "server_us": server_us, "other_programs": others_percent}
    return [Row("import", median(seconds), median(bare), note=note, details=details)]


def _rows(count: int) -> Iterator[tuple[int, str, str, float, str]]:
    for n in range(count):
        yield n, STATUSES[n % 3], f"customer {n % 1000}", n / 8, NOTE


def _file(count: int) -> Iterator[bytes]:
    """The rows as CSV, made while it is sent."""
    lines = [",".join(NAMES)]
    for number, status, customer, total, note in _rows(count):
        lines.append(f'{number},{status},{customer},{total},"{note}"')
        if len(lines) >= PIECE_ROWS:
            yield "\r\n".join([*lines, ""]).encode()
            lines = []
    if lines:
        yield "\r\n".join([*lines, ""]).encode()


def _bare(folder: Path, count: int) -> float:
    """The reference: the same rows with executemany into a table without indexes and events, in such a file."""
    folder.mkdir(parents=True, exist_ok=True)
    db = SqliteEngine(folder / "bare.db").writer()
    db.execute("CREATE TABLE bare (number INTEGER, status TEXT, customer TEXT, total REAL, note TEXT) STRICT", {})
    begun = time.monotonic()
    db.begin()
    db.insert("bare", NAMES, list(_rows(count)))
    db.commit()
    seconds = time.monotonic() - begun
    db.close()
    return seconds
