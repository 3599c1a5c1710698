"""Figure `fanout`: one event to 100 endpoints, counted in deliveries."""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.hold import Shape, highest_held
from benchmarks.numbers import median
from benchmarks.server import running
from benchmarks.table import Row

ENDPOINTS = 100


def fanout(context: Context) -> list[Row]:
    """100 endpoints get every event; the publisher is paced so that no backlog grows."""
    before = context.reference()
    folder = context.new_folder()
    with running(folder) as server:
        for number in range(ENDPOINTS):
            server.register(context.sink, f"/ok/fanout/{number}")
        held = highest_held(context, server, Shape(deliveries_per_event=ENDPOINTS))
    context.throw_away(folder)
    return [
        Row(
            "fanout",
            held.delivered_per_second,
            median([before, context.reference()]),
            fair=not held.fault,
            note=held.fault or f"{held.accepted_per_second:,.0f} events/s to {ENDPOINTS} endpoints",
            details=held.details(),
        )
    ]
