"""Figures `bulk-*`: a bulk retry of hundreds of thousands of deliveries, and what publishing waits beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.context import Context
from benchmarks.filling import fill
from benchmarks.numbers import percentiles
from benchmarks.processes import ask
from benchmarks.server import KEY, Server
from benchmarks.table import Row

EVENTS, QUICK_EVENTS = 300_000, 20_000
LINKS = 1_000
PUBLISHED_PER_SECOND = 50
ALONE_SECONDS = 5
SECONDS_MAX = 900
SINCE = "2020-01-01T00:00:00Z"


def sqlite(context: Context) -> list[Row]:
    """Retry all of 300,000 dead deliveries, on SQLite."""
    return _bulk(context, "")


def postgres(context: Context) -> list[Row]:
    """The same on PostgreSQL."""
    return _bulk(context, context.postgres.database())


def _bulk(context: Context, database: str) -> list[Row]:
    events = QUICK_EVENTS if context.quick else EVENTS
    folder = context.new_folder()
    server = Server(folder, database)
    server.start()
    for number in range(LINKS):
        url = context.sink.url(f"/ok/bulk/{number}")
        server.call("POST", "/v1/endpoints", {"url": url, "events": ["bench.*"]})
    server.stop()
    fill(folder, database, events, LINKS, context.say, dead_every=1)
    server.start()
    try:
        alone = Publishing(server.port)
        with alone.going_on():
            time.sleep(ALONE_SECONDS)
        begun = time.monotonic()
        counted = server.call("POST", "/v1/deliveries:retry", {"since": SINCE, "dry_run": True})
        count_ms = (time.monotonic() - begun) * 1000
        beside, begun = Publishing(server.port), time.monotonic()
        with beside.going_on():
            job = server.call("POST", "/v1/deliveries:retry", {"since": SINCE})
            done = _ended(server, job["id"])
        seconds = time.monotonic() - begun
    finally:
        server.stop()
    context.throw_away(folder)
    engine = "-postgres" if database else ""
    before, during = percentiles(alone.took_ms), percentiles(beside.took_ms)
    rate = done["sent"] / seconds
    note = (
        f"{done['sent']:,} of {events:,} in {seconds:,.0f} s; counted {counted['count']:,} in {count_ms:,.0f} ms; "
        f"publishing took p50 {during['p50']:,.1f} ms; without the job p50 {before['p50']:,.1f} ms, "
        f"p99 {before['p99']:,.1f} ms"
    )
    details = {"alone_ms": before, "beside_ms": during, "count_ms": count_ms, "seconds": seconds}
    return [
        Row(f"bulk{engine}", rate, None, note=note, details=details),
        Row(f"bulk{engine}-p99", during["p99"], None, note=f"at most {during['max']:,.1f} ms"),
    ]


def _ended(server: Server, job: str) -> dict[str, Any]:
    end = time.monotonic() + SECONDS_MAX
    while time.monotonic() < end:
        found: dict[str, Any] = server.call("GET", f"/v1/replays/{job}")
        if found["state"] != "running":
            return found
        time.sleep(0.2)
    raise RuntimeError(f"the job {job} did not end in {SECONDS_MAX} s")


class Publishing:
    """Publishes an event that nobody gets, again and again, and notes how long each call took."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.took_ms: list[float] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Publish in the background."""
        stop = threading.Event()
        thread = threading.Thread(target=self._publish, args=(stop,), daemon=True)
        thread.start()
        yield
        stop.set()
        thread.join()

    def _publish(self, stop: threading.Event) -> None:
        while not stop.wait(1 / PUBLISHED_PER_SECOND):
            begun = time.perf_counter()
            status, body = ask(self._port, "POST", "/v1/events", {"type": "other.published", "data": {}}, KEY)
            if status >= 300:
                raise RuntimeError(f"an event was answered {status}: {body[:300]!r}")
            self.took_ms.append((time.perf_counter() - begun) * 1000)
