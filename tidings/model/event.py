"""Events: immutable facts, and the catalogue of their types."""

from __future__ import annotations

import msgspec

from tidings.model.moment import Micros

OWN_TYPES = "endpoint."
"""Event types that only Tidings itself publishes begin so."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact. `data`, `previous` and `changed` are JSON texts, kept as they came."""

    id: str
    type: str
    time: Micros
    data: str
    tenant: str | None = None
    subject: str | None = None
    previous: str | None = None
    changed: str | None = None
    actor: str | None = None
    request_id: str | None = None
    collection: str | None = None
    """The collection of the item that it tells the change of; None: a caller published it."""
    target: int | None = None
    """The number of the only link that gets it (tests of an endpoint); None: whoever asked for it."""
    seq: int = 0
    """Its place in the log, given when it is stored."""
    created: Micros = 0
    """When it was stored."""


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the catalogue. `schema` and `example` are JSON texts."""

    name: str
    description: str = ""
    schema: str | None = None
    example: str | None = None
    revision: int = 1
    created: Micros = 0
    updated: Micros = 0


class ChangeType(EventType, frozen=True, kw_only=True):
    """A type of the changes of a collection's items. It is derived from the declaration, and stands in no table."""

    collection: str
    has_previous: bool
    """Whether its events tell how the item was before."""
