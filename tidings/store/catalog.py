"""The catalogue: links, connections, hooks, forms, keys, event types, tenants, collections, also kept in memory.

They are few and every request asks for them, so the whole catalogue is one snapshot. A write job calls one of the
`put_` and `drop_` methods with its connection; in the same transaction, the method also records what has changed
(`catalog_change`). The numbers of these changes are the catalogue's version, which lives in the store: a process that
holds a snapshot of version 7 reads again whatever the changes after 7 name, no matter which process made them. The
writer does this after each of its commits, before anybody gets a response. If other nodes write as well, a group is
committed only if this node's snapshot was current when the group began (`begin`), and a change only on top of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tidings.model.access import Key, Permit, Tenant
from tidings.model.calls.connection import Connection
from tidings.model.collection import Collection
from tidings.model.event import ChangeType, EventType
from tidings.model.forms.form import Form
from tidings.model.hook import Hook
from tidings.model.link import AnyLink, Endpoint
from tidings.model.moment import Micros
from tidings.rules.declare.change_types import ChangeTypes
from tidings.store import catalog_rows as rows
from tidings.store.base import Behind, Db, Row
from tidings.store.seal import Sealer
from tidings.store.tokens import TokenStore

CHANGES_KEPT = 50_000
"""How many changes are kept. An older snapshot reads everything."""


class Snapshot(msgspec.Struct, frozen=True):
    """The catalogue at one moment. `version` is the number of the last change that it includes."""

    version: int
    links: dict[int, AnyLink]
    """Links of every kind by number, including deleted ones, because deliveries refer to them."""
    endpoints_by_id: dict[str, Endpoint]
    """The endpoints by id, without deleted ones. Other kinds of links are not among them."""
    keys: dict[str, Key]
    """By id, revoked ones included."""
    keys_by_hash: dict[str, Key]
    """The keys by the SHA-256 of their text, without revoked ones."""
    event_types: dict[str, EventType]
    tenants: dict[str, Tenant]
    collections: dict[str, Collection]
    hooks: dict[str, Hook]
    """By id."""
    hooks_by_path: dict[str, Hook]
    """The enabled ones, by path."""
    connections: dict[str, Connection] = {}
    """By name."""
    change_types: Mapping[str, ChangeType] = {}
    """The types of events about changes of items, derived from the collections."""
    links_by_name: dict[str, AnyLink] = {}
    """The links that operators have declared, by name, without deleted ones. Endpoints are not among them."""
    forms: dict[str, Form] = {}
    """By id."""
    forms_by_path: dict[str, Form] = {}
    """The enabled ones, by path."""


class Catalog:
    """The present snapshot (`now`), and the writes that change it."""

    def __init__(self, sealer: Sealer) -> None:
        self.sealer, self.tokens = sealer, TokenStore(sealer)
        self._written: set[tuple[str, str]] = set()
        self._listeners: list[Callable[[Snapshot, list[AnyLink]], None]] = []
        self._types = ChangeTypes({})
        self.now = Snapshot(-1, {}, {}, {}, {}, {}, {}, {}, {}, {})

    def on_change(self, listener: Callable[[Snapshot, list[AnyLink]], None]) -> None:
        """Call `listener`, from the writer's thread, after each change, with the links that changed."""
        self._listeners.append(listener)

    def load(self, db: Db) -> None:
        """Read everything. Raises StoreError if the secrets cannot be opened."""
        # The version comes first, so that what changes in the meantime is read twice rather than never.
        version = db.one("catalog_version")
        links = {row[0]: rows.link_of(row, self.sealer) for row in db.all("links")}
        keys = {row[0]: rows.key_of(row, self.now.keys.get(row[0])) for row in db.all("keys")}
        hooks = {row[0]: rows.hook_of(row, self.sealer) for row in db.all("hooks")}
        forms = {form.id: form for form in self.forms(db)}
        self._publish(
            Snapshot(
                0 if version is None else version[0],
                links,
                {link.id: link for link in links.values() if rows.is_open_endpoint(link)},
                keys,
                {key.hash: key for key in keys.values() if key.revoked is None},
                {row[0]: rows.event_type_of(row) for row in db.all("event_types")},
                {row[0]: rows.tenant_of(row) for row in db.all("tenants")},
                {row[0]: rows.collection_of(row) for row in db.all("collections")},
                hooks,
                {hook.options.path: hook for hook in hooks.values() if hook.options.enabled},
                connections=self.connections(db),
                forms=forms,
                forms_by_path={form.options.path: form for form in forms.values() if form.options.enabled},
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
                connections=dict(now.connections),
                forms=dict(now.forms),
                forms_by_path=dict(now.forms_by_path),
            )
            self._publish(fresh, self._read(db, fresh, changes))
        # Only now, so that another thread which sees no pending write sees the new snapshot (`is_current`).
        self._written = set()

    def begin(self, db: Db) -> None:
        """Make a transaction that works with `now` fail with Behind if that is out of date.

        Nobody waits for the result: it arrives with that of the transaction's next statement.
        """
        if db.shares and self.now.version >= 0:
            db.run_later("catalog_expect", version=self.now.version + db.noted)

    def lock(self, db: Db) -> None:
        """As `begin`, but never fails: it reads other nodes' changes, and they make no more until the transaction ends.

        It takes two statements, because the one that waits for the lock does not see the changes that it waited for.
        """
        db.all("catalog_lock")
        self.catch_up(db)

    def _read(self, db: Db, fresh: Snapshot, changes: Iterable[Row]) -> list[AnyLink]:
        """Read what changed into a snapshot, many things of a kind together; returns the links."""
        named: dict[str, dict[str, None]] = {}
        for _, kind, name in changes:
            named.setdefault(kind, {})[name] = None
        names = {kind: rows.listed(each) for kind, each in named.items() if kind in ("link", "key", "collection")}
        if "collection" in names:
            found = [rows.collection_of(row) for row in db.all("collections_changed", names=names["collection"])]
            there = {collection.name: collection for collection in found}
            for name in named["collection"]:
                rows.keep(fresh.collections, name, there.get(name))
        if "key" in names:
            keys = {row[0]: row for row in db.all("keys_changed", names=names["key"])}
            for name in named["key"]:
                rows.keep_key(fresh.keys, fresh.keys_by_hash, name, keys.get(name))
        for name in named.get("event_type", ()):
            one = db.one("event_type_changed", name=name)
            rows.keep(fresh.event_types, name, None if one is None else rows.event_type_of(one))
        for name in named.get("tenant", ()):
            one = db.one("tenant_changed", name=name)
            rows.keep(fresh.tenants, name, None if one is None else rows.tenant_of(one))
        for name in named.get("hook", ()):
            rows.keep_at_path(fresh.hooks, fresh.hooks_by_path, name, self.hook(db, name))
        for name in named.get("form", ()):
            rows.keep_at_path(fresh.forms, fresh.forms_by_path, name, self.form(db, name))
        for name in named.get("connection", ()):
            one = db.one("connection_changed", name=name)
            rows.keep(fresh.connections, name, None if one is None else rows.connection_of(one, self.sealer))
        links = db.all("links_changed", names=names["link"]) if "link" in names else ()
        changed = [rows.link_of(row, self.sealer, fresh.links.get(row[0])) for row in links]
        return [rows.keep_link(fresh.links, fresh.endpoints_by_id, link) for link in changed]

    def _writes(self, kind: str) -> bool:
        """Whether such things changed since `now`. Reading them all again takes long, so it is done only then."""
        return self.now.version < 0 or any(each == kind for each, _ in self._written)

    def _note(self, db: Db, kind: str, *names: str) -> None:
        """Record changes, in the transaction that makes them."""
        self._written.update((kind, name) for name in names)
        # All nodes share one row, so changes to the catalogue wait for one another, and versions are in order.
        row = db.one("numbers_take", name="catalog", journal=0, count=len(names))
        assert row is not None
        first = row[0] - len(names) + 1
        if first - 1 - db.noted > self.now.version >= 0:
            raise Behind("the catalogue was changed by another server")
        db.noted += len(names)
        db.run("catalog_changes_put", first=first, kind=kind, names=rows.listed(names))
        db.run("catalog_changes_drop", until=row[0] - CHANGES_KEPT)

    def _publish(self, snapshot: Snapshot, changed: list[AnyLink]) -> None:
        if snapshot.collections != self.now.collections:
            self._types = ChangeTypes(snapshot.collections, self._types)
        types, named = self._types, self.now.links_by_name
        if changed:
            named = {link.name: link for link in snapshot.links.values() if link.name and link.deleted is None}
        self.now = snapshot = msgspec.structs.replace(snapshot, change_types=types, links_by_name=named)
        for listener in self._listeners:
            listener(snapshot, changed)

    def link(self, db: Db, num: int) -> AnyLink | None:
        """A link as the present transaction sees it, deleted ones included; `now` may be one commit older."""
        row = db.one("link_changed", name=num)
        return None if row is None else rows.link_of(row, self.sealer)

    def connection(self, name: str) -> Connection | None:
        """A connection as it is now."""
        return self.now.connections.get(name)

    def declared_links(self, db: Db) -> dict[str, AnyLink]:
        """The links that operators have declared, by name, as the present transaction sees them."""
        if not self._writes("link"):
            return dict(self.now.links_by_name)
        found = [rows.link_of(row, self.sealer) for row in db.all("links_declared")]
        return {link.name: link for link in found}

    def declared_link(self, db: Db, name: str) -> AnyLink | None:
        """One of them."""
        return self.declared_links(db).get(name)

    def next_number(self, db: Db) -> int:
        """The number for a new link."""
        row = db.one("link_next")
        assert row is not None
        return int(row[0])

    def put_link(self, db: Db, link: AnyLink) -> None:
        """Create or replace a link (deleting is setting `deleted`)."""
        self.put_links(db, [link])

    def delete_links(self, db: Db, links: Sequence[AnyLink]) -> None:
        """Mark links as deleted; nothing else about them is written."""
        if links:
            self._note(db, "link", *(str(link.num) for link in links))
            names = ("num", "mode", "reason", "revision", "updated", "deleted")
            db.run("links_delete", rows=rows.listed({name: getattr(link, name) for name in names} for link in links))

    def put_links(self, db: Db, links: Sequence[AnyLink]) -> None:
        """Create or replace links."""
        if links:
            self._note(db, "link", *(str(link.num) for link in links))
            db.run("links_put", rows=rows.listed(rows.link_fields(link, self.sealer) for link in links))

    def keys_with_permits(self, db: Db) -> list[Key]:
        """The keys with permits as the present transaction sees them, revoked ones included."""
        if not self._writes("key"):
            return [key for key in self.now.keys.values() if key.permits]
        return [rows.key_of(row) for row in db.all("keys_with_permits")]

    def put_key(self, db: Db, key: Key) -> None:
        """Create or replace a key (revoking is setting `revoked`)."""
        self.put_keys(db, [key])

    def put_keys(self, db: Db, keys: Sequence[Key]) -> None:
        """Create or replace keys."""
        if keys:
            self._note(db, "key", *(key.id for key in keys))
            db.many("key_put", [rows.key_fields(key) for key in keys])

    def revoke_key(self, db: Db, ident: str, now: Micros) -> None:
        """Refuse a key from now on. Finds it as the present transaction sees it, which may be newer than `now`."""
        for row in db.all("keys_changed", names=rows.listed([ident])):
            key = rows.key_of(row)
            if key.revoked is None:
                self.put_key(db, msgspec.structs.replace(key, revoked=now))

    def drop_keys(self, db: Db, idents: Sequence[str]) -> None:
        """Drop keys that nothing refers to any more."""
        if idents:
            self._note(db, "key", *idents)
            db.many("key_drop", [{"id": ident} for ident in idents])

    def put_permits(self, db: Db, permits: Sequence[tuple[str, tuple[Permit, ...]]]) -> None:
        """Replace the permits of keys, by their ids; there may be thousands."""
        if permits:
            self._note(db, "key", *(ident for ident, _ in permits))
            db.run("permits_put", rows=rows.listed({"id": ident, "permits": each} for ident, each in permits))

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

    def collections(self, db: Db) -> dict[str, Collection]:
        """Every collection, by name, as the present transaction sees them."""
        if not self._writes("collection"):
            return dict(self.now.collections)
        return {row[0]: rows.collection_of(row) for row in db.all("collections")}

    def is_current(self, collection: Collection) -> bool:
        """Whether this is still the collection's declaration, also in the writer's present transaction.

        Any thread may ask, but only after it has read: then it learns of any change that its read may have seen.
        """
        name = collection.name
        return ("collection", name) not in self._written and self.now.collections.get(name) is collection

    def put_collections(self, db: Db, collections: Sequence[Collection]) -> None:
        """Create or replace declarations, without their tables (store/items/tables.py)."""
        if collections:
            self._note(db, "collection", *(collection.name for collection in collections))
            db.run("collections_put", rows=rows.listed(rows.collection_fields(each) for each in collections))

    def drop_collections(self, db: Db, names: Sequence[str]) -> None:
        """Delete declarations."""
        if names:
            self._note(db, "collection", *names)
            db.run("collections_drop", names=rows.listed(names))

    def hook(self, db: Db, ident: str) -> Hook | None:
        """A hook as the present transaction sees it; `now` may be one commit older."""
        row = db.one("hook_changed", name=ident)
        return None if row is None else rows.hook_of(row, self.sealer)

    def hooks(self, db: Db) -> list[Hook]:
        """Every hook as the present transaction sees it."""
        return [rows.hook_of(row, self.sealer) for row in db.all("hooks")]

    def put_hook(self, db: Db, hook: Hook) -> None:
        """Create or replace a hook."""
        self._note(db, "hook", hook.id)
        db.run("hook_put", **rows.hook_fields(hook, self.sealer))

    def drop_hook(self, db: Db, ident: str) -> None:
        """Delete a hook; its receipts are kept as long as any others."""
        self._note(db, "hook", ident)
        db.run("hook_drop", id=ident)

    def form(self, db: Db, ident: str) -> Form | None:
        """A form as the present transaction sees it; `now` may be one commit older."""
        row = db.one("form_changed", name=ident)
        return None if row is None else rows.form_of(row)

    def forms(self, db: Db) -> list[Form]:
        """Every form as the present transaction sees it."""
        return [rows.form_of(row) for row in db.all("forms")]

    def put_form(self, db: Db, form: Form) -> None:
        """Create or replace a form."""
        self._note(db, "form", form.id)
        db.run("form_put", **rows.form_fields(form))

    def drop_form(self, db: Db, ident: str) -> None:
        """Delete a form; its submissions are kept as long as any others."""
        self._note(db, "form", ident)
        db.run("form_drop", id=ident)

    def connections(self, db: Db) -> dict[str, Connection]:
        """Every connection, by name, as the present transaction sees it."""
        if not self._writes("connection"):
            return dict(self.now.connections)
        return {row[1]: rows.connection_of(row, self.sealer) for row in db.all("connections")}

    def put_connection(self, db: Db, connection: Connection) -> None:
        """Create or replace a connection."""
        self._note(db, "connection", connection.name)
        db.run("connection_put", **rows.connection_fields(connection, self.sealer))

    def drop_connection(self, db: Db, connection: Connection) -> None:
        """Delete a connection."""
        self._note(db, "connection", connection.name)
        db.run("connection_token_drop", id=connection.id)
        db.run("connection_drop", id=connection.id)
