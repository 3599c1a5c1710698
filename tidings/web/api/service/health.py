"""Whether the server lives, whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tidings.model.errors import Unavailable
from tidings.store import journal
from tidings.store.base import Db
from tidings.store.jobs import Probe
from tidings.store.readers import OWN_READS
from tidings.views.shares import check_reader
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Service"
READY_SECONDS = 5.0
METRICS_MEDIA = "text/plain; version=0.0.4; charset=utf-8"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The status `ok`; otherwise the response is a problem."""

    status: str


async def healthz(parts: Parts, request: Request) -> Answer:
    """The process answers."""
    return Answer(200, Health(status="ok"))


async def readyz(parts: Parts, request: Request) -> Answer:
    """The store accepts writes, and the stages that this node should run are running."""
    await _check_ready(parts)
    return Answer(200, Health(status="ok"))


async def _check_ready(parts: Parts) -> None:
    """Raise Unavailable if the server cannot serve, with the reason."""
    if parts.feed.closed:
        raise Unavailable("The server is stopping.", retry_after_seconds=5.0)
    if parts.sends and not parts.deliver.alive:
        raise Unavailable("The deliver stage is not running.", retry_after_seconds=5.0)
    if (unfit := parts.unfit()) is not None:
        raise Unavailable(f"{unfit[0].upper()}{unfit[1:]}.", retry_after_seconds=5.0)
    await check_store(parts, READY_SECONDS)


async def _is_ready(parts: Parts) -> bool:
    try:
        await _check_ready(parts)
    except Unavailable:
        return False
    return True


async def check_store(parts: Parts, seconds: float) -> None:
    """Raise Unavailable unless the store accepts a write within this time."""
    try:
        await asyncio.wait_for(parts.writer.call(Probe(parts.writer.probe)), seconds)
    except TimeoutError:
        raise Unavailable("The store did not accept a write in time.", retry_after_seconds=5.0) from None
    except Unavailable as wrong:
        why = parts.writer.refusal
        said = wrong.detail if why is None else f"Writes are refused: {why.detail}."
        raise Unavailable(said, retry_after_seconds=5.0) from wrong
    if parts.writer.refusal is not None:
        raise Unavailable(f"Writes are refused: {parts.writer.refusal.detail}.", retry_after_seconds=5.0)


async def metrics(parts: Parts, request: Request) -> Answer:
    """Counters and gauges in the text format of Prometheus."""
    # Imported here: a server that nobody scrapes never pays for it.
    from tidings.web.api.service.metrics import render

    check_reader(request.caller)
    positions = await parts.readers.call(_positions, OWN_READS)
    return Answer(200, render(parts, positions, ready=await _is_ready(parts)), media=METRICS_MEDIA)


def _positions(db: Db) -> dict[str, int]:
    at = {name: journal.position(db, name) for name in ("event", "delivery", "route", "deliver")}
    return at | {"unrouted": journal.events_between(db, at["route"], at["event"])}


def _operation(name: str, summary: str, help: str, handler: Any, **more: Any) -> Operation:
    return Operation(
        name=name, method="GET", path=f"/{name}", summary=summary, help=help, handler=handler, tag=TAG, **more
    )


OPERATIONS: tuple[Operation, ...] = (
    _operation("healthz", "Check whether the process is alive", "", healthz, scope=None, response=Health),
    _operation(
        "readyz",
        "Check whether the server can serve requests",
        "The response is 503 if the store accepts no writes, a stage is not running, the server is stopping, or its "
        "clock differs from the database's by more than five minutes.",
        readyz,
        scope=None,
        response=Health,
    ),
    _operation(
        "metrics",
        "Read the metrics",
        "The response is in the Prometheus text format.",
        metrics,
        scope="metrics:read",
        whole=True,
        response=str,
        media=METRICS_MEDIA,
    ),
)
