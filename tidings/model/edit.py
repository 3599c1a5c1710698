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
    """How many links in a row led to that."""
    trace: str | None = None
    """The trace of the event."""
    collection: str
    word: EditWord
    item: str
    """The item's id."""
    is_made: bool = False
    """The id follows from the link and the event: an item that has it already was made by this very edit."""
    tenant: str = ""
    """Whose the item is: the event's; empty: nobody's."""
    values: bytes = b"{}"
    """Its fields, a JSON object."""


class EditDone(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit did."""

    sentence: str
    revision: int | None
    """Of the item now; None if it is gone."""
    event: Event | None = None
    """The change; None if nothing changed."""
