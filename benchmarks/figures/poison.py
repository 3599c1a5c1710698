"""Figure `poison`: how long good events take to arrive beside those that their receiver refuses."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.context import Context
from benchmarks.numbers import median
from benchmarks.server import Server, running
from benchmarks.table import Row
from tidings.testing import Received, Receiver

POISONED, QUICK_POISONED = (10, 1_000, 10_000), (10, 1_000)
STATUSES = (422, 500)
GOOD, QUICK_GOOD = 12, 5
GAP_SECONDS, QUICK_GAP_SECONDS = 2.0, 1.0
WAIT_SECONDS = 30.0
PER_CALL = 1_000


def poison(context: Context) -> list[Row]:
    """Poisoned events are published at once, then a good one every 2 s; for each status and number, in one endpoint
    with the default schedule. The worst median from publish to arrival; the details have each median and maximum."""
    details: dict[str, Any] = {}
    for status in STATUSES:
        for count in QUICK_POISONED if context.quick else POISONED:
            taken = _one(context, status, count)
            details[f"{count} answered {status}"] = {
                "median_seconds": round(median(taken), 3),
                "max_seconds": round(max(taken), 3),
            }
            context.say(f"poison: {count} answered {status}: {details[f'{count} answered {status}']}")
    worst = max(details, key=lambda name: details[name]["median_seconds"])
    slowest = max(each["max_seconds"] for each in details.values())
    note = f"the worst: {worst}; the slowest of all took {slowest:g} s"
    return [Row("poison", details[worst]["median_seconds"], note=note, details=details)]


def _one(context: Context, status: int, count: int) -> list[float]:
    folder = context.new_folder()
    arrived: dict[int, float] = {}

    def answer(received: Received) -> int:
        data = received.json["data"]
        if data["bad"]:
            return status
        arrived.setdefault(data["n"], time.monotonic())
        return 204

    with running(folder) as server, Receiver() as receiver:
        receiver.answer_by(answer)
        server.call("POST", "/v1/endpoints", {"url": receiver.url("/")})
        for start in range(0, count, PER_CALL):
            _publish(server, [{"bad": True, "n": n} for n in range(start, min(count, start + PER_CALL))])
        published = []
        for n in range(QUICK_GOOD if context.quick else GOOD):
            published.append(time.monotonic())
            _publish(server, [{"bad": False, "n": n}])
            time.sleep(QUICK_GAP_SECONDS if context.quick else GAP_SECONDS)
        given_up = time.monotonic() + WAIT_SECONDS
        while len(arrived) < len(published) and time.monotonic() < given_up:
            time.sleep(0.05)
    context.throw_away(folder)
    return [arrived.get(n, float("inf")) - at for n, at in enumerate(published)]


def _publish(server: Server, data: list[dict[str, Any]]) -> None:
    server.call("POST", "/v1/events:batch", {"events": [{"type": "bench.poison", "data": each} for each in data]})
