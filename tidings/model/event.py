"""Events: immutable facts, and the catalogue of their types."""

from __future__ import annotations

import re

import msgspec

from tidings.model.moment import SECOND, Micros, from_text

OWN_TYPES = "endpoint."
"""The prefix of event types that only Tidings itself publishes."""
HOPS_MAX = 8
"""The maximum length of a chain of links that act on one another's events. It stops links that trigger themselves."""
SUBJECT_CHARS_MAX = 256
EVENT_BYTES_MAX = 1_048_576
"""The maximum size of an event as it is sent, unless the setting `max_body_bytes` is different."""
TIME_END: Micros = 4_102_444_800 * SECOND
"""The year 2100. Later times are mistakes, such as milliseconds that were taken for seconds."""
ID_RULE = (
    "An id has 1 to 64 characters: letters, digits and _ . : -. It must not be 'stream', and must not contain a dot "
    "followed by 9 to 15 digits."
)
SUBJECT_RULE = "A subject has 1 to 256 characters, and no control characters."
TIME_RULE = "A time must be in RFC 3339 format, such as 2026-11-21T01:02:03Z, and in the years 1970 to 2099."

_ID = re.compile(r"(?!.*\.[0-9]{9,15}(\.|$))[A-Za-z0-9_.:-]{1,64}")
"""If an id contains a dot followed by 9 to 15 digits, receivers can mistake the digits for the timestamp and refuse the
webhook; see `rules/schemes/sources.py`."""
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_RESERVED_IDS = ("stream", "stream:ticket")
"""Words that the API's paths use in the place of an id."""


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
    """The name of the collection whose item was changed; None if a caller published the event."""
    target: int | None = None
    """The number of the only link that gets the event, if it is a test; None if every link that selects it gets it."""
    cause: str | None = None
    """The id of the event on which a link (`actor`) acted when it created this one."""
    hops: int = 0
    """The length of the chain of links that led to this event; 0 if no link did."""
    trace: str | None = None
    """The trace to which the event belongs, as `rules/tracing/context.py` stores it; None if it has none.

    The API does not show it.
    """
    seq: int = 0
    """The event's position in the log, assigned when it is stored."""
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
    """The data that the door for another system's callers keeps with the event type, as JSON."""


class ChangeType(EventType, frozen=True, kw_only=True):
    """A type of change events of a collection's items. Derived from the declaration, not stored in a table."""

    collection: str
    has_previous: bool
    """Whether the collection's events include the item as it was before the change."""


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
