"""Attempts, and the states of messages: our deliveries with their attempts."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET

from tidings.control.deliveries import DeliveryTrace
from tidings.control.svix.messages import attempt_of, find, sent_before
from tidings.model import moment
from tidings.model.access import Tenant
from tidings.model.delivery import State
from tidings.model.event import Event
from tidings.model.link import Endpoint
from tidings.model.outcome import OK, OURS
from tidings.store.log.lists import ABOVE_ALL, DeliveryQuery, DeliveryRow
from tidings.views.deliveries import next_attempt
from tidings.views.times import time_text
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts
from tidings.web.svix.channels import channels_of
from tidings.web.svix.nouns import endpoint_forms, messages
from tidings.web.svix.paging import Span, page, span_of, times
from tidings.web.svix.rows import CHANNEL, CONTENT, PAGING, TIMES, TYPES, application
from tidings.web.svix.rows import row as operation
from tidings.web.svix.shapes import (
    EmptyResponse,
    EndpointMessageOut,
    ListResponse,
    MessageAttemptOut,
    MessageEndpointOut,
    Status,
    StatusText,
)

TAG = "Message Attempt"
READ, WRITE = "deliveries:read", "deliveries:write"
SUCCESS: Final = 0
PENDING: Final = 1
FAIL: Final = 2
SENDING: Final = 3
TEXTS: dict[int, StatusText] = {SUCCESS: "success", PENDING: "pending", FAIL: "fail", SENDING: "sending"}
STATES: tuple[State, ...] = ("delivered", "waiting", "dead", "waiting")
"""The states of our deliveries that stand for success, pending, fail and sending."""
READS_MAX = 20
_OURS = frozenset(outcome.name for outcome in OURS)


class Attempted(msgspec.Struct, frozen=True):
    """One attempt with its delivery, and its place in lists: the newest delivery first, and its newest attempt."""

    trace: DeliveryTrace
    index: int

    @property
    def place(self) -> list[int]:
        """Larger is newer."""
        return [self.trace.row.number, self.index]


def status_of(state: State) -> Status:
    """The state of a delivery, as Svix's number."""
    return SUCCESS if state == "delivered" else PENDING if state == "waiting" else FAIL


# --- lists of attempts ------------------------------------------------------------------------------------------------


async def list_by_endpoint(parts: Parts, request: Request) -> Answer:
    """List attempts for an endpoint, newest message first."""
    tenant = application(parts, request)
    endpoint = endpoint_forms.find(parts, request)
    return await _attempts(parts, request, tenant, f"attempts for {endpoint.id}", endpoint)


async def list_by_msg(parts: Parts, request: Request) -> Answer:
    """List attempts of a message."""
    tenant = application(parts, request)
    event = await _event(parts, request, tenant)
    endpoint = None
    if (ident := request.query.get("endpoint_id")) is not None:
        request.path["endpoint_id"] = ident
        endpoint = endpoint_forms.find(parts, request)
    return await _attempts(parts, request, tenant, f"attempts of {event.id}", endpoint, event)


async def _attempts(
    parts: Parts, request: Request, tenant: Tenant, name: str, endpoint: Endpoint | None, event: Event | None = None
) -> Answer:
    parts.endpoints.visible(request.caller, tenant.id)
    span = span_of(request, list, name)
    query = _narrowed(request, DeliveryQuery(event=None if event is None else event.id))
    found: list[Attempted] = []
    before, after = ABOVE_ALL, -1
    if span.place is not None:
        before, after = (ABOVE_ALL, span.place[0] - 1) if span.is_back else (span.place[0] + 1, -1)
    query = msgspec.structs.replace(query, before=before, after=after, oldest_first=span.is_back, limit=span.limit)
    position: int | None = None
    for _ in range(READS_MAX):
        traces, position = await parts.deliveries.traces(
            request.caller, query, endpoint=None if endpoint is None else endpoint.id, tenant=tenant.id
        )
        traces = await _on_channel(parts, request, tenant, traces)
        found += [each for trace in traces for each in _each(trace, span) if _fits(parts, request, each)]
        if len(found) > span.limit or position is None:
            break
        query = msgspec.structs.replace(query, **({"after": position} if span.is_back else {"before": position}))
    is_done = position is None and len(found) <= span.limit
    found = found[: span.limit][:: -1 if span.is_back else 1]
    ends: tuple[Any, Any] = (found[0].place, found[-1].place) if found else (None, None)
    if not found and position is not None:
        ends = ([position, 0], [position, 0])
    with_content = request.query.get("with_content", True)
    shown = [_attempt(parts, each, with_content=with_content) for each in found]
    return page(request, name, shown, *ends, done=is_done)


async def _on_channel(
    parts: Parts, request: Request, tenant: Tenant, traces: list[DeliveryTrace]
) -> list[DeliveryTrace]:
    """The deliveries of messages on the requested channel."""
    channel = request.query.get("channel")
    if channel is None or not traces:
        return traces
    events = await messages.by_seq(parts, request, tenant.id, [trace.row.event for trace in traces])
    named = {seq for seq, event in events.items() if channel in (channels_of(event.subject) or ())}
    return [trace for trace in traces if trace.row.event in named]


def _each(trace: DeliveryTrace, span: Span) -> list[Attempted]:
    """A delivery's attempts beyond the start of the page, in the page's direction."""
    every = [Attempted(trace, index) for index, each in enumerate(trace.attempts) if each.outcome not in _OURS]
    if not span.is_back:
        every.reverse()
    if span.place is None:
        return every
    return [each for each in every if (each.place > span.place if span.is_back else each.place < span.place)]


def _fits(parts: Parts, request: Request, each: Attempted) -> bool:
    given, attempt = request.query, each.trace.attempts[each.index]
    if parts.catalog.now.links[each.trace.row.link].name:
        # The operator's own links send no webhooks.
        return False
    status = given.get("status")
    if status is not None and int(status) != (SUCCESS if attempt.outcome == OK.name else FAIL):
        return False
    wanted = given.get("status_code_class")
    if wanted is not None and int(wanted) != (attempt.status or 0) // 100 * 100:
        return False
    types = given.get("event_types")
    return types is None or each.trace.row.event_type in types


def _narrowed(request: Request, query: DeliveryQuery) -> DeliveryQuery:
    after, before = times(request)
    return msgspec.structs.replace(query, since=after, until=before)


def _attempt(parts: Parts, each: Attempted, *, with_content: bool = True) -> MessageAttemptOut:
    row, attempt = each.trace.row, each.trace.attempts[each.index]
    endpoint = parts.catalog.now.links[row.link]
    status: Status = SUCCESS if attempt.outcome == OK.name else FAIL
    answer = attempt.reason if attempt.status is None else attempt.response
    return MessageAttemptOut(
        id=f"{parts.delivery_ids.of(row.number, row.created)}.{attempt.n}",
        url=endpoint.what.url,
        msg_id=row.event_id or "",
        endpoint_id=endpoint.id,
        response=(answer or "") if with_content else "",
        response_status_code=attempt.status or 0,
        response_duration_ms=attempt.duration_ms,
        status=status,
        status_text=TEXTS[status],
        trigger_type=0,
        timestamp=moment.to_text(attempt.at),
    )


async def get(parts: Parts, request: Request) -> Answer:
    """Get an attempt."""
    tenant = application(parts, request)
    event = await _event(parts, request, tenant)
    endpoints = {each.num for each in parts.endpoints.visible(request.caller, tenant.id)}
    ident, _, count = request.path["attempt_id"].rpartition(".")
    trace = await parts.deliveries.trace(request.caller, ident)
    return Answer(200, _attempt(parts, Attempted(trace, attempt_of(trace, event, count, endpoints))))


# --- messages of endpoints, endpoints of messages ---------------------------------------------------------------------


async def list_attempted_messages(parts: Parts, request: Request) -> Answer:
    """List the messages for an endpoint, and the state of each."""
    endpoint = endpoint_forms.find(parts, request)
    given, name = request.query, f"messages for {endpoint.id}"
    span = span_of(request, int, name)
    query = _narrowed(request, DeliveryQuery(limit=span.limit, oldest_first=span.is_back))
    if span.place is not None:
        query = msgspec.structs.replace(query, **({"after" if span.is_back else "before": span.place}))
    if given.get("status") is not None:
        query = msgspec.structs.replace(query, state=STATES[int(given["status"])])
    found = await parts.deliveries.page(request.caller, query, endpoint=endpoint.id)
    rows = found.rows[:: -1 if span.is_back else 1]
    events = await messages.by_seq(parts, request, endpoint.tenant, [row.event for row in rows])
    snapshot, lane_of = parts.catalog.now, await parts.lanes_of((row.link for row in rows), request.key.tenant)
    with_content, channel, types = given.get("with_content", True), given.get("channel"), given.get("event_types")
    data = []
    for row in rows:
        event = events.get(row.event)
        if event is None or (types is not None and event.type not in types):
            continue
        if channel is not None and channel not in (channels_of(event.subject) or ()):
            continue
        fields = messages.fields_of(event, with_content=with_content)
        data.append(EndpointMessageOut(**fields, **_standing(row, snapshot.links.get(row.link), lane_of)))
    ends = (rows[0].number, rows[-1].number) if rows else (found.position, found.position)
    return page(request, name, data, *ends, done=found.position is None)


async def list_attempted_destinations(parts: Parts, request: Request) -> Answer:
    """List the endpoints that a message is sent to, and the state of each delivery."""
    tenant = application(parts, request)
    event = await _event(parts, request, tenant)
    name = f"endpoints of {event.id}"
    span = span_of(request, int, name)
    query = DeliveryQuery(event=event.id, limit=span.limit, oldest_first=span.is_back)
    if span.place is not None:
        query = msgspec.structs.replace(query, **({"after" if span.is_back else "before": span.place}))
    found = await parts.deliveries.page(request.caller, query, tenant=tenant.id)
    rows = found.rows[:: -1 if span.is_back else 1]
    lane_of = await parts.lanes_of((row.link for row in rows), request.key.tenant)
    endpoints = {each.num: each for each in parts.endpoints.visible(request.caller, tenant.id)}
    data = []
    for row in rows:
        endpoint = endpoints.get(row.link)
        if endpoint is not None and row.event == event.seq:
            standing = _standing(row, endpoint, lane_of)
            data.append(MessageEndpointOut(**endpoint_forms.fields_of(endpoint), **standing))
    ends = (rows[0].number, rows[-1].number) if rows else (found.position, found.position)
    return page(request, name, data, *ends, done=found.position is None)


def _standing(row: DeliveryRow, endpoint: Any, lane_of: Any) -> dict[str, Any]:
    status = status_of(row.state)
    due, _ = next_attempt(row, endpoint, lane_of)
    text = time_text(due) if status == PENDING else None
    return {"status": status, "status_text": TEXTS[status], "next_attempt": UNSET if text is None else text}


async def resend(parts: Parts, request: Request) -> Answer:
    """Send a message to an endpoint again."""
    tenant = application(parts, request)
    event = await _event(parts, request, tenant)
    endpoint = endpoint_forms.find(parts, request, WRITE)
    found = await parts.deliveries.page(request.caller, DeliveryQuery(event=event.id, limit=1), endpoint=endpoint.id)
    row = sent_before(found.rows)

    def sent(trace: DeliveryTrace) -> Answer:
        return Answer(202, EmptyResponse())

    ident = parts.delivery_ids.of(row.number, row.created)
    return await parts.deliveries.retry(request.caller, ident, run_once(parts, request, sent))


async def _event(parts: Parts, request: Request, tenant: Tenant) -> Event:
    return await find(parts.readers, request.caller, tenant, request.path["msg_id"])


# --- the table --------------------------------------------------------------------------------------------------------

_STATUS = Parameter(
    name="status", schema={"type": "string", "enum": ["0", "1", "2", "3"]}, help="Success, pending, fail or sending."
)
_CLASS = Parameter(
    name="status_code_class",
    schema={"type": "string", "enum": ["0", "100", "200", "300", "400", "500"]},
    help="Return only attempts whose response has a status of this class.",
)
_EXPANDED = Parameter(
    name="expanded_statuses",
    schema={"type": "boolean"},
    help="This parameter makes no difference: a cancelled delivery is always shown as failed.",
)
_ENDPOINT = Parameter(
    name="endpoint_id", schema={"type": "string", "maxLength": 256}, help="Return only attempts for this endpoint."
)
_OF_MESSAGE = "/app/{app_id}/msg/{msg_id}"
OPERATIONS: tuple[Operation, ...] = (
    operation(
        "v1.message-attempt.list-by-endpoint",
        "GET",
        "/app/{app_id}/attempt/endpoint/{endpoint_id}",
        READ,
        list_by_endpoint,
        tag=TAG,
        response=ListResponse[MessageAttemptOut],
        parameters=(*PAGING, _STATUS, _CLASS, CHANNEL, *TIMES, CONTENT, TYPES, _EXPANDED),
    ),
    operation(
        "v1.message-attempt.list-by-msg",
        "GET",
        "/app/{app_id}/attempt/msg/{msg_id}",
        READ,
        list_by_msg,
        tag=TAG,
        response=ListResponse[MessageAttemptOut],
        parameters=(*PAGING, _STATUS, _CLASS, CHANNEL, _ENDPOINT, *TIMES, CONTENT, TYPES, _EXPANDED),
    ),
    operation(
        "v1.message-attempt.list-attempted-messages",
        "GET",
        "/app/{app_id}/endpoint/{endpoint_id}/msg",
        READ,
        list_attempted_messages,
        tag=TAG,
        response=ListResponse[EndpointMessageOut],
        parameters=(*PAGING, CHANNEL, _STATUS, *TIMES, CONTENT, TYPES, _EXPANDED),
    ),
    operation(
        "v1.message-attempt.list-attempted-destinations",
        "GET",
        f"{_OF_MESSAGE}/endpoint",
        READ,
        list_attempted_destinations,
        tag=TAG,
        response=ListResponse[MessageEndpointOut],
        parameters=(*PAGING, _EXPANDED),
    ),
    operation(
        "v1.message-attempt.get",
        "GET",
        _OF_MESSAGE + "/attempt/{attempt_id}",
        READ,
        get,
        tag=TAG,
        response=MessageAttemptOut,
        parameters=(_EXPANDED,),
    ),
    operation(
        "v1.message-attempt.resend",
        "POST",
        _OF_MESSAGE + "/endpoint/{endpoint_id}/resend",
        WRITE,
        resend,
        tag=TAG,
        at_sender=True,
        response=EmptyResponse,
        status=202,
    ),
)
