"""Events: immutable facts, and the catalogue of their types."""

from __future__ import annotations

import msgspec

from tidings.model.moment import Micros

OWN_TYPES = "endpoint."
"""The prefix of event types that only Tidings itself publishes."""
HOPS_MAX = 8
"""How many links in a row may act on what the one before them did: a link that triggers itself ends there."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact. `data`, `previous` and `changed` are JSON texts, kept as received."""

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
    """The collection of the changed item; None: a caller published the event."""
    target: int | None = None
    """The number of the only link that gets it (tests of an endpoint); None: every link that wants it."""
    cause: str | None = None
    """The id of the event that a link (`actor`) acted on, which made this one."""
    hops: int = 0
    """How many links in a row led to it; 0: none, somebody asked for it."""
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
    """A type of change events of a collection's items. Derived from the declaration, not stored in a table."""

    collection: str
    has_previous: bool
    """Whether its events include the item as it was before."""
