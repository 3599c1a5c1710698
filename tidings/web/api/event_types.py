"""The operations on event types: the catalogue of what may happen, with schemas and examples."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.event_types import EventTypeBody, NewEventType
from tidings.model.event import EventType
from tidings.views.event_types import EventTypeView, event_type_view
from tidings.web.habits.edits import conditions, etag, merged, patch_of
from tidings.web.habits.given import agree
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import PAGING, SortedPage, SortKey
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, IF_NONE_MATCH_OF_PUT, if_match, not_modified
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Event types"


EventTypePatch = patch_of(EventTypeBody, "EventTypePatch", "A merge patch: omitted members stay, null removes a field.")


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
    if not_modified(request, kind.revision):
        return Answer(304, None, [etag(kind.revision)])
    return _shown(kind)


async def put_event_type(parts: Parts, request: Request) -> Answer:
    """Create an event type, or replace it."""
    name = request.path["name"]

    def check(before: EventType | None) -> None:
        agree(request, None if before is None else event_type_view(before), name=name)

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
    """Take an event type out of the catalogue; its events and endpoints stay."""
    await parts.event_types.delete(request.caller, request.path["name"], if_match(request), parts.writer.call)
    return Answer(204)


def _shown(kind: EventType) -> Answer:
    return Answer(200, event_type_view(kind), [etag(kind.revision)])


def _created(kind: EventType) -> Answer:
    return Answer(201, event_type_view(kind), [("location", f"/v1/event-types/{kind.name}"), etag(kind.revision)])


EXAMPLE = {
    "description": "A task was completed.",
    "schema": {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "pattern": "^t_[0-9]+$", "maxLength": 64}},
    },
    "example": {"id": "t_17"},
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_event_types",
        method="GET",
        path="/v1/event-types",
        scope="event-types:read",
        summary="List event types",
        handler=list_event_types,
        tag=TAG,
        response=EventTypeList,
        sorts=("name", "-name", "created", "-created"),
        sorts_max=2,
        parameters=PAGING,
    ),
    Operation(
        name="create_event_type",
        method="POST",
        path="/v1/event-types",
        scope="event-types:write",
        summary="Add an event type",
        handler=create_event_type,
        tag=TAG,
        request=NewEventType,
        response=EventTypeView,
        status=201,
        idempotent_key=True,
        example={"name": "tasks.completed", **EXAMPLE},
    ),
    Operation(
        name="get_event_type",
        method="GET",
        path="/v1/event-types/{name}",
        scope="event-types:read",
        summary="Read an event type",
        handler=get_event_type,
        tag=TAG,
        response=EventTypeView,
        parameters=(IF_NONE_MATCH,),
    ),
    Operation(
        name="put_event_type",
        method="PUT",
        path="/v1/event-types/{name}",
        scope="event-types:write",
        summary="Create or replace an event type",
        help="`If-None-Match: *` only creates, `If-Match` only replaces.",
        also=((201, "It was created."),),
        handler=put_event_type,
        tag=TAG,
        request=EventTypeBody,
        response=EventTypeView,
        parameters=(IF_MATCH, IF_NONE_MATCH_OF_PUT),
        example=EXAMPLE,
    ),
    Operation(
        name="edit_event_type",
        method="PATCH",
        path="/v1/event-types/{name}",
        scope="event-types:write",
        summary="Change an event type",
        handler=edit_event_type,
        tag=TAG,
        request=EventTypePatch,
        merge_patch=True,
        response=EventTypeView,
        parameters=(IF_MATCH,),
        example={"description": "A task was completed by its owner."},
    ),
    Operation(
        name="delete_event_type",
        method="DELETE",
        path="/v1/event-types/{name}",
        scope="event-types:write",
        summary="Delete an event type",
        help="Events of this type stay, and may still be published, unchecked.",
        handler=delete_event_type,
        tag=TAG,
        status=204,
        parameters=(IF_MATCH,),
    ),
)
