"""Unique values that move from item to item within one write job, so that two items can swap theirs.

If an item gets a value that another one still has, the other's value is removed in the draft until that item gets a
new one. At the end, each such item must have a new value or be deleted; otherwise the first item that took a value is
refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.intake.items.drafts import Draft
from tidings.model.collection import Item
from tidings.model.errors import Conflict, Place
from tidings.store.base import Db


class _Taken(msgspec.Struct):
    """A removed value, and the refusal if it is not replaced."""

    draft: Draft
    seq: int
    field: str
    tenant: str
    value: Any
    places: list[Place]


class Moving:
    """The values removed in one write job and not replaced yet."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], list[_Taken]] = {}
        """By collection and item, the removed values; items in the order in which their first value was removed."""

    def take(self, db: Db, draft: Draft, seq: int, name: str, after: Item, places: list[Place]) -> None:
        """Remove a unique value that `after` will have. `places`: the errors if the item keeps it."""
        draft.set_unique(db, seq, name, None)
        taken = _Taken(draft, seq, name, after.tenant, after.values[name], places)
        self._taken.setdefault((draft.name, seq), []).append(taken)

    def whole(self, draft: Draft, item: Item) -> Item:
        """An item as everything else sees it: with its removed values."""
        for taken in self._of(draft, item.seq):
            item.values[taken.field] = taken.value
        return item

    def written(self, draft: Draft, before: Item, after: Item) -> Item:
        """An item as it will be written; a removed value that does not change still has to wait."""
        values, kept = dict(after.values), list[_Taken]()
        for taken in self._of(draft, after.seq):
            if values[taken.field] == before.values[taken.field]:
                values[taken.field] = None
                kept.append(taken)
        self._keep(draft, after.seq, kept)
        return msgspec.structs.replace(after, values=values)

    def gone(self, draft: Draft, seq: int) -> None:
        """The item was deleted."""
        self._keep(draft, seq, [])

    def settle(self, db: Db) -> Conflict | None:
        """At the end: restore values that are free again.

        Returns the refusal if an item would lose its value for good.
        """
        places: list[Place] = []
        for taken in [each for several in self._taken.values() for each in several]:
            if taken.draft.holder(db, taken.field, taken.value, taken.tenant, taken.seq) is None:
                taken.draft.set_unique(db, taken.seq, taken.field, taken.value)
            else:
                places += taken.places
        return Conflict(places[0].detail, code="unique_taken", errors=places) if places else None

    def seqs(self, draft: Draft) -> list[int]:
        """The items that had a value removed."""
        return [seq for name, seq in self._taken if name == draft.name]

    def _of(self, draft: Draft, seq: int) -> list[_Taken]:
        return self._taken.get((draft.name, seq), [])

    def _keep(self, draft: Draft, seq: int, kept: list[_Taken]) -> None:
        if kept:
            self._taken[draft.name, seq] = kept
        else:
            self._taken.pop((draft.name, seq), None)
