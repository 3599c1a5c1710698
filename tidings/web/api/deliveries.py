"""The operations of deliveries: look at them, try again, cancel."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control import deliveries
from tidings.model import moment
from tidings.model import outcome as outcomes
from tidings.model.access import Key
from tidings.model.delivery import Attempt, State
from tidings.model.errors import Conflict, Invalid, NotFound
from tidings.model.link import Endpoint
from tidings.store.base import Db
from tidings.store.catalog import Snapshot
from tidings.store.log import lists
from tidings.store.log.lists import DeliveryQuery, DeliveryRow
from tidings.views.times import time_text
from tidings.web.habits.once import kept, once
from tidings.web.habits.paging import PAGING, Page, counted
from tidings.web.habits.shaping import TYPE_OR_BEGINNING, sort_of
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Deliveries"


class LastView(msgspec.Struct, frozen=True, kw_only=True):
    """The last attempt in short."""

    outcome: str
    status: int | None
    at: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery. `attempts` is how many were made; `due` when the next one is, null where there is none."""

    id: str
    event_id: str | None
    event_type: str | None
    endpoint_id: str
    state: State
    attempts: int
    created: str
    due: str | None
    last: LastView | None


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One try. `answer` holds the first 16 KiB of what came back; secrets in `request_headers` are masked."""

    n: int
    at: str
    outcome: str
    state: State
    status: int | None
    duration_ms: int
    request_headers: dict[str, str] | None
    answer: str | None
    reason: str | None


class DeliveryDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with every attempt, oldest first. `held`: it waits behind an earlier one of its subject."""

    id: str
    event_id: str | None
    event_type: str | None
    endpoint_id: str
    state: State
    attempts: list[AttemptView]
    next_attempt: str | None
    held: bool
    created: str
    due: str | None
    last: LastView | None


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deliveries."""

    data: list[DeliveryView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def list_deliveries(parts: Parts, request: Request) -> Answer:
    """List deliveries, newest first by default."""
    page = Page.of(request)
    snapshot = parts.catalog.now
    query = DeliveryQuery(
        links=_links(request, snapshot),
        state=request.query.get("state"),
        event=request.query.get("event"),
        type=request.query.get("type"),
        outcome=request.query.get("outcome"),
        status=request.query.get("status"),
        since=request.query.get("time__gte"),
        until=request.query.get("time__lt"),
        oldest_first=sort_of(request) == ["created"],
        limit=page.limit,
    )
    if page.after is not None:
        way = {"after": page.after} if query.oldest_first else {"before": page.after}
        query = msgspec.structs.replace(query, **way)

    def read(db: Db) -> tuple[list[DeliveryRow], int | None, int | None]:
        total = counted(lists.count(db, snapshot, query)) if request.query.get("count") else None
        return *lists.deliveries(db, snapshot, query), total

    rows, position, total = await parts.readers.call(read, request.key.tenant)
    views = [DeliveryView(**_fields(parts, snapshot, row), attempts=row.attempts) for row in rows]
    return page.answer(views, position, total)


async def get_delivery(parts: Parts, request: Request) -> Answer:
    """Read one delivery with every attempt."""
    number, _ = await _find(parts, request)
    return await parts.readers.call(lambda db: _detail(db, parts, request, number, 200), request.key.tenant)


async def retry_delivery(parts: Parts, request: Request) -> Answer:
    """Try again now, with a whole new round of attempts."""
    number, row = await _find(parts, request)

    def again(db: Db) -> Answer:
        deliveries.retry(db, parts.catalog, parts.clock, number)
        return _detail(db, parts, request, number, 202)

    answer = await once(parts, request, again)
    parts.deliver.notice(row.link)
    return answer


async def cancel_delivery(parts: Parts, request: Request) -> Answer:
    """Send it no more."""
    number, row = await _find(parts, request)
    known = await kept(parts, request)
    if known is not None:
        return known
    # The deliver stage writes the cancellation down in its own time, so the answer is kept after it, not with it.
    if row.state != "waiting" or not (await parts.deliver.cancel([number]))[0]:
        _, row = await _find(parts, request)
        raise Conflict(f"It is {row.state} already, so there is nothing to cancel.")
    return await once(parts, request, lambda db: _detail(db, parts, request, number, 200))


def _detail(db: Db, parts: Parts, request: Request, number: int, status: int) -> Answer:
    snapshot = parts.catalog.now
    found = lists.delivery(db, snapshot, number)
    if found is None:
        raise _unknown(request)
    row, attempts = found
    view = DeliveryDetail(
        **_fields(parts, snapshot, row),
        attempts=[_attempt(attempt) for attempt in attempts],
        next_attempt=time_text(row.due),
        held=row.held,
    )
    return Answer(status, view)


async def _find(parts: Parts, request: Request) -> tuple[int, DeliveryRow]:
    """The delivery that the path names. Raises NotFound, also where it is another tenant's."""
    ids, text, snapshot = parts.delivery_ids, request.path["id"], parts.catalog.now
    numbers = ids.numbers(text)
    if not numbers:
        raise _unknown(request)
    rows = await parts.readers.call(lambda db: lists.rows_of(db, snapshot, numbers), request.key.tenant)
    row = next((row for row in rows if ids.means(text, row.number, row.created)), None)
    endpoint = None if row is None else snapshot.endpoints.get(row.link)
    if row is None or endpoint is None or not _visible(request.key, endpoint):
        raise _unknown(request)
    return row.number, row


def _unknown(request: Request) -> NotFound:
    return NotFound(f"There is no delivery {request.path['id'][:100]}.")


def _visible(key: Key, endpoint: Endpoint) -> bool:
    return key.tenant is None or endpoint.tenant == key.tenant


def _links(request: Request, snapshot: Snapshot) -> frozenset[int] | None:
    """The links that the caller may see and asks for; None: all."""
    wanted, tenant = request.query.get("endpoint"), request.query.get("tenant")
    if wanted is None and tenant is None and request.key.tenant is None:
        return None
    visible = [endpoint for endpoint in snapshot.endpoints.values() if _visible(request.key, endpoint)]
    if wanted is not None:
        visible = [endpoint for endpoint in visible if endpoint.id == wanted]
        if not visible:
            detail = f"There is no endpoint {wanted[:100]}."
            raise Invalid.of_parameter("endpoint", "not_found", detail)
    return frozenset(endpoint.num for endpoint in visible if tenant is None or endpoint.tenant == tenant)


def _fields(parts: Parts, snapshot: Snapshot, row: DeliveryRow) -> dict[str, Any]:
    endpoint = snapshot.endpoints.get(row.link)
    last = None
    if row.last_outcome is not None and row.last_at is not None:
        last = LastView(outcome=row.last_outcome, status=row.last_status, at=moment.to_text(row.last_at))
    return {
        "id": parts.delivery_ids.of(row.number, row.created),
        "event_id": row.event_id,
        "event_type": row.event_type,
        "endpoint_id": "" if endpoint is None else endpoint.id,
        "state": row.state,
        "created": moment.to_text(row.created),
        "due": time_text(row.due),
        "last": last,
    }


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        n=attempt.n,
        at=moment.to_text(attempt.at),
        outcome=attempt.outcome,
        state=attempt.state,
        status=attempt.status,
        duration_ms=attempt.duration_ms,
        request_headers=None if attempt.request is None else msgspec.json.decode(attempt.request),
        answer=attempt.response,
        reason=attempt.reason,
    )


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
        help="A page may hold fewer than `limit`, even none, and still have a next one: go on while there is a cursor.",
        handler=list_deliveries,
        tag=TAG,
        response=DeliveryList,
        parameters=(
            Parameter(name="state", schema={"type": "string", "enum": list(lists.STATES)}, help="Only in this state."),
            Parameter(name="endpoint", schema={"type": "string"}, help="Only to the endpoint with this id."),
            Parameter(name="event", schema={"type": "string"}, help="Only of the event with this id."),
            Parameter(
                name="type",
                schema=TYPE_OR_BEGINNING,
                help="Only of events of this type, such as `tasks.completed`, or of all these, such as `tasks.*`.",
            ),
            Parameter(name="outcome", schema=_OUTCOME, help="Only those whose last attempt came to this."),
            Parameter(
                name="status",
                schema=_STATUS,
                help="Only those whose last attempt was answered with this HTTP status, such as `422`, or `4xx`.",
            ),
            Parameter(name="time__gte", schema=_TIME, help="Only those made at this time or later."),
            Parameter(name="time__lt", schema=_TIME, help="Only those made before this time."),
            Parameter(name="tenant", schema={"type": "string"}, help="Only to endpoints of this tenant."),
            *PAGING,
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
        method="POST",
        path="/v1/deliveries/{id}:retry",
        scope="deliveries:write",
        summary="Try it again now, with a whole new round of attempts",
        help="Also one that is dead, cancelled or delivered. The webhook-id stays, so receivers can drop repeats.",
        handler=retry_delivery,
        tag=TAG,
        response=DeliveryDetail,
        status=202,
        idempotent_key=True,
    ),
    Operation(
        name="cancel_delivery",
        method="POST",
        path="/v1/deliveries/{id}:cancel",
        scope="deliveries:write",
        summary="Send it no more",
        help="A request that is under way is not called back; if it succeeds, the delivery is delivered after all.",
        handler=cancel_delivery,
        tag=TAG,
        response=DeliveryDetail,
        idempotent_key=True,
    ),
)
