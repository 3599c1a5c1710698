"""What is built once per revision of a collection: its rules, its events' conditions, its statements."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.access import Key
from tidings.model.collection import Collection
from tidings.rules.filter_checks import same
from tidings.rules.items.change import Changes
from tidings.rules.items.item import ItemRules
from tidings.rules.items.permit import Grant, grant
from tidings.store.base import Dialect
from tidings.store.items.items import ItemTable

GRANTS_MAX = 10_000
KINDS_MAX = 1_000
"""The maximum number of cached kinds, which is larger than the number of collections at any time. Beyond it, the cache
is cleared, because it has kinds of deleted collections."""


class Kind:
    """One collection, ready for use. May be shared between threads."""

    def __init__(self, collection: Collection, dialect: Dialect) -> None:
        self.collection = collection
        self.rules = ItemRules(collection)
        self.changes = Changes(collection)
        self.table = ItemTable(collection, dialect)
        self.unique = [field.name for field in collection.fields if field.unique]
        self.nested = frozenset(field.name for field in collection.fields if field.type in ("object", "array"))
        self.references = [(field.name, field.to or "") for field in collection.fields if field.type == "reference"]


class Kinds:
    """Kinds and grants, built on first use. Building one twice at the same time does no harm."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._kinds: dict[str, Kind] = {}
        self._grants: dict[tuple[str, str], tuple[Key, Collection, Grant | None]] = {}

    def of(self, collection: Collection) -> Kind:
        """The kind of a collection as it is declared now."""
        kind = self._kinds.get(collection.name)
        if kind is None or kind.collection is not collection:
            if kind is None and len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            kind = self._kinds[collection.name] = Kind(collection, self._dialect)
        return kind

    def grant(self, key: Key, collection: Collection) -> Grant | None:
        """What a key may do in a collection as it is declared now; None if nothing."""
        name = (key.id, collection.name)
        known = self._grants.get(name)
        if known is None or known[0] is not key or known[1] is not collection:
            if len(self._grants) >= GRANTS_MAX:
                self._grants.clear()
            known = self._grants[name] = (key, collection, grant(key, collection))
        return known[2]


def changed_fields(
    kind: Kind, before: dict[str, Any], after: dict[str, Any], plain: dict[str, Any], given: dict[str, Any]
) -> list[str]:
    """The fields whose stored values differ. Objects and arrays are compared as JSON values, not as text.

    `plain`: what was before as JSON values, as far as that is known; `given`: what comes after it.
    """
    found = []
    for name, value in after.items():
        was = before[name]
        if was == value:
            continue
        is_nested = name in kind.nested and was is not None and value is not None
        # Values of a megabyte take a while to parse, so none is parsed twice.
        if not is_nested or not _same_json(plain[name] if name in plain else msgspec.json.decode(was), given[name]):
            found.append(name)
    return found


def _same_json(before: Any, after: Any) -> bool:
    """As `same`, but quicker for large values, which mostly differ, or differ only in the order of members."""
    if before != after:
        return False
    if msgspec.json.encode(before, order="sorted") == msgspec.json.encode(after, order="sorted"):
        return True
    return same(before, after)
