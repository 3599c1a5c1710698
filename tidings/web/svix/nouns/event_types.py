"""Event types: the names and descriptions are ours; what Svix adds is kept with them. Payloads are not checked."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from tidings.control.event_types import EventTypeBody, NewEventType
from tidings.control.svix.notes import noted, notes_of
from tidings.model import moment
from tidings.model.errors import Conflict
from tidings.model.event import ChangeType, EventType
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts
from tidings.web.svix.paging import listed
from tidings.web.svix.rows import ORDER, PAGING, row
from tidings.web.svix.shapes import EventTypeIn, EventTypeOut, EventTypePatch, EventTypeUpdate, ListResponse

TAG = "Event Type"
READ, WRITE = "event-types:read", "event-types:write"
ONE = "/event-type/{event_type_name}"
_KEPT = ("archived", "deprecated", "feature_flag", "feature_flags", "group_name", "schemas")
"""Members that are kept next to an event type, because our event types do not have them."""


def shown(kind: EventType, *, with_content: bool = True) -> EventTypeOut:
    """An event type. One of our own has its schema as version 1."""
    notes = notes_of(kind)
    schemas = notes.get("schemas")
    if schemas is None and kind.schema is not None:
        schemas = {"1": msgspec.json.decode(kind.schema)}
    return EventTypeOut(
        name=kind.name,
        description=kind.description,
        archived=bool(notes.get("archived")),
        deprecated=bool(notes.get("deprecated")),
        feature_flag=notes.get("feature_flag") or UNSET,
        feature_flags=notes.get("feature_flags") or UNSET,
        group_name=notes.get("group_name") or UNSET,
        schemas=schemas if with_content and schemas is not None else UNSET,
        created_at=moment.to_text(kind.created),
        updated_at=moment.to_text(kind.updated),
    )


def _created(kind: EventType) -> Answer:
    return Answer(201, shown(kind))


async def list_event_types(parts: Parts, request: Request) -> Answer:
    """List event types."""
    archived, content = request.query.get("include_archived"), bool(request.query.get("with_content"))
    found = [
        kind
        for kind in parts.event_types.visible(request.caller)
        if not isinstance(kind, ChangeType) and (archived or not notes_of(kind).get("archived"))
    ]
    return listed(
        request, "event types", found, lambda kind: [kind.name], lambda kind: shown(kind, with_content=content)
    )


async def create(parts: Parts, request: Request) -> Answer:
    """Create an event type, or unarchive one."""
    given: EventTypeIn = request.body
    there = parts.catalog.now.event_types.get(given.name)
    run = run_once(parts, request, _created)
    if there is not None and notes_of(there).get("archived"):
        change = _patch(_whole(given) | {"archived": bool(given.archived)})
        answer: Answer = await parts.event_types.edit(request.caller, given.name, None, change[0], run, noted=change[1])
        return answer
    new = NewEventType(name=given.name, description=given.description)
    notes = noted({name: value for name, value in _whole(given).items() if name in _KEPT and value is not None})
    made: Answer = await parts.event_types.create(request.caller, new, run, notes=notes)
    return made


async def get(parts: Parts, request: Request) -> Answer:
    """Get an event type."""
    return Answer(200, shown(parts.event_types.find(request.caller, request.path["event_type_name"])))


async def put(parts: Parts, request: Request) -> Answer:
    """Create an event type, or replace it."""
    given: EventTypeUpdate = request.body
    name = request.path["event_type_name"]
    if name not in parts.catalog.now.event_types:
        notes = noted({each: value for each, value in _whole(given).items() if each in _KEPT and value is not None})
        new = NewEventType(name=name, description=given.description)
        try:
            return _created(await parts.event_types.create(request.caller, new, parts.writer.call, notes=notes))
        except Conflict:
            # Another request was first, or the type belongs to a collection.
            parts.event_types.find(request.caller, name)
    return await _edit(parts, request, _whole(given) | {"archived": bool(given.archived)})


async def patch(parts: Parts, request: Request) -> Answer:
    """Change part of an event type."""
    return await _edit(parts, request, _whole(request.body))


async def delete(parts: Parts, request: Request) -> Answer:
    """Archive an event type, or with `expunge` delete it."""
    name = request.path["event_type_name"]
    if request.query.get("expunge"):
        await parts.event_types.delete(request.caller, name, None, parts.writer.call)
    else:
        await _edit(parts, request, {"archived": True})
    return Answer(204)


async def _edit(parts: Parts, request: Request, members: dict[str, Any]) -> Answer:
    change, notes = _patch(members)
    name = request.path["event_type_name"]
    return Answer(
        200, shown(await parts.event_types.edit(request.caller, name, None, change, parts.writer.call, noted=notes))
    )


def _whole(given: EventTypeUpdate | EventTypePatch) -> dict[str, Any]:
    members = msgspec.structs.asdict(given)
    return {name: value for name, value in members.items() if value is not UNSET}


def _patch(members: dict[str, Any]) -> tuple[Any, Any]:
    """An event type and its notes after these members are set."""

    def change(before: EventType) -> EventTypeBody:
        schema, example = (
            None if text is None else msgspec.json.decode(text) for text in (before.schema, before.example)
        )
        return EventTypeBody(description=members.get("description", before.description), schema=schema, example=example)

    def notes(before: EventType) -> str:
        kept = notes_of(before) | {name: value for name, value in members.items() if name in _KEPT}
        return noted({name: value for name, value in kept.items() if value is not None})

    return change, notes


_ARCHIVED = Parameter(name="include_archived", schema={"type": "boolean"}, help="Include archived event types.")
_CONTENT = Parameter(name="with_content", schema={"type": "boolean"}, help="Include the schemas of the event types.")
_EXPUNGE = Parameter(name="expunge", schema={"type": "boolean"}, help="Delete the event type instead of archiving it.")
OPERATIONS: tuple[Operation, ...] = (
    row(
        "v1.event-type.list",
        "GET",
        "/event-type",
        READ,
        list_event_types,
        tag=TAG,
        response=ListResponse[EventTypeOut],
        parameters=(*PAGING, ORDER, _ARCHIVED, _CONTENT),
    ),
    row(
        "v1.event-type.create",
        "POST",
        "/event-type",
        WRITE,
        create,
        tag=TAG,
        request=EventTypeIn,
        response=EventTypeOut,
        status=201,
    ),
    row("v1.event-type.get", "GET", ONE, READ, get, tag=TAG, response=EventTypeOut),
    row("v1.event-type.update", "PUT", ONE, WRITE, put, tag=TAG, request=EventTypeUpdate, response=EventTypeOut),
    row("v1.event-type.patch", "PATCH", ONE, WRITE, patch, tag=TAG, request=EventTypePatch, response=EventTypeOut),
    row("v1.event-type.delete", "DELETE", ONE, WRITE, delete, tag=TAG, parameters=(_EXPUNGE,), status=204),
)
