"""Messages: our events. The payload is the event's data, and is the whole body of the webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from tidings.control.reading import READ, readable
from tidings.control.svix.applications import MADE_ID
from tidings.control.svix.messages import Fits, find, is_message_of, unless_there
from tidings.intake.publish import NewEvent
from tidings.model import moment
from tidings.model.access import Tenant
from tidings.model.errors import Invalid, Malformed
from tidings.model.event import Event
from tidings.rules.reading import jsontext
from tidings.rules.reading.refused import Refused, escaped
from tidings.store.base import Db
from tidings.store.log import feed
from tidings.store.log.feed import EventQuery
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts
from tidings.web.svix.channels import channels_of, subject_of
from tidings.web.svix.paging import Span, page, span_of, times
from tidings.web.svix.rows import (
    CHANNEL,
    CONTENT,
    PAGING,
    TIMES,
    TYPES,
    application,
    application_or_new,
    row,
)
from tidings.web.svix.shapes import ListResponse, MessageIn, MessageOut

TAG = "Message"
WRITE = "events:write"
READS_MAX = 20
"""The maximum number of pages of the log that are read for one page of messages, if few events match."""
NAME = "messages of "
_EMPTY = msgspec.Raw(b"{}")


def fields_of(event: Event, *, with_content: bool) -> dict[str, Any]:
    """The members that every form of a message has."""
    named = channels_of(event.subject)
    return {
        "id": event.id,
        "event_id": UNSET if MADE_ID.fullmatch(event.id) else event.id,
        "event_type": event.type,
        "payload": msgspec.Raw(event.data.encode()) if with_content else _EMPTY,
        "channels": UNSET if named is None else named,
        "timestamp": moment.to_text(event.time),
    }


def shown(event: Event, *, with_content: bool = True) -> MessageOut:
    """A message."""
    return MessageOut(**fields_of(event, with_content=with_content))


async def create(parts: Parts, request: Request) -> Answer:
    """Send a message to the application's endpoints."""
    given: MessageIn = request.body
    _refuse(given, parts.settings.retention_days)
    payload, value = _payload(given, request.value)
    new = NewEvent(type=given.event_type, data=payload, id=given.event_id, subject=subject_of(given.channels))
    # Errors in the message are reported before an application is made for it.
    values = ({"data": value},)
    parts.publisher.check((new,), values, caller=request.caller, pointers=("",))
    tenant = await application_or_new(parts, request, given.application)
    new = msgspec.structs.replace(new, tenant=tenant.id)
    publication = parts.publisher.check((new,), values, caller=request.caller, pointers=("",))
    with_content = request.query.get("with_content", True)

    def stored(events: Sequence[Event]) -> Answer:
        event = events[0]
        return Answer(202, shown(event, with_content=with_content))

    run = run_once(parts, request, stored)
    if given.event_id is not None:
        run = unless_there(publication.events[0], run)
    return await parts.publisher.publish_with(publication, run, single=True)


async def list_messages(parts: Parts, request: Request) -> Answer:
    """List an application's messages, newest first."""
    tenant = application(parts, request)
    whose = readable(request.caller, tenant.id)
    name, given = NAME + tenant.id, request.query
    span, (after, before) = span_of(request, int, name), times(request)
    types = frozenset(given["event_types"]) if "event_types" in given else None
    query = EventQuery(tenant=whose, types=types, since=after, until=before)
    fits = _fits(tenant, given.get("channel"))
    events, more, place = await parts.readers.call(lambda db: _page(db, query, span, fits), request.key.tenant)
    with_content = given.get("with_content", True)
    # If few messages match, a page may be empty although the list continues.
    ends = (events[0].seq, events[-1].seq) if events else (place, place) if more else (None, None)
    return page(request, name, [shown(event, with_content=with_content) for event in events], *ends, done=not more)


async def get(parts: Parts, request: Request) -> Answer:
    """Get a message by its id or eventId."""
    event = await find(parts.readers, request.caller, application(parts, request), request.path["msg_id"])
    return Answer(200, shown(event, with_content=request.query.get("with_content", True)))


async def by_seq(parts: Parts, request: Request, tenant: str | None, seqs: Sequence[int]) -> dict[int, Event]:
    """A tenant's events by their numbers."""
    readable(request.caller, tenant)
    found = await parts.readers.call(lambda db: feed.shown(db, list(seqs)), request.key.tenant)
    return {event.seq: event for event in found}


def _fits(tenant: Tenant, channel: str | None) -> Fits:
    """Whether an event is a message of this application, on this channel."""
    is_message = is_message_of(tenant)
    if channel is None:
        return is_message
    return lambda event: is_message(event) and channel in (channels_of(event.subject) or ())


def _page(db: Db, query: EventQuery, span: Span, fits: Fits) -> tuple[list[Event], bool, int]:
    """The events of a page, newest first; whether there are more in its direction; and how far was read."""
    found: list[Event] = []
    place = span.place if span.place is not None else (0 if span.is_back else feed.ABOVE_ALL)
    for _ in range(READS_MAX):
        read = (feed.following if span.is_back else feed.preceding)(db, query, place, span.limit + 1)
        found += [event for event in read.events if fits(event)]
        place = read.position
        if len(found) > span.limit or not read.more:
            break
    more = len(found) > span.limit or read.more
    found = found[: span.limit]
    return (found[::-1] if span.is_back else found), more, place


def _payload(given: MessageIn, value: Any) -> tuple[msgspec.Raw, Any]:
    """The payload, verbatim, and as plain values. Some SDKs send all of it as one text. Raises Refused."""
    raw = (given.transformations_params or {}).get("rawPayload")
    if raw is None:
        return given.payload, value["payload"]
    try:
        found = jsontext.read(raw.encode()) if isinstance(raw, str) else None
    except (Malformed, Invalid):
        found = None
    if not isinstance(found, dict):
        detail = "In Tidings, a raw payload must be the text of a JSON object, because filters refer to its members."
        raise Refused("/transformationsParams/rawPayload", "wrong_value", detail)
    return msgspec.Raw(raw.encode()), found


def _refuse(given: MessageIn, retention_days: int) -> None:
    """Raise Refused for what is not supported here, rather than send a message that differs from what was meant."""
    if given.deliver_at is not None:
        raise Refused("/deliverAt", "not_permitted", "Tidings sends messages at once; leave `deliverAt` out.")
    for name, value in (given.transformations_params or {}).items():
        if name not in ("rawPayload", "headers") and value is not None:
            detail = (
                "Tidings has no transformations: of these parameters, it supports only `rawPayload`. Leave this one "
                "out."
            )
            raise Refused(f"/transformationsParams/{escaped(name)}", "not_permitted", detail)
    if (given.transformations_params or {}).get("headers"):
        detail = "Tidings does not support headers for a single message; set headers on each endpoint."
        raise Refused("/transformationsParams/headers", "not_permitted", detail)
    days = given.payload_retention_period
    if days is not None and not 0 < retention_days <= days:
        kept = f"for {retention_days} days" if retention_days else "forever"
        detail = (
            f"This server keeps messages {kept} (setting `retention_days`), so it cannot drop this one after {days} "
            f"{'day' if days == 1 else 'days'}."
        )
        raise Refused("/payloadRetentionPeriod", "not_permitted", detail)


ALL, ONE = "/app/{app_id}/msg", "/app/{app_id}/msg/{msg_id}"
OPERATIONS: tuple[Operation, ...] = (
    row(
        "v1.message.list",
        "GET",
        ALL,
        READ,
        list_messages,
        tag=TAG,
        response=ListResponse[MessageOut],
        parameters=(*PAGING, CHANNEL, *TIMES, CONTENT, TYPES),
    ),
    row(
        "v1.message.create",
        "POST",
        ALL,
        WRITE,
        create,
        tag=TAG,
        request=MessageIn,
        response=MessageOut,
        status=202,
        parameters=(CONTENT,),
    ),
    row("v1.message.get", "GET", ONE, READ, get, tag=TAG, response=MessageOut, parameters=(CONTENT,)),
)
