"""The operations on deliveries: list, read, retry, cancel."""

from __future__ import annotations

import msgspec

from tidings.control.deliveries import WRITE, DeliveryTrace
from tidings.model import outcome as outcomes
from tidings.rules.deliver.lifecycle import STATES
from tidings.store.log.failures import LOOKED_MAX
from tidings.store.log.lists import DeliveryQuery
from tidings.views.deliveries import DeliveryDetail, DeliveryView, delivery_detail, delivery_view
from tidings.views.health.reasons import FailureReasons, grouped
from tidings.views.health.whole import LATELY
from tidings.web.habits.once import kept, run_once
from tidings.web.habits.paging import PAGING, Page, counted
from tidings.web.habits.shaping import TYPE_OR_BEGINNING, sort_of
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Deliveries"


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deliveries."""

    data: list[DeliveryView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def list_deliveries(parts: Parts, request: Request) -> Answer:
    """List deliveries, newest first by default."""
    page, given = Page.of(request), request.query
    snapshot = parts.catalog.now
    query = DeliveryQuery(
        state=given.get("state"),
        event=given.get("event"),
        type=given.get("type"),
        outcome=given.get("outcome"),
        status=given.get("status"),
        since=given.get("time__gte"),
        until=given.get("time__lt"),
        oldest_first=sort_of(request) == ["created"],
        limit=page.limit,
    )
    if page.after is not None:
        way = {"after": page.after} if query.oldest_first else {"before": page.after}
        query = msgspec.structs.replace(query, **way)
    is_counted = bool(given.get("count"))
    found = await parts.deliveries.page(
        request.caller,
        query,
        endpoint=given.get("endpoint"),
        link=given.get("link"),
        tenant=given.get("tenant"),
        count=is_counted,
    )
    lane_of = await parts.lanes_of((row.link for row in found.rows), request.key.tenant)
    views = [delivery_view(row, snapshot, parts.delivery_ids, lane_of) for row in found.rows]
    return page.answer(views, found.position, counted(found.total) if is_counted else None)


async def list_reasons(parts: Parts, request: Request) -> Answer:
    """List the reasons for recent failures, in groups."""
    given = request.query
    since = given.get("since", parts.clock.now() - LATELY)
    found = await parts.deliveries.failures(
        request.caller, since, endpoint=given.get("endpoint"), link=given.get("link"), tenant=given.get("tenant")
    )
    return Answer(200, grouped(found, since, parts.catalog.now, parts.delivery_ids))


async def get_delivery(parts: Parts, request: Request) -> Answer:
    """Read one delivery with every attempt."""
    trace = await parts.deliveries.trace(request.caller, request.path["id"])
    lane_of = await parts.lanes_of((trace.row.link,), request.key.tenant)
    return Answer(200, delivery_detail(trace, parts.catalog.now, parts.delivery_ids, lane_of))


async def retry_delivery(parts: Parts, request: Request) -> Answer:
    """Retry a delivery now, with a fresh schedule of attempts."""

    def answer(trace: DeliveryTrace) -> Answer:
        return _shown(parts, trace, 202)

    return await parts.deliveries.retry(request.caller, request.path["id"], run_once(parts, request, answer))


async def cancel_delivery(parts: Parts, request: Request) -> Answer:
    """Cancel a delivery."""
    ident = request.path["id"]
    await parts.deliveries.find(request.caller, ident, WRITE)
    known = await kept(parts, request)
    if known is not None:
        return known

    def answer(trace: DeliveryTrace) -> Answer:
        return _shown(parts, trace)

    return await parts.deliveries.cancel(request.caller, ident, run_once(parts, request, answer))


def _shown(parts: Parts, trace: DeliveryTrace, status: int = 200) -> Answer:
    return Answer(status, delivery_detail(trace, parts.catalog.now, parts.delivery_ids, parts.deliver.lane))


# --- the menu --------------------------------------------------------------------------------------------------------

_TIME = {"type": "string", "format": "date-time"}
_OUTCOME = {"type": "string", "enum": [outcome.name for outcome in outcomes.OUTCOMES]}
_STATUS = {
    "type": "string",
    "pattern": "^[1-9]([0-9][0-9]|xx)$",
    "maxLength": 3,
    "description": "an HTTP status such as 422, or a class of them such as 4xx",
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_deliveries",
        method="GET",
        path="/v1/deliveries",
        scope="deliveries:read",
        summary="List deliveries, newest first",
        sorts=("-created", "created"),
        help=(
            "A page may have fewer than `limit` deliveries, or none at all, and still not be the last: continue "
            "until `next_cursor` is null."
        ),
        handler=list_deliveries,
        tag=TAG,
        response=DeliveryList,
        parameters=(
            Parameter(
                name="state",
                schema={"type": "string", "enum": list(STATES)},
                help="Return only deliveries in this state.",
            ),
            Parameter(
                name="endpoint", schema={"type": "string"}, help="Return only deliveries to the endpoint with this id."
            ),
            Parameter(
                name="link",
                schema={"type": "string"},
                help="Return only deliveries through the link with this name or id.",
            ),
            Parameter(
                name="event", schema={"type": "string"}, help="Return only deliveries of the event with this id."
            ),
            Parameter(
                name="type",
                schema=TYPE_OR_BEGINNING,
                help="Return only deliveries of events with this type (`tasks.completed`), or with a type that "
                "matches this pattern (`tasks.*`).",
            ),
            Parameter(
                name="outcome", schema=_OUTCOME, help="Return only deliveries whose last attempt had this outcome."
            ),
            Parameter(
                name="status",
                schema=_STATUS,
                help="Return only deliveries whose last attempt got this HTTP status (`422`), or a status of this "
                "class (`4xx`).",
            ),
            Parameter(name="time__gte", schema=_TIME, help="Return only deliveries created at this time or later."),
            Parameter(name="time__lt", schema=_TIME, help="Return only deliveries created before this time."),
            Parameter(
                name="tenant",
                schema={"type": "string"},
                help="Return only deliveries to this tenant's endpoints and through its links.",
            ),
            *PAGING,
        ),
    ),
    Operation(
        name="list_failure_reasons",
        method="GET",
        path="/v1/deliveries:reasons",
        scope="deliveries:read",
        summary="Show why deliveries failed lately, grouped by reason",
        help=(
            "The call groups the deliveries that are dead or waiting for a retry by the outcome, status and reason "
            "of their last attempt. Reasons that differ only in numbers or ids count as the same reason. The "
            "largest group comes first, and each group has an example. At most the newest "
            f"{LOOKED_MAX} dead deliveries and the newest {LOOKED_MAX} waiting ones are read; `is_complete` is false "
            "if there are more, or if the smallest groups were left out. A tenant's key gets only the tenant's own "
            "deliveries."
        ),
        handler=list_reasons,
        tag=TAG,
        response=FailureReasons,
        parameters=(
            Parameter(
                name="since",
                schema=_TIME,
                help="Count only deliveries whose last attempt was at this time or later. The default is an hour ago.",
            ),
            Parameter(
                name="endpoint",
                schema={"type": "string"},
                help="Count only failed deliveries to the endpoint with this id.",
            ),
            Parameter(
                name="link",
                schema={"type": "string"},
                help="Count only failed deliveries through the link with this name or id.",
            ),
            Parameter(
                name="tenant",
                schema={"type": "string"},
                help="Count only failed deliveries to this tenant's endpoints and through its links.",
            ),
        ),
    ),
    Operation(
        name="get_delivery",
        method="GET",
        path="/v1/deliveries/{id}",
        scope="deliveries:read",
        summary="Read a delivery with every attempt",
        handler=get_delivery,
        tag=TAG,
        response=DeliveryDetail,
    ),
    Operation(
        name="retry_delivery",
        at_sender=True,
        method="POST",
        path="/v1/deliveries/{id}:retry",
        scope="deliveries:write",
        summary="Retry a delivery now, with a fresh schedule of attempts",
        help=(
            "You can also retry a delivery that is dead, cancelled or already delivered. The `webhook-id` stays the "
            "same, so receivers can recognize duplicates."
        ),
        handler=retry_delivery,
        tag=TAG,
        response=DeliveryDetail,
        status=202,
        idempotent_key=True,
    ),
    Operation(
        name="cancel_delivery",
        at_sender=True,
        method="POST",
        path="/v1/deliveries/{id}:cancel",
        scope="deliveries:write",
        summary="Cancel a delivery",
        help=(
            "A request that is already in flight is not aborted; if it succeeds, the delivery still counts "
            "as delivered."
        ),
        handler=cancel_delivery,
        tag=TAG,
        response=DeliveryDetail,
        idempotent_key=True,
    ),
)
