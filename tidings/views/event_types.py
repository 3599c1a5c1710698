"""Event types as answers and pages show them."""

from __future__ import annotations

import msgspec

from tidings.model import moment
from tidings.model.event import ChangeType, EventType


class EventTypeView(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the catalogue. `collection`: the collection whose changes have this type; change its declaration to
    change the type.
    """

    name: str
    collection: str | None
    description: str
    schema: msgspec.Raw | None
    example: msgspec.Raw | None
    revision: int
    created: str
    updated: str


def event_type_view(kind: EventType) -> EventTypeView:
    """An entry of the catalogue."""
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
