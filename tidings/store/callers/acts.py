"""Acts in the store: recorded in the transaction of the change, listed, dropped once they are old."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from tidings.model.ids import lowest_id
from tidings.model.moment import Micros
from tidings.store import catalog_rows as rows
from tidings.store.base import Db
from tidings.store.catalog import CHANGES_KEPT, Catalog, Snapshot

CHANGES_MAX = 50
"""The maximum number of changed resources for which an act keeps the states before and after."""
COUNTED_MAX = 100_000
LAST_ID = "act_z"


class StoredAct(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what. `changes`: JSON; `changes_total`: how many things changed."""

    id: str
    time: Micros
    key: str
    operation: str
    path: str
    request_id: str
    changes: str
    changes_total: int


class ActQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which acts: every given field narrows. `since` counts, `until` does not."""

    key: str | None = None
    operation: str | None = None
    about: str | None = None
    since: Micros | None = None
    until: Micros | None = None


class Changed(NamedTuple):
    """A resource in the catalogue before and after a transaction's change; None if it did not exist then."""

    kind: str
    name: str
    before: Any
    after: Any


def version(db: Db) -> int:
    """The number of the catalogue's last change, as the present transaction sees it."""
    row = db.one("catalog_version")
    return 0 if row is None else int(row[0])


def changed_since(db: Db, catalog: Catalog, number: int) -> tuple[list[Changed], int]:
    """The first CHANGES_MAX things that this transaction has changed after a version, and how many it changed in
    all."""
    found = db.all("catalog_changes", after=number, count=CHANGES_KEPT)
    named = list(dict.fromkeys((kind, name) for _, kind, name in found))
    shown = named[:CHANGES_MAX]
    after: dict[tuple[str, str], Any] = {}
    for kind in dict.fromkeys(kind for kind, _ in shown):
        names = [name for each, name in shown if each == kind]
        after |= {(kind, name): thing for name, thing in _after(db, catalog, kind, names)}
    before = _before(catalog.now)
    return [Changed(*each, before.get(each[0], {}).get(each[1]), after.get(each)) for each in shown], len(named)


def put(db: Db, act: StoredAct, about: frozenset[str]) -> None:
    """Record an act."""
    db.run_later("act_put", **msgspec.structs.asdict(act))
    db.run_later("act_about_put", about=rows.listed(sorted(about)), act=act.id)


def page(db: Db, query: ActQuery, past: str | None, limit: int, *, oldest_first: bool) -> list[StoredAct]:
    """Acts by id, and therefore by time: newest first with ids below `past`, or oldest first with ids above it."""
    bounds = _bounds(query)
    if past is not None:
        bounds["after" if oldest_first else "before"] = past
    found = db.all("acts_page_up" if oldest_first else "acts_page", count=limit, **bounds)
    return [StoredAct(**dict(zip(StoredAct.__struct_fields__, row, strict=True))) for row in found]


def count(db: Db, query: ActQuery) -> int | None:
    """How many there are; None if there are too many to count."""
    row = db.one("acts_count", count=COUNTED_MAX + 1, **_bounds(query))
    total = 0 if row is None else int(row[0])
    return total if total <= COUNTED_MAX else None


def prune(db: Db, before: Micros, most: int) -> int:
    """Drop a step of the acts before a time; returns how many."""
    old = [{"id": row[0]} for row in db.all("acts_old", before=lowest_id("act", before), count=most)]
    if old:
        db.many("act_about_drop", old)
        db.many("act_drop", old)
    return len(old)


def _bounds(query: ActQuery) -> dict[str, Any]:
    return {
        "after": "" if query.since is None else lowest_id("act", query.since),
        "before": LAST_ID if query.until is None else lowest_id("act", query.until),
        "key": query.key,
        "operation": query.operation,
        "about": query.about,
    }


class _ByNumber:
    """Links by their numbers written as text, as changes of the catalogue name them."""

    def __init__(self, links: Mapping[int, Any]) -> None:
        self._links = links

    def get(self, name: str) -> Any:
        """The link."""
        return self._links.get(int(name))


def _before(now: Snapshot) -> dict[str, Any]:
    return {
        "link": _ByNumber(now.links),
        "key": now.keys,
        "event_type": now.event_types,
        "tenant": now.tenants,
        "hook": now.hooks,
        "form": now.forms,
        "collection": now.collections,
        "connection": now.connections,
    }


def _after(db: Db, catalog: Catalog, kind: str, names: list[str]) -> Iterator[tuple[str, Any]]:
    """The things as the present transaction sees them. Kinds that may have hundreds are read together."""
    if kind == "link":
        links = [rows.link_of(row, catalog.sealer) for row in db.all("links_changed", names=rows.listed(names))]
        yield from ((str(link.num), link) for link in links if link.deleted is None)
    elif kind == "key":
        keys = [rows.key_of(row) for row in db.all("keys_changed", names=rows.listed(names))]
        yield from ((key.id, key) for key in keys)
    elif kind == "collection":
        found = [rows.collection_of(row) for row in db.all("collections_changed", names=rows.listed(names))]
        yield from ((collection.name, collection) for collection in found)
    elif kind == "connection":
        yield from catalog.connections(db).items()
    elif kind in ("hook", "form"):
        read = catalog.hook if kind == "hook" else catalog.form
        yield from ((name, read(db, name)) for name in names)
    elif kind in ("event_type", "tenant"):
        for name in names:
            row = db.one(f"{kind}_changed", name=name)
            if row is not None:
                yield name, rows.event_type_of(row) if kind == "event_type" else rows.tenant_of(row)
