"""Keys for which a link has succeeded (`once`): looked up before it acts, stored with the attempt that succeeded.

Events with the same key form a line, so no two of them are ever in flight. A key whose attempt is not stored yet is
remembered here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.store.base import Db
from tidings.store.catalog import Catalog

RECENT_MAX = 20_000
"""The maximum number of recent keys in memory: more than can succeed before their keys are stored."""


class Once:
    """Belongs to the deliver thread."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._recent: dict[tuple[int, str], None] = {}

    def has(self, link: int, key: str) -> bool:
        """Whether a link has succeeded for a key. Raises StoreError."""
        return (link, key) in self._recent or self._db.one("link_once", link=link, key=key) is not None

    def succeeded(self, link: int, key: str) -> KeyDone:
        """Note that a link has succeeded for a key; returns what to store with the attempt."""
        self._recent[link, key] = None
        if len(self._recent) > RECENT_MAX:
            self._recent.pop(next(iter(self._recent)))
        return KeyDone(link, key)


class KeyDone(msgspec.Struct, frozen=True):
    """A link has succeeded for a key."""

    link: int
    key: str

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        """Store the key."""
        db.run("link_once_put", link=self.link, key=self.key)
        return ()
