"""Figures `flow`, `flow-postgres` and `batch`: events accepted, signed and delivered, at a speed that is held."""

from __future__ import annotations

from benchmarks.context import Context
from benchmarks.hold import Held, Shape, highest_held
from benchmarks.numbers import median
from benchmarks.server import running
from benchmarks.table import Row


def sqlite(context: Context) -> list[Row]:
    """One event per request, 64 connections, SQLite with full sync."""
    return [_row(context, "flow", "", Shape())]


def postgres(context: Context) -> list[Row]:
    """The same on PostgreSQL 18, fsync and synchronous commit on."""
    return [_row(context, "flow-postgres", context.postgres.database(), Shape())]


def batch(context: Context) -> list[Row]:
    """Batches of 100 on SQLite. The reference is again one event per request, for that is what deliveries are."""
    return [_row(context, "batch", "", Shape(batch=100))]


def _row(context: Context, name: str, database: str, shape: Shape) -> Row:
    before = context.reference()
    folder = context.new_folder()
    with running(folder, database) as server:
        server.register(context.sink, "/ok/flow")
        held: Held = highest_held(context, server, shape)
    context.throw_away(folder)
    reference = median([before, context.reference()])
    return Row(
        name,
        held.delivered_per_second,
        reference,
        fair=not held.fault,
        note=held.fault or f"backlog at most {max(held.owed):,}, p99 {held.latency_ms.get('p99', 0):,.0f} ms",
        details=held.details(),
    )
