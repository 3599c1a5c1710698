"""An edit of one item on behalf of a link: what it is to do, and what it did."""

from __future__ import annotations

import msgspec

from tidings.model.event import Event
from tidings.model.link import EditWord


class ItemEdit(msgspec.Struct, frozen=True, kw_only=True):
    """One edit, with the values of one event filled in."""

    link: str
    """The id of the link."""
    cause: str
    """The id of the event."""
    hops: int
    """The length of the chain of links that led to the event."""
    trace: str | None = None
    """The trace of the event."""
    collection: str
    word: EditWord
    item: str
    """The item's id."""
    is_made: bool = False
    """Whether the id was derived from the link and the event. An item that already has such an id was created by this
    same edit."""
    tenant: str = ""
    """The tenant of the item, which is that of the event; empty for none."""
    values: bytes = b"{}"
    """Its fields, a JSON object."""


class EditDone(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit did."""

    sentence: str
    revision: int | None
    """The present revision of the item; None if it no longer exists."""
    event: Event | None = None
    """The event about the change; None if nothing changed."""
