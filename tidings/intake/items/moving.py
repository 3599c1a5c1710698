"""Unique values that move from item to item within one write job, so that two items can swap theirs.

Where an item is to have a value that another one still has, the other's is taken away in the store until it gets its
new one. At the end each of them must have got one, or be gone; else the first who took it is refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.collection import Item
from tidings.model.errors import Conflict, Place
from tidings.store.base import Db
from tidings.store.items.items import ItemTable


class _Taken(msgspec.Struct):
    """A value that was taken away, and what is refused if it stays away."""

    table: ItemTable
    seq: int
    field: str
    tenant: str
    value: Any
    places: list[Place]


class Moving:
    """What was taken away in one write job, and not given back yet."""

    def __init__(self) -> None:
        self._taken: list[_Taken] = []

    def take(self, db: Db, table: ItemTable, seq: int, name: str, after: Item, places: list[Place]) -> None:
        """Take a unique value away, since `after` is to have it. `places`: what is refused if the item keeps it."""
        table.set_unique(db, seq, name, None)
        self._taken.append(_Taken(table, seq, name, after.tenant, after.values[name], places))

    def whole(self, table: ItemTable, item: Item) -> Item:
        """An item as it is for everybody else: with what was taken away."""
        for taken in self._of(table, item.seq):
            item.values[taken.field] = taken.value
        return item

    def written(self, table: ItemTable, before: Item, after: Item) -> Item:
        """An item as it is to be written: what was taken away and stays the same still has to wait."""
        values = dict(after.values)
        for taken in self._of(table, after.seq):
            if values[taken.field] == before.values[taken.field]:
                values[taken.field] = None
            else:
                self._taken.remove(taken)
        return msgspec.structs.replace(after, values=values)

    def gone(self, table: ItemTable, seq: int) -> None:
        """The item was deleted."""
        for taken in self._of(table, seq):
            self._taken.remove(taken)

    def settle(self, db: Db) -> Conflict | None:
        """At the end: give back what is free again. The refusal, if an item would have lost its value for good."""
        places: list[Place] = []
        for taken in self._taken:
            if taken.table.holder(db, taken.field, taken.value, taken.tenant, taken.seq) is None:
                taken.table.set_unique(db, taken.seq, taken.field, taken.value)
            else:
                places += taken.places
        return Conflict(places[0].detail, code="unique_taken", errors=places) if places else None

    def _of(self, table: ItemTable, seq: int) -> list[_Taken]:
        return [taken for taken in self._taken if taken.seq == seq and taken.table.name == table.name]
