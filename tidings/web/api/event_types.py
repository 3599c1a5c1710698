"""The operations on event types: the catalogue of what may happen, with schemas and examples."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.event_types import EventTypeBody, NewEventType
from tidings.model.event import EventType
from tidings.views.event_types import EventTypeView, event_type_view
from tidings.web.habits.edits import conditions, created, merged, patch_of, shown, unless_known
from tidings.web.habits.given import agree, agreeing
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import SortedPage, SortKey
from tidings.web.habits.revisions import if_match
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Event types"


EventTypePatch = patch_of(
    EventTypeBody, "EventTypePatch", "A merge patch: omitted members keep their values, and null removes a member."
)


class EventTypeList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of event types, by name."""

    data: list[EventTypeView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


SORTS: dict[str, SortKey] = {"name": lambda kind: kind.name, "created": lambda kind: kind.created}


async def list_event_types(parts: Parts, request: Request) -> Answer:
    """The catalogue, by name by default."""
    page = SortedPage(request, parts.event_types.visible(request.caller), SORTS, lambda kind: kind.name)
    return page.answer([event_type_view(kind) for kind in page.shown])


async def create_event_type(parts: Parts, request: Request) -> Answer:
    """Add an event type."""
    return await parts.event_types.create(request.caller, request.body, run_once(parts, request, _created))


async def get_event_type(parts: Parts, request: Request) -> Answer:
    """Read one event type."""
    kind = parts.event_types.find(request.caller, request.path["name"])
    return unless_known(request, event_type_view(kind), kind.revision)


async def put_event_type(parts: Parts, request: Request) -> Answer:
    """Create an event type, or replace it."""
    name = request.path["name"]
    check = agreeing(request, event_type_view)
    kind = await parts.event_types.put(
        request.caller, name, request.body, conditions(request), check, parts.writer.call
    )
    return _created(kind) if kind.revision == 1 else _shown(kind)


async def edit_event_type(parts: Parts, request: Request) -> Answer:
    """Change some fields of an event type."""

    def change(before: EventType) -> EventTypeBody:
        agree(request, event_type_view(before))
        document: dict[str, Any] = {"description": before.description}
        for field in ("schema", "example"):
            text = getattr(before, field)
            if text is not None:
                document[field] = msgspec.json.decode(text)
        return merged(document, request, EventTypeBody)

    expected = if_match(request)
    return _shown(
        await parts.event_types.edit(request.caller, request.path["name"], expected, change, parts.writer.call)
    )


async def delete_event_type(parts: Parts, request: Request) -> Answer:
    """Remove an event type from the catalogue; its events and endpoints are kept."""
    await parts.event_types.delete(request.caller, request.path["name"], if_match(request), parts.writer.call)
    return Answer(204)


def _shown(kind: EventType) -> Answer:
    return shown(event_type_view(kind), kind.revision)


def _created(kind: EventType) -> Answer:
    return created(event_type_view(kind), kind.revision, f"/v1/event-types/{kind.name}")


EXAMPLE = {
    "description": "A task was completed.",
    "schema": {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "pattern": "^t_[0-9]+$", "maxLength": 64}},
    },
    "example": {"id": "t_17"},
}

NOUN = Noun(name="event_type", path="/v1/event-types/{name}", tag=TAG, view=EventTypeView, whole_to_write=True)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.lists(list_event_types, EventTypeList, SORTS, summary="List event types"),
    NOUN.creates(
        create_event_type,
        summary="Add an event type",
        request=NewEventType,
        example={"name": "tasks.completed", **EXAMPLE},
    ),
    NOUN.reads(get_event_type, summary="Read an event type"),
    NOUN.puts(
        put_event_type,
        summary="Create or replace an event type",
        help="With `If-None-Match: *`, the call can only create an event type; with `If-Match`, it can only replace "
        "an existing one.",
        request=EventTypeBody,
        example=EXAMPLE,
    ),
    NOUN.edits(
        edit_event_type,
        summary="Change an event type",
        request=EventTypePatch,
        example={"description": "A task was completed by its owner."},
    ),
    NOUN.deletes(
        delete_event_type,
        summary="Delete an event type",
        help="Events of this type are kept. You can still publish new ones, but they are no longer checked against a "
        "schema.",
    ),
)
