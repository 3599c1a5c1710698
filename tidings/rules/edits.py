"""Edits of items by links: from templates and an event to what will be written, or why that failed."""

from __future__ import annotations

import hashlib
from typing import Any

from tidings.model import outcome as outcomes
from tidings.model.edit import ItemEdit
from tidings.model.errors import Conflict, Invalid, NotFound, TidingsError
from tidings.model.event import HOPS_MAX, Event
from tidings.model.ids import new_id
from tidings.model.link import ItemLink
from tidings.model.outcome import Outcome
from tidings.rules.guard import names_of
from tidings.rules.template import MISSING, JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import encode

VALUES_AT = "/item/data"
"""The pointer to the item's fields in a link's declaration."""

_LATER = {"no_such_item"}
"""Codes of errors that a later event may resolve."""


class LoopEnds(ValueError):
    """Too many links in a row led to this event, so no further link acts on it."""

    def __init__(self, hops: int) -> None:
        detail = f"{hops} links in a row led to this event, so no further link acts on it. Does a link trigger itself?"
        super().__init__(detail)


class EditTemplate:
    """The edit template of one link, compiled. Used by one thread at a time."""

    def __init__(self, link: ItemLink) -> None:
        """Raises Refused with the place of a template that is wrong."""
        what = link.what
        self._link, self._collection, self._word = link.id, what.collection, what.edit
        self._item_at = f"/item/{what.edit}"
        names = names_of(what)
        self._item = None if what.item is None else JsonTemplate(what.item, self._item_at, names)
        self._values = None if what.edit == "delete" else JsonTemplate(what.values, VALUES_AT, names)

    def fill(self, event: Event, scope: Scope, element: str = "") -> ItemEdit:
        """The edit for an event, or for an `element` of it, as JSON. Raises TemplateFailed or LoopEnds."""
        if event.hops >= HOPS_MAX:
            raise LoopEnds(event.hops)
        item = _made_id(self._link, event, element) if self._item is None else self._item.text(scope)
        if not item:
            raise TemplateFailed(self._item_at, "the event has no value for the id.")
        return ItemEdit(
            link=self._link,
            cause=event.id,
            hops=event.hops,
            trace=event.trace,
            collection=self._collection,
            word=self._word,
            item=item,
            is_made=self._item is None,
            tenant=event.tenant or "",
            values=b"{}" if self._values is None else _values(self._values, scope, item),
        )


def failure(wrong: Exception | None) -> tuple[Outcome, str]:
    """The outcome of an edit that raised this, and why."""
    if not isinstance(wrong, TidingsError):
        return outcomes.EDIT_FAILED, f"{outcomes.EDIT_FAILED.meaning} See the server's log."
    names = [place.pointer or place.parameter for place in wrong.errors]
    details = zip(names, wrong.errors, strict=True)
    places = " ".join(f"{name}: {place.detail}" if name else place.detail for name, place in details)
    reason = (
        places if any(place.detail == wrong.detail for place in wrong.errors) else f"{wrong.detail} {places}".strip()
    )
    codes = {place.code for place in wrong.errors}
    if isinstance(wrong, NotFound):
        outcome = outcomes.COLLECTION_MISSING if "collection_missing" in codes else outcomes.ITEM_MISSING
    elif isinstance(wrong, Conflict):
        outcome = outcomes.ITEM_REFERENCED if codes == {"referenced"} else outcomes.ITEM_CONFLICT
    elif isinstance(wrong, Invalid) and codes and codes <= _LATER:
        outcome = outcomes.ITEM_MISSING
    else:
        outcome = outcomes.ITEM_INVALID
    return outcome, reason


def _values(template: JsonTemplate, scope: Scope, item: str) -> bytes:
    values = template.fill(scope)
    if type(values) is not dict:
        but = ", but the event has no value for it" if values is MISSING else ""
        raise TemplateFailed(VALUES_AT, f"it must yield an object with the item's fields{but}.")
    if "id" in values and _is_id(values["id"], item):
        values = {name: value for name, value in values.items() if name != "id"}
    return encode(values)


def _is_id(value: Any, item: str) -> bool:
    """Whether a value repeats the item's id, perhaps as a number."""
    return value == item or (type(value) is not str and encode(value).decode() == item)


def _made_id(link: str, event: Event, element: str) -> str:
    """The id of the item that a link makes from an event or its element; it is always the same for the same event."""
    whole = f"{link}\n{event.tenant or ''}\n{event.id}" + (f"\n{element}" if element else "")
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()
    return new_id("itm", max(0, event.time), lambda count: digest[:count])
