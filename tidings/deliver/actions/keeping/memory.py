"""What links have kept from responses: looked up before a call, and stored with the attempt that it comes from.

Deliveries of a subject may follow one another faster than the store: what is not stored yet is remembered here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.links import kept
from tidings.store.links.kept import KeptKey


class LinkMemory:
    """Belongs to the deliver thread."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._unstored: dict[KeptKey, list[dict[str, Any]]] = {}

    def of(self, key: KeptKey) -> dict[str, Any]:
        """The values by their names. Raises StoreError."""
        found = kept.of(self._db, key)
        for values in self._unstored.get(key, ()):
            found = kept.merged(found, values)
        return found

    def keep(self, key: KeptKey, values: dict[str, Any]) -> Keep:
        """Remember these values; null removes a name. Returns what to store with the attempt."""
        self._unstored.setdefault(key, []).append(values)
        return Keep(key, values, lambda: self._stored(key))

    def _stored(self, key: KeptKey) -> None:
        """The first pending values of a key are stored."""
        left = self._unstored[key]
        del left[0]
        if not left:
            del self._unstored[key]


class Keep(msgspec.Struct, frozen=True):
    """Values to keep."""

    key: KeptKey
    values: dict[str, Any]
    stored: Callable[[], None]
    """The function to call once the value is stored."""

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        """Store them."""
        kept.put(db, self.key, kept.merged(kept.of(db, self.key), self.values), now)
        return ()
