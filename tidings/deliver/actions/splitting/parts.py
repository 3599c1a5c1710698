"""PartsMade: deliveries about one element of a list. They are made in the transaction that stores the split."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.log import deliveries

KNOWN_MAX = 5_000
_COLUMNS = ("delivery", "link", "parent", "element")


class PartsMade:
    """Looks up what deliveries are about. Belongs to the deliver thread. Every method raises StoreError."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._known: dict[int, str | None] = {}

    def of(self, delivery: int) -> str | None:
        """The element that a delivery is about, as JSON; None if it is about the whole event."""
        if delivery not in self._known:
            row = self._db.one("part_of", delivery=delivery)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[delivery] = None if row is None else row[0]
        return self._known[delivery]

    def count(self, link: int, parent: int) -> int:
        """How many deliveries one was split into."""
        row = self._db.one("parts_of", link=link, parent=parent)
        return 0 if row is None else int(row[0])

    def has(self, link: int) -> bool:
        """Whether a link has ever split an event."""
        return self._db.one("link_parts", link=link) is not None


class MakeParts(msgspec.Struct, frozen=True):
    """An event was split: its elements get their deliveries."""

    event: int
    link: int
    parent: int
    elements: tuple[str, ...]

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        """Append the deliveries, once."""
        row = db.one("parts_of", link=self.link, parent=self.parent)
        if row is None or not row[0]:
            first = deliveries.append(db, [(self.event, self.link)] * len(self.elements), now)
            rows = [(first + index, self.link, self.parent, each) for index, each in enumerate(self.elements)]
            db.insert("part", _COLUMNS, rows)
        return ()
