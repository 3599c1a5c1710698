"""Event types: the catalogue of what may happen, with schemas and examples.

The types of a collection's changes are derived from its declaration, so they are shown here but changed there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.model.access import Caller
from tidings.model.errors import Conflict, Invalid, NotFound, Place
from tidings.model.event import OWN_TYPES, EventType
from tidings.model.moment import Clock, Micros
from tidings.rules import event_types
from tidings.rules.declare.change_types import type_names
from tidings.rules.reading.schema import SCHEMA_BYTES_MAX, checked, compiled, places
from tidings.rules.revisions import Conditions, check_revision
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog

EVENT_TYPES_MAX = 10_000
DESCRIPTION_CHARS_MAX = 2_000
READ, WRITE = "event-types:read", "event-types:write"
WHOLE = "Event types"


class EventTypeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event type's entry in the catalogue. Events are checked against its `schema` (JSON Schema 2020-12), if it
    has one.
    """

    description: str = ""
    schema: dict[str, Any] | None = None
    example: Any = None


class NewEventType(EventTypeBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event type with its name, such as `tasks.completed`."""

    name: str


class EventTypes:
    """Keeps the catalogue of event types, on behalf of callers."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog, self._clock = catalog, clock

    def visible(self, caller: Caller) -> list[EventType]:
        """The whole catalogue, including the types of item changes."""
        caller.need(READ)
        now = self._catalog.now
        return list({**now.event_types, **now.change_types}.values())

    def find(self, caller: Caller, name: str) -> EventType:
        """One event type. Raises NotFound."""
        caller.need(READ)
        return self._find(name)

    async def create(self, caller: Caller, new: NewEventType, run: Run[EventType, R], *, notes: str | None = None) -> R:
        """Add an event type. Raises Invalid, or Conflict if it exists or there are too many."""
        caller.need(WRITE, WHOLE)
        event_types.check_type(new.name, "/name")
        kind = msgspec.structs.replace(_checked(new.name, new, None, self._clock.now()), notes=notes)

        def job(db: Db) -> EventType:
            self._refuse_derived(db, kind.name)
            if _present(db, kind.name) is not None:
                raise Conflict(f"An event type {kind.name} already exists. Change it with PATCH or PUT.")
            self._check_room()
            self._catalog.put_event_type(db, kind)
            return kind

        return await run(job)

    async def put(
        self,
        caller: Caller,
        name: str,
        given: EventTypeBody,
        conditions: Conditions,
        check: Callable[[EventType | None], None],
        run: Run[EventType, R],
    ) -> R:
        """Create an event type (it is at revision 1 then), or replace it.

        `check` gets the present one and may refuse. Raises Invalid, Stale, and Conflict as `create` does.
        """
        caller.need(WRITE, WHOLE)
        event_types.check_type(name)
        now = self._clock.now()
        _checked(name, given, None, now)

        def job(db: Db) -> EventType:
            self._refuse_derived(db, name)
            before = _present(db, name)
            conditions.check("event type", name, None if before is None else before.revision)
            if before is None:
                self._check_room()
            check(before)
            kind = _checked(name, given, before, now)
            self._catalog.put_event_type(db, kind)
            return kind

        return await run(job)

    async def edit(
        self,
        caller: Caller,
        name: str,
        expected: set[int] | None,
        change: Callable[[EventType], EventTypeBody],
        run: Run[EventType, R],
        *,
        noted: Callable[[EventType], str | None] = lambda before: before.notes,
    ) -> R:
        """Replace an event type with the result of `change`, and its notes with that of `noted`. What these raise is
        raised.

        Raises NotFound, Invalid, Stale, or Conflict for a type that belongs to a collection.
        """
        caller.need(WRITE, WHOLE)
        self._find(name)
        now = self._clock.now()

        def job(db: Db) -> EventType:
            before = self._at(db, name, expected)
            kind = msgspec.structs.replace(_checked(before.name, change(before), before, now), notes=noted(before))
            self._catalog.put_event_type(db, kind)
            return kind

        return await run(job)

    async def delete(self, caller: Caller, name: str, expected: set[int] | None, run: Run[None, R]) -> R:
        """Take an event type out of the catalogue; its events stay. Raises as `edit` does."""
        caller.need(WRITE, WHOLE)
        self._find(name)

        def job(db: Db) -> None:
            self._catalog.drop_event_type(db, self._at(db, name, expected).name)

        return await run(job)

    def _find(self, name: str) -> EventType:
        now = self._catalog.now
        kind = now.change_types.get(name) or now.event_types.get(name)
        if kind is None:
            raise _absent(name)
        return kind

    def _at(self, db: Db, name: str, expected: set[int] | None) -> EventType:
        """The entry as the present transaction sees it."""
        self._refuse_derived(db, name)
        before = _present(db, name)
        if before is None:
            raise _absent(name)
        check_revision(expected, before.revision)
        return before

    def _refuse_derived(self, db: Db, name: str) -> None:
        """Raise Conflict for a type that belongs to a collection, even one declared in the same group of writes."""
        collection = self._catalog.collection(db, name.partition(".")[0])
        if collection is not None and name in type_names(collection):
            detail = (
                f"The event type {name} belongs to the collection {collection.name}. Change its declaration instead."
            )
            raise Conflict(detail, code="brought_by_collection")

    def _check_room(self) -> None:
        if len(self._catalog.now.event_types) >= EVENT_TYPES_MAX:
            raise Conflict(f"There are already {EVENT_TYPES_MAX:,} event types, which is the maximum.")


def _absent(name: str) -> NotFound:
    return NotFound(f"There is no event type {name[:128]}.")


def _present(db: Db, name: str) -> EventType | None:
    row = db.one("event_type_of", name=name)
    return None if row is None else EventType(**dict(zip(EventType.__struct_fields__, row, strict=True)))


def _checked(name: str, given: EventTypeBody, before: EventType | None, now: Micros) -> EventType:
    """The entry to store. Raises Invalid for a wrong schema, or an example that does not fit it."""
    wrong: list[Place] = []
    if name.startswith(OWN_TYPES):
        detail = f"Event types that begin with {OWN_TYPES} are reserved for Tidings itself."
        wrong.append(Place(pointer="/name", code="event_type", detail=detail))
    if len(given.description) > DESCRIPTION_CHARS_MAX:
        detail = f"A description may have at most {DESCRIPTION_CHARS_MAX:,} characters."
        wrong.append(Place(pointer="/description", code="too_long", detail=detail))
    schema = None if given.schema is None else msgspec.json.encode(given.schema)
    example = None if given.example is None else msgspec.json.encode(given.example)
    for field, text in (("schema", schema), ("example", example)):
        if text is not None and len(text) > SCHEMA_BYTES_MAX:
            detail = f"The {field} may be at most {SCHEMA_BYTES_MAX:,} bytes long."
            wrong.append(Place(pointer=f"/{field}", code="too_long", detail=detail))
    if wrong:
        raise Invalid("The event type is not valid.", errors=wrong)
    if schema is not None:
        # An unchanged schema may predate today's bounds.
        same = before is not None and before.schema == schema.decode()
        validator = (compiled if same else checked)(msgspec.json.decode(schema))
        if example is not None:
            wrong = places(validator, msgspec.json.decode(example), "/example")
            if wrong:
                raise Invalid("The example does not match the schema.", errors=wrong)
    return EventType(
        name=name,
        description=given.description,
        schema=None if schema is None else schema.decode(),
        example=None if example is None else example.decode(),
        revision=1 if before is None else before.revision + 1,
        created=now if before is None else before.created,
        updated=now,
        notes=None if before is None else before.notes,
    )
