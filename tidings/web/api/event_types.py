"""The operations on event types: the catalogue of what may happen, with schemas and examples."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.errors import Conflict, Invalid, NotFound, Place, Stale
from tidings.model.event import OWN_TYPES, ChangeType, EventType
from tidings.rules import event_types
from tidings.rules.declare.change_types import change_types
from tidings.rules.reading.schema import SCHEMA_BYTES_MAX, checked, compiled, places
from tidings.store.base import Db
from tidings.web.habits.edits import check_revision, etag, merged, only_operators
from tidings.web.habits.given import agree
from tidings.web.habits.once import once
from tidings.web.habits.paging import PAGING, SortKey, sorted_page
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, not_modified
from tidings.web.openapi.bounds import DESCRIPTION_CHARS_MAX
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Event types"
EVENT_TYPES_MAX = 10_000
WHAT = "Event types"


class EventTypeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be said of an event type. With a `schema` (JSON Schema 2020-12) events are checked against it."""

    description: str = ""
    schema: dict[str, Any] | None = None
    example: Any = None


class EventTypePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch: what is left out stays, null takes a field away."""

    description: str | msgspec.UnsetType | None = msgspec.UNSET
    schema: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    example: Any = msgspec.UNSET


class NewEventType(EventTypeBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event type with its name, such as `tasks.completed`."""

    name: str


class EventTypeView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the catalogue. `collection`: the changes of its items are told so, and its declaration is changed."""

    name: str
    collection: str | None
    description: str
    schema: msgspec.Raw | None
    example: msgspec.Raw | None
    revision: int
    created: str
    updated: str


class EventTypeList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of event types, by name."""

    data: list[EventTypeView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


SORTS: dict[str, SortKey] = {"name": lambda kind: kind.name, "created": lambda kind: kind.created}


async def list_event_types(parts: Parts, request: Request) -> Answer:
    """The catalogue, by name by default."""
    now = parts.catalog.now
    kinds = {**now.event_types, **now.change_types}.values()
    shown, answer = sorted_page(request, kinds, SORTS, lambda kind: kind.name)
    return answer([_view(kind) for kind in shown])


async def create_event_type(parts: Parts, request: Request) -> Answer:
    """Add an event type."""
    only_operators(request, WHAT)
    new: NewEventType = request.body
    event_types.check_type(new.name, "/name")
    kind = _checked(new.name, new, None, parts.clock.now())

    def job(db: Db) -> Answer:
        _refuse_derived(parts, db, kind.name)
        if _present(db, kind.name) is not None:
            raise Conflict(f"There is an event type {kind.name} already. Change it with PATCH or PUT.")
        _check_room(parts)
        parts.catalog.put_event_type(db, kind)
        return Answer(201, _view(kind), [("location", f"/v1/event-types/{kind.name}"), etag(kind.revision)])

    return await once(parts, request, job)


async def get_event_type(parts: Parts, request: Request) -> Answer:
    """Read one event type."""
    kind = _found(parts, request)
    if not_modified(request, kind.revision):
        return Answer(304, None, [etag(kind.revision)])
    return Answer(200, _view(kind), [etag(kind.revision)])


async def put_event_type(parts: Parts, request: Request) -> Answer:
    """Create an event type, or replace it."""
    only_operators(request, WHAT)
    name = event_types.check_type(request.path["name"])
    now = parts.clock.now()
    _checked(name, request.body, None, now)

    def job(db: Db) -> Answer:
        _refuse_derived(parts, db, name)
        before = _present(db, name)
        if before is not None and not_modified(request, before.revision):
            raise Stale(f"There is an event type {name} already, and If-None-Match asks for none, or for another.")
        if before is None:
            if "if-match" in request.headers:
                raise Stale(f"There is no event type {name}, and If-Match asks for one.")
            _check_room(parts)
        else:
            check_revision(request, before.revision)
        agree(request, None if before is None else _view(before), name=name)
        kind = _checked(name, request.body, before, now)
        parts.catalog.put_event_type(db, kind)
        if before is not None:
            return Answer(200, _view(kind), [etag(kind.revision)])
        return Answer(201, _view(kind), [("location", f"/v1/event-types/{name}"), etag(kind.revision)])

    answer: Answer = await parts.writer.call(job)
    return answer


async def edit_event_type(parts: Parts, request: Request) -> Answer:
    """Change some fields of an event type."""
    only_operators(request, WHAT)
    _found(parts, request)
    now = parts.clock.now()

    def job(db: Db) -> Answer:
        _refuse_derived(parts, db, request.path["name"])
        before = _present(db, request.path["name"])
        if before is None:
            raise _absent(request)
        check_revision(request, before.revision)
        agree(request, _view(before))
        document: dict[str, Any] = {"description": before.description}
        for field in ("schema", "example"):
            text = getattr(before, field)
            if text is not None:
                document[field] = msgspec.json.decode(text)
        kind = _checked(before.name, merged(document, request, EventTypeBody), before, now)
        parts.catalog.put_event_type(db, kind)
        return Answer(200, _view(kind), [etag(kind.revision)])

    answer: Answer = await parts.writer.call(job)
    return answer


async def delete_event_type(parts: Parts, request: Request) -> Answer:
    """Take an event type out of the catalogue; its events and endpoints stay."""
    only_operators(request, WHAT)
    _found(parts, request)

    def job(db: Db) -> Answer:
        _refuse_derived(parts, db, request.path["name"])
        before = _present(db, request.path["name"])
        if before is None:
            raise _absent(request)
        check_revision(request, before.revision)
        parts.catalog.drop_event_type(db, before.name)
        return Answer(204)

    answer: Answer = await parts.writer.call(job)
    return answer


def _found(parts: Parts, request: Request) -> EventType:
    name, now = request.path["name"], parts.catalog.now
    kind = now.change_types.get(name) or now.event_types.get(name)
    if kind is None:
        raise _absent(request)
    return kind


def _absent(request: Request) -> NotFound:
    return NotFound(f"There is no event type {request.path['name'][:128]}.")


def _refuse_derived(parts: Parts, db: Db, name: str) -> None:
    """Raise Conflict for a type that a collection brings, also one that this very group of writes declares."""
    collection = parts.catalog.collection(db, name.partition(".")[0])
    if collection is not None and any(kind.name == name for kind in change_types(collection)):
        detail = f"The collection {collection.name} brings the event type {name}. Change its declaration instead."
        raise Conflict(detail, code="brought_by_collection")


def _present(db: Db, name: str) -> EventType | None:
    row = db.one("event_type_of", name=name)
    return None if row is None else EventType(**dict(zip(EventType.__struct_fields__, row, strict=True)))


def _check_room(parts: Parts) -> None:
    if len(parts.catalog.now.event_types) >= EVENT_TYPES_MAX:
        raise Conflict(f"There are {EVENT_TYPES_MAX:,} event types already, which is the limit.")


def _checked(name: str, given: EventTypeBody, before: EventType | None, now: moment.Micros) -> EventType:
    """The entry to store. Raises Invalid for a wrong schema, or an example that does not fit it."""
    wrong: list[Place] = []
    if name.startswith(OWN_TYPES):
        detail = f"Types that begin with {OWN_TYPES} are Tidings' own."
        wrong.append(Place(pointer="/name", code="event_type", detail=detail))
    if len(given.description) > DESCRIPTION_CHARS_MAX:
        detail = f"A description has at most {DESCRIPTION_CHARS_MAX:,} characters."
        wrong.append(Place(pointer="/description", code="too_long", detail=detail))
    schema = None if given.schema is None else msgspec.json.encode(given.schema)
    example = None if given.example is None else msgspec.json.encode(given.example)
    for field, text in (("schema", schema), ("example", example)):
        if text is not None and len(text) > SCHEMA_BYTES_MAX:
            detail = f"It may have at most {SCHEMA_BYTES_MAX:,} bytes."
            wrong.append(Place(pointer=f"/{field}", code="too_long", detail=detail))
    if wrong:
        raise Invalid("The event type is not accepted.", errors=wrong)
    if schema is not None:
        # One that stays may be older than the bounds of today.
        same = before is not None and before.schema == schema.decode()
        validator = (compiled if same else checked)(msgspec.json.decode(schema))
        if example is not None:
            wrong = places(validator, msgspec.json.decode(example), "/example")
            if wrong:
                raise Invalid("The example does not fit the schema.", errors=wrong)
    return EventType(
        name=name,
        description=given.description,
        schema=None if schema is None else schema.decode(),
        example=None if example is None else example.decode(),
        revision=1 if before is None else before.revision + 1,
        created=now if before is None else before.created,
        updated=now,
    )


def _view(kind: EventType) -> EventTypeView:
    return EventTypeView(
        name=kind.name,
        collection=kind.collection if isinstance(kind, ChangeType) else None,
        description=kind.description,
        schema=None if kind.schema is None else msgspec.Raw(kind.schema.encode()),
        example=None if kind.example is None else msgspec.Raw(kind.example.encode()),
        revision=kind.revision,
        created=moment.to_text(kind.created),
        updated=moment.to_text(kind.updated),
    )


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
        help="With `If-None-Match: *` it is only created, with `If-Match` only replaced.",
        also=((201, "It was created."),),
        handler=put_event_type,
        tag=TAG,
        request=EventTypeBody,
        response=EventTypeView,
        parameters=(IF_MATCH, IF_NONE_MATCH),
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
