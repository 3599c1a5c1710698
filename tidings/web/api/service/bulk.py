"""The operations on many deliveries at once: retry or cancel all that match a filter."""

from __future__ import annotations

import msgspec

from tidings.control.bulk.running import COUNTED_MAX
from tidings.control.bulk.starting import BulkCancel, BulkRetry
from tidings.model import moment
from tidings.model.replay import BulkAct, Replay
from tidings.views.replays import ReplayView, replay_view
from tidings.web.habits.once import idempotency_key, run_once
from tidings.web.openapi.examples import ENDPOINT
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Deliveries"


class BulkCountView(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries match; with `count_is_more`, there are more. Nothing was started. A job with this
    `until` leaves out deliveries created after the count.
    """

    dry_run: bool
    count: int
    count_is_more: bool
    until: str


async def retry_deliveries(parts: Parts, request: Request) -> Answer:
    """Retry all that match."""
    return await _start(parts, request, "retry")


async def cancel_deliveries(parts: Parts, request: Request) -> Answer:
    """Cancel all that match."""
    return await _start(parts, request, "cancel")


async def _start(parts: Parts, request: Request, act: BulkAct) -> Answer:
    given: BulkCancel = request.body
    idempotency_key(request)
    if given.dry_run:
        found = await parts.replays.bulk.count(request.caller, act, given)
        until = moment.to_text(found.until)
        return Answer(200, BulkCountView(dry_run=True, count=found.count, count_is_more=found.is_more, until=until))

    def answer(replay: Replay) -> Answer:
        return Answer(201, replay_view(replay, parts.catalog.now), [("location", f"/v1/replays/{replay.id}")])

    return await parts.replays.bulk.start(request.caller, act, given, run_once(parts, request, answer))


_HELP = (
    "With `dry_run`, nothing is started; the response has status 200 and shows how many deliveries match, with an "
    f"exact count up to {COUNTED_MAX:,}. If you then start the job with the `until` of this response, the job "
    f"leaves out deliveries that were created after the count. Without `dry_run`, a durable job is started, which "
    f"goes through "
    "the deliveries in small steps. Read its progress at `/v1/replays/{id}`, and stop it with "
    "`/v1/replays/{id}:cancel`. The job acts on each delivery once, and only if the delivery still matches when the "
    "job reaches it. Deliveries created after the start of the job are not part of it."
)
_ALSO = ((200, "Nothing was started; the response shows how many deliveries match."),)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="retry_deliveries",
        at_sender=True,
        method="POST",
        path="/v1/deliveries:retry",
        scope="deliveries:write",
        summary="Retry all deliveries that match a filter",
        help=f"{_HELP} Deliveries whose endpoint or link is not enabled are left out.",
        handler=retry_deliveries,
        tag=TAG,
        request=BulkRetry,
        response=ReplayView | BulkCountView,
        status=201,
        also=_ALSO,
        idempotent_key=True,
        example={"endpoint_id": ENDPOINT, "state": "dead", "status": "5xx", "dry_run": True},
    ),
    Operation(
        name="cancel_deliveries",
        at_sender=True,
        method="POST",
        path="/v1/deliveries:cancel",
        scope="deliveries:write",
        summary="Cancel all waiting deliveries that match a filter",
        help=_HELP,
        handler=cancel_deliveries,
        tag=TAG,
        request=BulkCancel,
        response=ReplayView | BulkCountView,
        status=201,
        also=_ALSO,
        idempotent_key=True,
        example={"endpoint_id": ENDPOINT, "until": "2026-11-21T00:00:00Z", "dry_run": True},
    ),
)
