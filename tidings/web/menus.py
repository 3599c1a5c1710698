"""Each key's own menu in each collection, made on first use, and kept while it is valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.model.access import Key
from tidings.model.collection import Collection

MENUS_MAX = 1_000
"""The maximum number of menus that are kept, at about 60 KB each; beyond it, the oldest one is dropped."""

Make = Callable[[Any, Key, Collection], Any]
"""Makes a key's menu in a collection, from the parts (items/operations.py); None if the key may do nothing."""


class _Kept(msgspec.Struct):
    """A menu, and what it was made from. `version`: the catalogue's version for which it is known to be valid."""

    menu: Any
    key: Key
    made_from: dict[str, Collection | None]
    version: int


class Menus:
    """Keeps menus. Belongs to one event loop."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._kept: dict[tuple[str, str], _Kept] = {}

    def of(self, parts: Any, key: Key, collection: Collection) -> Any:
        """The menu of a key in a collection; None if the key may do nothing there."""
        now = parts.catalog.now
        name = (key.id, collection.name)
        kept = self._kept.get(name)
        if kept is None or (kept.version != now.version and not _holds(kept, key, now.collections)):
            # Also the targets of references: the menu lists what may be expanded.
            names = {collection.name, *(field.to for field in collection.fields if field.to)}
            made_from = {name: now.collections.get(name) for name in names}
            if kept is None and len(self._kept) >= MENUS_MAX:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[name] = _Kept(self._make(parts, key, collection), key, made_from, now.version)
        kept.version = now.version
        return kept.menu

    def operations(self, parts: Any, key: Key) -> list[Any]:
        """Everything that a key may do with items, by collection."""
        found: list[Any] = []
        for collection in sorted(parts.catalog.now.collections.values(), key=lambda each: each.name):
            menu = self.of(parts, key, collection)
            if menu is not None:
                found += menu.operations
        return found


def _holds(kept: _Kept, key: Key, collections: dict[str, Collection]) -> bool:
    """Whether what a menu was made from is unchanged, as the catalogue changes with every endpoint and key."""
    return kept.key is key and all(collections.get(name) is its for name, its in kept.made_from.items())
