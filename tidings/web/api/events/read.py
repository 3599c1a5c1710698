"""The operations that read events: lists, one event, the catch-up feed and the stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tidings.control.reading import AHEAD, NO_CURSOR, check_position, find, readable
from tidings.model.errors import Invalid
from tidings.rules import event_types
from tidings.rules.network.origin import public_url
from tidings.store.base import Db
from tidings.store.log import feed
from tidings.store.log.feed import EventQuery
from tidings.views.events import EventDetail, EventView, event_detail, event_view
from tidings.web.callers.tickets import (
    PARAMETER,
    TICKET_CHARS_MAX,
    TICKET_PATTERN,
    TICKET_SECONDS,
    TOGETHER,
    StreamTicket,
    view,
)
from tidings.web.habits.paging import LIMIT, PAGING, Page, counted
from tidings.web.habits.shaping import TYPE_OR_BEGINNING, fields_parameter, narrowed, sort_of, streaming
from tidings.web.operation import Answer, Operation, Parameter, Request, Stream
from tidings.web.parts import Parts

TAG = "Events"
WAIT_SECONDS_MAX = 60
HEARTBEAT_SECONDS = 15.0
PIECE_EVENTS = 500
PIECE_BYTES = 256 * 1024
START, END = "start", "end"
TYPE, MESSAGE = "type", "message"
"""How the SSE events of a stream are named: by the event's type, or all `message`."""
UNBUFFERED = ("x-accel-buffering", "no")
"""Without this header, nginx buffers responses, so a stream would arrive late or never."""
STREAM = "/v1/events/stream"


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events. With `after`, `next_cursor` is always set: continue from there."""

    data: list[EventView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def list_events(parts: Parts, request: Request) -> Answer:
    """A page of the log, or with `after` the events committed since."""
    if "after" in request.query:
        return await _catch_up(parts, request)
    if "wait" in request.query:
        raise Invalid.of_parameter(
            "wait", TOGETHER, "`wait` requires `after`: the call waits for events that come after a cursor."
        )
    page = Page.of(request)
    query = _query(request)
    is_up = sort_of(request) == ["created"]

    def read(db: Db) -> tuple[feed.FeedPage, int | None]:
        total = counted(feed.count(db, query)) if request.query.get("count") else None
        if is_up:
            return feed.following(db, query, page.after or 0, page.limit), total
        before = feed.ABOVE_ALL if page.after is None else page.after
        return feed.preceding(db, query, before, page.limit), total

    found, total = await parts.readers.call(read, request.key.tenant)
    return page.answer([event_view(event) for event in found.events], found.position if found.more else None, total)


async def get_event(parts: Parts, request: Request) -> Answer:
    """One event, where it went, and why it did not go elsewhere."""
    caller, snapshot = request.caller, parts.catalog.now

    def read(db: Db) -> EventDetail:
        event = find(db, caller, request.path["event"], request.query.get("tenant"))
        return event_detail(db, snapshot, event, request.caller, parts.delivery_ids, parts.lanes_in(db))

    return Answer(200, await parts.readers.call(read, request.key.tenant))


async def stream_events(parts: Parts, request: Request) -> Stream:
    """Events as they are committed, as server-sent events."""
    after = request.headers.get("last-event-id") or request.query.get("after", END)
    query = _query(request)
    position = await parts.readers.call(lambda db: _start(db, request, after), request.key.tenant)
    return Stream(_pieces(parts, request, query, position), [UNBUFFERED])


async def make_ticket(parts: Parts, request: Request) -> Answer:
    """A ticket for a stream with these parameters."""
    _query(request)
    ticket, expires = parts.tickets.make(request.key, request.query)
    public = public_url(parts.settings.public_url)
    return Answer(200, view(ticket, expires, public.whole if public else "", STREAM))


async def _catch_up(parts: Parts, request: Request) -> Answer:
    for name in ("cursor", "sort", "count"):
        if name in request.query:
            detail = (
                f"`{name}` cannot be combined with `after`, which is a cursor itself and always reads in commit order."
            )
            raise Invalid.of_parameter(name, TOGETHER, detail)
    query, limit = _query(request), request.query.get("limit", LIMIT)
    deadline = time.monotonic() + request.query.get("wait", 0)
    position = await parts.readers.call(lambda db: _start(db, request, request.query["after"]), request.key.tenant)
    while True:
        page = await _next(parts, query, position, limit, feed.PAGE_BYTES_MAX)
        position = page.position
        left = deadline - time.monotonic()
        if page.events or left <= 0 or parts.feed.closed:
            data = [event_view(event) for event in page.events]
            return Answer(
                200, EventList(data=data, next_cursor=request.cursors.seal_feed(position, request.key.tenant))
            )
        if not page.more:
            position = await parts.feed.wait(query, position, left)


async def _pieces(parts: Parts, request: Request, query: EventQuery, position: int) -> AsyncIterator[bytes]:
    """The stream's text (WHATWG HTML, server-sent events), in pieces of many events."""
    yield b": tidings\nretry: 1000\n\n"
    written = time.monotonic()
    while _still_valid(parts, request) and not parts.feed.closed:
        page = await _next(parts, query, position, PIECE_EVENTS, PIECE_BYTES)
        position = page.position
        if page.events:
            seal, tenant = request.cursors.seal_feed, request.key.tenant
            yield b"".join([_frame(event_view(event), seal(event.seq, tenant), request) for event in page.events])
            written = time.monotonic()
        if page.more:
            continue
        quiet = time.monotonic() - written
        if quiet >= HEARTBEAT_SECONDS:
            # The id lets the reader skip the events that are not for it; without data, browsers dispatch nothing.
            yield b": still here\nid: " + request.cursors.seal_feed(position, request.key.tenant).encode() + b"\n\n"
            written, quiet = time.monotonic(), 0.0
        if not _still_valid(parts, request):
            return
        position = await parts.feed.wait(query, position, HEARTBEAT_SECONDS - quiet)


async def _next(parts: Parts, query: EventQuery, position: int, limit: int, bytes_max: int) -> feed.FeedPage:
    async def read() -> feed.FeedPage:
        return await parts.readers.call(lambda db: feed.following(db, query, position, limit, bytes_max), query.tenant)

    page: feed.FeedPage = await parts.feed.together((query, position, limit, bytes_max), read)
    return page


def _frame(event: EventView, cursor: str, request: Request) -> bytes:
    text = msgspec.json.encode(event if request.chosen is None else narrowed(event, request.chosen))
    if b"\n" in text or b"\r" in text:
        # Line breaks are only between the tokens of a JSON text: inside strings they are escaped.
        text = text.replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    name = b"" if request.query.get("events") == MESSAGE else b"\nevent: " + event.type.encode()
    return b"id: " + cursor.encode() + name + b"\ndata: " + text + b"\n\n"


def _still_valid(parts: Parts, request: Request) -> bool:
    """Whether the key is still valid: a stream can stay open while keys change."""
    key = parts.catalog.now.keys.get(request.key.id)
    return key is not None and key.revoked is None and (key.expires is None or key.expires > parts.clock.now())


def _query(request: Request) -> EventQuery:
    given = request.query
    types = given.get("type__in")
    if "type" in given:
        if types is not None:
            raise Invalid.of_parameter("type", TOGETHER, "Send `type` or `type__in`, not both.")
        types = [given["type"]]
    exact, beginnings = (None, ()) if types is None else event_types.split(types)
    return EventQuery(
        tenant=readable(request.caller, given.get("tenant")),
        collection=given.get("collection"),
        types=exact,
        beginnings=beginnings,
        subject=given.get("subject"),
        since=given.get("time__gte"),
        until=given.get("time__lt"),
    )


# --- the feed's cursor ------------------------------------------------------------------------------------------------


def _start(db: Db, request: Request, after: str) -> int:
    """The position of a cursor. Raises Invalid or Gone."""
    if after in ("", START):
        return 0
    if after == END:
        return feed.head(db)
    position = request.cursors.open_feed(after, request.key.tenant)
    if position is None:
        is_list = request.cursors.open(after) is not None
        raise Invalid.of_parameter("after", NO_CURSOR, OF_A_LIST if is_list else NOT_OURS)
    if request.cursors.is_taken_back(position):
        raise Invalid.of_parameter("after", NO_CURSOR, AHEAD)
    return check_position(db, position)


NOT_OURS = (
    "This cursor is not from this server, or belongs to another tenant. Send `start`, `end`, or the "
    "`next_cursor` of the previous response."
)
OF_A_LIST = (
    "This cursor is from a page of a list: send it as `cursor` to the same list. `after` takes `start`, `end`, or "
    "the `next_cursor` of a response to a request with `after`."
)


# --- the menu ---------------------------------------------------------------------------------------------------------


def _parameter(name: str, schema: dict[str, Any], help: str) -> Parameter:
    return Parameter(name=name, schema=schema, help=help)


_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_TIME = {"type": "string", "format": "date-time"}
_CHOOSE = (
    _parameter(
        "type",
        TYPE_OR_BEGINNING,
        "Return only events of this type (`tasks.completed`), or of a type that matches this pattern (`tasks.*`).",
    ),
    _parameter(
        "type__in",
        {"type": "array", "items": TYPE_OR_BEGINNING, "minItems": 1, "maxItems": 100},
        "Return only events of these types. Patterns are allowed: `tasks.*` matches every type that begins with "
        "`tasks.`.",
    ),
    _parameter("collection", _TEXT, "Return only changes to this collection's items."),
    _parameter(
        "subject", _TEXT, "Return only events about this subject. The subject of a change to an item is the item's id."
    ),
    _parameter(
        "tenant", _TEXT, "Return only this tenant's events. A tenant's key always gets only its own tenant's events."
    ),
    _parameter("time__gte", _TIME, "Return only events whose `time` is this time or later."),
    _parameter("time__lt", _TIME, "Return only events whose `time` is before this time."),
)
_AFTER = "Where to continue: a cursor, `start` for everything that is stored, or `end` for new events only."
_STREAMED = (
    *_CHOOSE,
    _parameter("after", {"type": "string", "maxLength": 100}, _AFTER),
    _parameter(
        "events",
        {"type": "string", "enum": [TYPE, MESSAGE], "default": TYPE},
        "How to name the server-sent events: with `type`, each one is named after the type of the event in it; with "
        "`message`, all of them are named `message`.",
    ),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_events",
        method="GET",
        path="/v1/events",
        scope="events:read",
        summary="List events, or catch up from a cursor",
        help=(
            "Without `after`, the response is a list, newest first. With `after`, the response has the events "
            "committed after that cursor, oldest first, and `next_cursor` is always set. `wait` delays the response "
            "until there is an event or the time is up."
        ),
        handler=list_events,
        tag=TAG,
        response=EventList,
        sorts=("-created", "created"),
        parameters=(
            *_CHOOSE,
            _parameter("after", {"type": "string", "maxLength": 100}, _AFTER),
            _parameter(
                "wait",
                {"type": "integer", "minimum": 0, "maximum": WAIT_SECONDS_MAX},
                "How many seconds to wait for an event; requires `after`.",
            ),
            *PAGING,
        ),
    ),
    streaming(
        Operation(
            name="stream_events",
            method="GET",
            path=STREAM,
            scope="events:read",
            summary="Follow events as they are committed",
            help=(
                "The response is a stream of server-sent events: `id` is the cursor, `event` the type, and `data` "
                "the event. After a disconnect, reconnect with `Last-Event-ID` so that you miss no events. With "
                "`after`, the stream begins with the events after that cursor; without it, the stream has only new "
                "events. A browser's `EventSource` calls `onmessage` only if you set `events=message`."
            ),
            handler=stream_events,
            tag=TAG,
            response=str,
            media="text/event-stream",
            stream=True,
            ticketed=True,
            parameters=(
                *_STREAMED,
                _parameter(
                    PARAMETER,
                    {"type": "string", "pattern": TICKET_PATTERN, "maxLength": TICKET_CHARS_MAX},
                    "A ticket from `make_stream_ticket`, to use instead of a key. The only other parameter it allows "
                    "is `after`.",
                ),
                Parameter(
                    name="Last-Event-ID",
                    schema={"type": "string"},
                    help="The `id` of the last event that you received.",
                    where="header",
                ),
            ),
        ),
        EventView,
    ),
    Operation(
        name="make_stream_ticket",
        method="POST",
        path=f"{STREAM}:ticket",
        scope="events:read",
        summary="Make a ticket for a stream",
        help=(
            "Use a ticket with a browser's `EventSource`, which cannot send a key. The ticket is valid for "
            f"{TICKET_SECONDS} seconds. The stream that it opens has the parameters of this call and the rights of "
            f"your key. An open stream stays open until the key expires or is revoked."
        ),
        handler=make_ticket,
        tag=TAG,
        response=StreamTicket,
        parameters=(*_STREAMED, fields_parameter(EventView)),
    ),
    Operation(
        name="get_event",
        method="GET",
        path="/v1/events/{event}",
        scope="events:read",
        summary="Read one event",
        help="The response includes the event's deliveries and, for every endpoint that did not get the event, "
        "the reason.",
        handler=get_event,
        tag=TAG,
        response=EventDetail,
        parameters=(
            _parameter(
                "tenant", _TEXT, "The event's tenant; needed only if several tenants have an event with this id."
            ),
        ),
    ),
)
