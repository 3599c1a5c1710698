"""Each key's own menu in each collection, made when it is first asked for, and kept until the catalogue changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidings.model.access import Key
from tidings.model.collection import Collection

Make = Callable[[Any, Key, Collection], Any]
"""From the parts, a key and a collection to the key's menu there (item_menu.py); None: it may do nothing there."""


class Menus:
    """Keeps menus. Belongs to one event loop."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._version = -1
        self._menus: dict[tuple[str, str], Any] = {}

    def of(self, parts: Any, key: Key, collection: Collection) -> Any:
        """The menu of a key in a collection; None: it may do nothing there."""
        version = parts.catalog.now.version
        if version != self._version:
            self._menus.clear()
            self._version = version
        name = (key.id, collection.name)
        if name not in self._menus:
            self._menus[name] = self._make(parts, key, collection)
        return self._menus[name]

    def operations(self, parts: Any, key: Key) -> list[Any]:
        """Everything that a key may do with items, by collection."""
        found: list[Any] = []
        for collection in sorted(parts.catalog.now.collections.values(), key=lambda each: each.name):
            menu = self.of(parts, key, collection)
            if menu is not None:
                found += menu.operations
        return found
