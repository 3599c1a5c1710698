"""The catalogue: links, hooks, keys, event types, tenants and collections, kept in memory beside the store.

They are few and every request asks for them, so the whole catalogue is one snapshot. A write job calls one of the
`put_` and `drop_` methods with its connection; that also records, in the same transaction, what has changed
(`catalog_change`). The numbers of these changes are the catalogue's version, which lives in the store: whoever holds a
snapshot of version 7 reads again what the changes after 7 name, whichever process made them. The writer does so after
each commit of its own, before anybody is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from tidings.model.access import Key, Tenant
from tidings.model.collection import Collection
from tidings.model.event import ChangeType, EventType
from tidings.model.hook import Hook
from tidings.model.link import KINDS, AnyLink, Endpoint, Link, Pacing, Timer
from tidings.rules.declare.change_types import change_types
from tidings.store import catalog_rows as rows
from tidings.store.base import Db, Row, StoreError
from tidings.store.seal import Sealer

CHANGES_KEPT = 10_000
"""How many changes are kept. An older snapshot reads everything."""

T = TypeVar("T")


class Snapshot(msgspec.Struct, frozen=True):
    """The catalogue at one moment. `version` is the number of the last change that is in it."""

    version: int
    links: dict[int, AnyLink]
    """By number, of every kind, deleted ones included: deliveries name them."""
    endpoints_by_id: dict[str, Endpoint]
    """By id, without deleted ones and other kinds of links."""
    keys: dict[str, Key]
    """By id, revoked ones included."""
    keys_by_hash: dict[str, Key]
    """By the SHA-256 of their text, without the revoked ones."""
    event_types: dict[str, EventType]
    tenants: dict[str, Tenant]
    collections: dict[str, Collection]
    hooks: dict[str, Hook]
    """By id."""
    hooks_by_path: dict[str, Hook]
    """By path, only those that are enabled."""
    change_types: dict[str, ChangeType] = {}
    """The types of the events of items' changes, derived from the collections."""
    links_by_name: dict[str, AnyLink] = {}
    """The links that operators have declared, by name, without the deleted ones. Endpoints are not among them."""


class Catalog:
    """The present snapshot (`now`), and the writes that change it."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._written: set[tuple[str, str]] = set()
        self._listeners: list[Callable[[Snapshot, list[AnyLink]], None]] = []
        self._derived: dict[str, tuple[Collection, list[ChangeType]]] = {}
        self.now = Snapshot(-1, {}, {}, {}, {}, {}, {}, {}, {}, {})

    def on_change(self, listener: Callable[[Snapshot, list[AnyLink]], None]) -> None:
        """Call `listener`, from the writer's thread, after each change, with the links that changed."""
        self._listeners.append(listener)

    def load(self, db: Db) -> None:
        """Read everything. Raises StoreError if the secrets cannot be opened."""
        # First the version: what changes in the meantime is then read twice rather than never.
        version = db.one("catalog_version")
        links = {row[0]: self._link(row) for row in db.all("links")}
        keys = {row[0]: rows.key_of(row) for row in db.all("keys")}
        hooks = {row[0]: rows.hook_of(row, self._sealer) for row in db.all("hooks")}
        self._publish(
            Snapshot(
                0 if version is None else version[0],
                links,
                {link.id: link for link in links.values() if _is_open_endpoint(link)},
                keys,
                {key.hash: key for key in keys.values() if key.revoked is None},
                {row[0]: rows.event_type_of(row) for row in db.all("event_types")},
                {row[0]: rows.tenant_of(row) for row in db.all("tenants")},
                {row[0]: rows.collection_of(row) for row in db.all("collections")},
                hooks,
                {hook.options.path: hook for hook in hooks.values() if hook.options.enabled},
            ),
            list(links.values()),
        )
        self._written = set()

    def refresh(self, db: Db) -> None:
        """Catch up if this process has changed anything; the writer calls it after each commit.

        Raises StoreError; call it again then.
        """
        if self._written:
            self.catch_up(db)

    def catch_up(self, db: Db) -> None:
        """Reload what has changed in the store since the snapshot. Call it again if it raises StoreError."""
        now = self.now
        changes = db.all("catalog_changes", after=now.version, count=CHANGES_KEPT)
        if changes and changes[0][0] != now.version + 1:
            self.load(db)
            return
        if changes:
            fresh = Snapshot(
                changes[-1][0],
                dict(now.links),
                dict(now.endpoints_by_id),
                dict(now.keys),
                dict(now.keys_by_hash),
                dict(now.event_types),
                dict(now.tenants),
                dict(now.collections),
                dict(now.hooks),
                dict(now.hooks_by_path),
            )
            named = dict.fromkeys((kind, name) for _, kind, name in changes)
            found = [self._read(db, fresh, kind, name) for kind, name in named]
            self._publish(fresh, [link for link in found if link is not None])
        # Only now: another thread that finds nothing written finds the new snapshot (`is_current`).
        self._written = set()

    def _read(self, db: Db, fresh: Snapshot, kind: str, name: str) -> AnyLink | None:
        """Read one thing into a snapshot; returns the link, if it is one."""
        if kind == "link":
            row = db.one("link_changed", name=int(name))
            return None if row is None else _keep_link(fresh, self._link(row))
        if kind == "key":
            row = db.one("key_changed", name=name)
            if row is not None:
                _keep_key(fresh, rows.key_of(row))
        elif kind == "event_type":
            row = db.one("event_type_changed", name=name)
            _keep(fresh.event_types, name, None if row is None else rows.event_type_of(row))
        elif kind == "tenant":
            row = db.one("tenant_changed", name=name)
            _keep(fresh.tenants, name, None if row is None else rows.tenant_of(row))
        elif kind == "collection":
            row = db.one("collection_changed", name=name)
            _keep(fresh.collections, name, None if row is None else rows.collection_of(row))
        elif kind == "hook":
            _keep_hook(fresh, name, self.hook(db, name))
        return None

    def _note(self, db: Db, kind: str, *names: str) -> None:
        """Record changes, in the transaction that makes them."""
        self._written.update((kind, name) for name in names)
        # One row for all nodes: whoever changes the catalogue waits for whoever does, so versions come in order.
        row = db.one("numbers_take", name="catalog", journal=0, count=len(names))
        assert row is not None
        first = row[0] - len(names) + 1
        changes = [{"number": first + n, "kind": kind, "name": name} for n, name in enumerate(names)]
        db.many("catalog_change_put", changes)
        db.run("catalog_changes_drop", until=row[0] - CHANGES_KEPT)

    def _publish(self, snapshot: Snapshot, changed: list[AnyLink]) -> None:
        types, named = self._change_types(snapshot.collections), self.now.links_by_name
        if changed:
            named = {link.name: link for link in snapshot.links.values() if link.name and link.deleted is None}
        self.now = snapshot = msgspec.structs.replace(snapshot, change_types=types, links_by_name=named)
        for listener in self._listeners:
            listener(snapshot, changed)

    def _change_types(self, collections: dict[str, Collection]) -> dict[str, ChangeType]:
        """The change types of all collections; only changed collections are read."""
        known, self._derived = self._derived, {}
        for name, collection in collections.items():
            before = known.get(name)
            fresh = before is None or before[0] is not collection
            self._derived[name] = (collection, change_types(collection)) if before is None or fresh else before
        return {kind.name: kind for _, kinds in self._derived.values() for kind in kinds}

    def link(self, db: Db, num: int) -> AnyLink | None:
        """A link as the present transaction sees it, deleted ones included; `now` may be one commit older."""
        row = db.one("link_changed", name=num)
        return None if row is None else self._link(row)

    def declared_links(self, db: Db) -> dict[str, AnyLink]:
        """The links that operators have declared, by name, as the present transaction sees them."""
        return {link.name: link for link in map(self._link, db.all("links_declared"))}

    def declared_link(self, db: Db, name: str) -> AnyLink | None:
        """One of them. A look-up by number, unless it was declared in the present transaction."""
        known = self.now.links_by_name.get(name)
        link = None if known is None else self.link(db, known.num)
        if link is not None and link.deleted is None:
            return link
        return self.declared_links(db).get(name)

    def next_number(self, db: Db) -> int:
        """The number for a new link."""
        row = db.one("link_next")
        assert row is not None
        return int(row[0])

    def put_link(self, db: Db, link: AnyLink) -> None:
        """Create or replace a link (deleting is setting `deleted`)."""
        self._note(db, "link", str(link.num))
        options, sealed = _stored(link)
        db.run(
            "link_put",
            num=link.num,
            id=link.id,
            kind=link.kind,
            tenant=link.tenant,
            options=options,
            sealed=self._sealer.seal(sealed, link.id),
            mode=link.mode,
            reason=link.reason,
            revision=link.revision,
            created=link.created,
            updated=link.updated,
            deleted=link.deleted,
            after=link.after,
        )

    def keys(self, db: Db) -> list[Key]:
        """Every key as the present transaction sees it, revoked ones included."""
        return [rows.key_of(row) for row in db.all("keys")]

    def put_key(self, db: Db, key: Key) -> None:
        """Create or replace a key (revoking is setting `revoked`)."""
        self._note(db, "key", key.id)
        fields = msgspec.structs.asdict(key)
        fields["scopes"] = msgspec.json.encode(key.scopes).decode()
        fields["limits"] = msgspec.json.encode(key.limits).decode()
        fields["shared_limits"] = msgspec.json.encode(key.shared_limits).decode()
        fields["permits"] = msgspec.json.encode(key.permits).decode()
        fields["cors_origins"] = msgspec.json.encode(key.cors_origins).decode()
        db.run("key_put", **fields)

    def put_event_type(self, db: Db, kind: EventType) -> None:
        """Create or replace an event type."""
        self._note(db, "event_type", kind.name)
        db.run("event_type_put", **msgspec.structs.asdict(kind))

    def drop_event_type(self, db: Db, name: str) -> None:
        """Take an event type out of the catalogue; its events stay."""
        self._note(db, "event_type", name)
        db.run("event_type_drop", name=name)

    def put_tenant(self, db: Db, tenant: Tenant) -> None:
        """Create or replace a tenant."""
        self._note(db, "tenant", tenant.id)
        db.run("tenant_put", **msgspec.structs.asdict(tenant))

    def drop_tenant(self, db: Db, tenant_id: str) -> None:
        """Delete a tenant's entry."""
        self._note(db, "tenant", tenant_id)
        db.run("tenant_drop", id=tenant_id)

    def collection(self, db: Db, name: str) -> Collection | None:
        """A collection as the present transaction sees it; `now` may be one commit older."""
        row = db.one("collection_changed", name=name)
        return None if row is None else rows.collection_of(row)

    def is_current(self, collection: Collection) -> bool:
        """Whether the collection is declared so, also in the writer's present transaction.

        Any thread may ask: after it has read, and in this order, so that it hears of a change that it may have seen.
        """
        name = collection.name
        return ("collection", name) not in self._written and self.now.collections.get(name) is collection

    def put_collections(self, db: Db, collections: Sequence[Collection]) -> None:
        """Create or replace declarations, without their tables (store/items/tables.py)."""
        if collections:
            self._note(db, "collection", *(collection.name for collection in collections))
            db.many("collection_put", [rows.collection_fields(collection) for collection in collections])

    def drop_collections(self, db: Db, names: Sequence[str]) -> None:
        """Delete declarations."""
        if names:
            self._note(db, "collection", *names)
            db.many("collection_drop", [{"name": name} for name in names])

    def hook(self, db: Db, ident: str) -> Hook | None:
        """A hook as the present transaction sees it; `now` may be one commit older."""
        row = db.one("hook_changed", name=ident)
        return None if row is None else rows.hook_of(row, self._sealer)

    def hooks(self, db: Db) -> list[Hook]:
        """Every hook as the present transaction sees it."""
        return [rows.hook_of(row, self._sealer) for row in db.all("hooks")]

    def put_hook(self, db: Db, hook: Hook) -> None:
        """Create or replace a hook."""
        self._note(db, "hook", hook.id)
        db.run("hook_put", **rows.hook_fields(hook, self._sealer))

    def drop_hook(self, db: Db, ident: str) -> None:
        """Delete a hook; its receipts stay as long as any."""
        self._note(db, "hook", ident)
        db.run("hook_drop", id=ident)

    def _link(self, row: Row) -> AnyLink:
        num, ident, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after = row
        if kind not in KINDS:
            raise StoreError(f"the store has a link of the kind {kind}, which this version of Tidings does not know")
        chosen, opened = msgspec.json.decode(options), self._sealer.open(bytes(sealed), ident)
        selection = msgspec.convert(chosen, _Selection)
        return Link(
            num=num,
            id=ident,
            kind=kind,
            tenant=tenant,
            name=selection.name,
            description=selection.description,
            events=selection.events,
            timer=selection.timer,
            filter=selection.filter,
            pacing=msgspec.convert(chosen, Pacing),
            what=msgspec.convert(chosen | {"sealed": msgspec.json.decode(opened)}, KINDS[kind]),
            mode=mode,
            reason=reason,
            revision=revision,
            created=created,
            updated=updated,
            deleted=deleted,
            after=after,
        )


class _Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """The events that each link wants, or its timer."""

    name: str = ""
    description: str = ""
    events: tuple[str, ...] = ("*",)
    timer: Timer | None = None
    filter: dict[str, Any] | None = None


def _stored(link: AnyLink) -> tuple[str, bytes]:
    """The stored parts of a link: one flat object as JSON, and the parts to encrypt."""
    what = msgspec.to_builtins(link.what)
    sealed = what.pop("sealed")
    selection = msgspec.to_builtins(_Selection(link.name, link.description, link.events, link.timer, link.filter))
    options = msgspec.json.encode(selection | msgspec.to_builtins(link.pacing) | what)
    return options.decode(), msgspec.json.encode(sealed)


def _is_open_endpoint(link: AnyLink) -> bool:
    return link.kind == "endpoint" and link.deleted is None


def _keep_link(snapshot: Snapshot, link: AnyLink) -> AnyLink:
    snapshot.links[link.num] = link
    _keep(snapshot.endpoints_by_id, link.id, link if _is_open_endpoint(link) else None)
    return link


def _keep_key(snapshot: Snapshot, key: Key) -> None:
    before = snapshot.keys.get(key.id)
    if before is not None:
        snapshot.keys_by_hash.pop(before.hash, None)
    snapshot.keys[key.id] = key
    if key.revoked is None:
        snapshot.keys_by_hash[key.hash] = key


def _keep_hook(snapshot: Snapshot, ident: str, hook: Hook | None) -> None:
    before = snapshot.hooks.get(ident)
    # Another hook may have taken its path since: what changed is read again one by one.
    if before is not None and snapshot.hooks_by_path.get(before.options.path) is before:
        del snapshot.hooks_by_path[before.options.path]
    _keep(snapshot.hooks, ident, hook)
    if hook is not None and hook.options.enabled:
        snapshot.hooks_by_path[hook.options.path] = hook


def _keep(things: dict[str, T], name: str, thing: T | None) -> None:
    if thing is None:
        things.pop(name, None)
    else:
        things[name] = thing
