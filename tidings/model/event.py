"""Events: immutable facts, and the catalogue of their types."""

from __future__ import annotations

import re

import msgspec

from tidings.model.moment import SECOND, Micros, from_text

OWN_TYPES = "endpoint."
"""The prefix of event types that only Tidings itself publishes."""
HOPS_MAX = 8
"""How many links in a row may act on what the one before them did: a link that triggers itself ends there."""
SUBJECT_CHARS_MAX = 256
EVENT_BYTES_MAX = 1_048_576
"""The largest event as it is sent, unless a server's `max_body_bytes` says otherwise."""
TIME_END: Micros = 4_102_444_800 * SECOND
"""The year 2100: later times are mistakes, such as milliseconds taken for seconds."""
ID_RULE = "An id has 1 to 64 letters, digits and _ . : -. It cannot be 'stream', or have 9 to 15 digits after a dot."
SUBJECT_RULE = "A subject has 1 to 256 characters, without control characters."
TIME_RULE = "A time must be in RFC 3339 format, such as 2026-11-21T01:02:03Z, from 1970 to 2099."

_ID = re.compile(r"(?!.*\.[0-9]{9,15}(\.|$))[A-Za-z0-9_.:-]{1,64}")
"""Receivers refuse a webhook whose id has a time between dots: `sources.py` of the schemes says why."""
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_RESERVED_IDS = ("stream", "stream:ticket")
"""Words used in place of an id in the API's paths."""


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
    """The collection of the changed item; None if a caller published the event."""
    target: int | None = None
    """The number of the only link that gets it (tests of an endpoint); None for every link that wants it."""
    cause: str | None = None
    """The id of the event that a link (`actor`) acted on, which made this one."""
    hops: int = 0
    """How many links in a row led to it; 0 if none did."""
    trace: str | None = None
    """The trace that it belongs to, as `rules/tracing/context.py` stores it; None if it has none.

    The API does not show it.
    """
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
    notes: str | None = None
    """What the door for another system's callers keeps with it, as JSON."""


class ChangeType(EventType, frozen=True, kw_only=True):
    """A type of change events of a collection's items. Derived from the declaration, not stored in a table."""

    collection: str
    has_previous: bool
    """Whether its events include the item as it was before."""


def is_event_id(text: str) -> bool:
    """Whether callers may give an event this id."""
    return _ID.fullmatch(text) is not None and text not in _RESERVED_IDS


def event_time(text: str) -> Micros:
    """An event's time. Raises ValueError with TIME_RULE."""
    try:
        at = from_text(text)
    except ValueError:
        at = -1
    if not 0 <= at < TIME_END:
        raise ValueError(TIME_RULE)
    return at


def is_subject(text: str) -> bool:
    """Whether an event may be about this subject."""
    return 1 <= len(text) <= SUBJECT_CHARS_MAX and not _CONTROL.search(text)
