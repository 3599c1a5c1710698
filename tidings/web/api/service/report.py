"""The operation that shows what needs attention, since when, for whom, why, and what to do."""

from __future__ import annotations

import asyncio
import shutil

import msgspec

from tidings.model.errors import TidingsError, Unavailable
from tidings.store.log import standing
from tidings.store.readers import OWN_READS
from tidings.views.health import server, whole
from tidings.views.health.report import HealthReport, JobUnderWay
from tidings.views.health.server import Vitals
from tidings.web.api.service import health
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

STORE_SECONDS = 2.0


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """The long jobs under way."""

    data: list[JobUnderWay]


async def get_health(parts: Parts, request: Request) -> Answer:
    """The state of everything. It is returned even if the store does not respond."""
    whole.check_reader(request.caller)
    snapshot, lanes, now = parts.catalog.now, parts.deliver.snapshot(), parts.clock.now()
    vitals = await _vitals(parts)
    facts = None
    try:
        read = parts.readers.call(whole.reading(snapshot, lanes, now), OWN_READS)
        facts = await asyncio.wait_for(read, STORE_SECONDS)
    except (TimeoutError, Unavailable) as wrong:
        why = wrong.detail if isinstance(wrong, TidingsError) else "The store did not answer in time."
        vitals = vitals._replace(refusal=vitals.refusal or why)
    return Answer(200, whole.report(snapshot, lanes, vitals, facts, now, parts.delivery_ids))


async def list_jobs(parts: Parts, request: Request) -> Answer:
    """The long jobs under way."""
    whole.check_reader(request.caller)
    running = await parts.readers.call(standing.jobs_under_way, OWN_READS)
    jobs = server.jobs(parts.catalog.now, await _vitals(parts), running, parts.clock.now())
    return Answer(200, JobList(data=list(jobs)))


async def _vitals(parts: Parts) -> Vitals:
    refusal = None
    try:
        await health.check_store(parts, STORE_SECONDS)
    except Unavailable as wrong:
        refusal = wrong.detail
    try:
        free = shutil.disk_usage(parts.settings.folder).free
    except OSError:
        free = None
    collections = parts.catalog.now.collections
    return Vitals(
        refusal=refusal,
        is_delivering=parts.deliver.alive,
        free_bytes=free,
        declares=parts.declarations.busy,
        builds_indexes=sum(parts.indexes.state(name) != "ready" for name in collections),
        imports=parts.imports.under_way + await _imports_elsewhere(parts),
    )


async def _imports_elsewhere(parts: Parts) -> int:
    """The imports under way at other joined nodes; none if the store does not answer."""
    if parts.others is None:
        return 0
    try:
        return await asyncio.wait_for(parts.readers.call(parts.others.imports, OWN_READS), STORE_SECONDS)
    except (TimeoutError, TidingsError):
        return 0


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="get_health",
        at_sender=True,
        method="GET",
        path="/v1/health",
        scope="metrics:read",
        whole=True,
        summary="Show what needs attention, since when, for whom, why, and what to do",
        help=(
            "`state` is `ok`, `attention` (something needs attention, such as a failing endpoint, a failed poll, a "
            "dead delivery, or a hook that refuses everything) or `trouble` (the server itself "
            "has a problem). `sentence` sums up the state; `problems` lists up to 20 problems, the worst first. "
            "Counts stop at 1,000. The status is 200 even if the store cannot be read; for a load balancer, use "
            "`/readyz`."
        ),
        handler=get_health,
        tag=health.TAG,
        response=HealthReport,
    ),
    Operation(
        name="list_jobs",
        at_sender=True,
        method="GET",
        path="/v1/jobs",
        scope="metrics:read",
        whole=True,
        summary="Show the long jobs under way, and when they are expected to end",
        help=(
            "The list includes replays, bulk retries and cancellations, declarations over many items, indexes being "
            "built, and imports. Replays and bulk jobs that have ended are at `/v1/replays`."
        ),
        handler=list_jobs,
        tag=health.TAG,
        response=JobList,
    ),
)
