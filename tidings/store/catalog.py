"""The catalogue: endpoints, keys, event types and tenants, kept in memory beside the store.

They are few and asked for with every request, so the whole catalogue is one snapshot that is read anew after a
write that changed it. A write job calls one of the `put_` and `drop_` methods with its connection; the writer
refreshes the snapshot after the commit and before anybody is answered.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.model.access import CallLimit, Key, Tenant
from tidings.model.event import EventType
from tidings.model.link import Endpoint, Options, Sealed
from tidings.store.base import Db, Row
from tidings.store.seal import Sealer


class Snapshot(msgspec.Struct, frozen=True):
    """The catalogue at one moment. `version` grows with each change."""

    version: int
    endpoints: dict[int, Endpoint]
    """By number, deleted ones included: deliveries name them."""
    endpoints_by_id: dict[str, Endpoint]
    """By id, without the deleted ones."""
    keys: dict[str, Key]
    """By id, revoked ones included."""
    keys_by_hash: dict[str, Key]
    """By the SHA-256 of their text, without the revoked ones."""
    event_types: dict[str, EventType]
    tenants: dict[str, Tenant]


class Catalog:
    """The present snapshot (`now`), and the writes that change it."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._dirty = False
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._opened: dict[bytes, Sealed] = {}
        self.now = Snapshot(0, {}, {}, {}, {}, {}, {})

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call `listener`, from the writer's thread, after each change."""
        self._listeners.append(listener)

    def load(self, db: Db) -> None:
        """Read everything. Raises StoreError where the secrets cannot be opened."""
        endpoints = {row[0]: self._endpoint(row) for row in db.all("links")}
        keys = {row[0]: _key(row) for row in db.all("keys")}
        self.now = Snapshot(
            self.now.version + 1,
            endpoints,
            {endpoint.id: endpoint for endpoint in endpoints.values() if endpoint.deleted is None},
            keys,
            {key.hash: key for key in keys.values() if key.revoked is None},
            {row[0]: EventType(**dict(zip(_TYPE_FIELDS, row, strict=True))) for row in db.all("event_types")},
            {row[0]: Tenant(**dict(zip(_TENANT_FIELDS, row, strict=True))) for row in db.all("tenants")},
        )
        self._dirty = False
        for listener in self._listeners:
            listener(self.now)

    def refresh(self, db: Db) -> None:
        """Read anew where a write has changed something; the writer calls it after each commit."""
        if self._dirty:
            self.load(db)

    def next_number(self, db: Db) -> int:
        """The number for a new endpoint."""
        row = db.one("link_next")
        assert row is not None
        return int(row[0])

    def put_endpoint(self, db: Db, endpoint: Endpoint) -> None:
        """Create or replace an endpoint (deleting is setting `deleted`)."""
        self._dirty = True
        sealed = self._sealer.seal(msgspec.json.encode(endpoint.sealed), endpoint.id)
        db.run(
            "link_put",
            num=endpoint.num,
            id=endpoint.id,
            tenant=endpoint.tenant,
            options=msgspec.json.encode(endpoint.options).decode(),
            sealed=sealed,
            mode=endpoint.mode,
            reason=endpoint.reason,
            revision=endpoint.revision,
            created=endpoint.created,
            updated=endpoint.updated,
            deleted=endpoint.deleted,
        )

    def put_key(self, db: Db, key: Key) -> None:
        """Create or replace a key (revoking is setting `revoked`)."""
        self._dirty = True
        fields = msgspec.structs.asdict(key)
        fields["scopes"] = msgspec.json.encode(key.scopes).decode()
        fields["limits"] = msgspec.json.encode(key.limits).decode()
        db.run("key_put", **fields)

    def put_event_type(self, db: Db, kind: EventType) -> None:
        """Create or replace an event type."""
        self._dirty = True
        db.run("event_type_put", **msgspec.structs.asdict(kind))

    def drop_event_type(self, db: Db, name: str) -> None:
        """Take an event type out of the catalogue; its events stay."""
        self._dirty = True
        db.run("event_type_drop", name=name)

    def put_tenant(self, db: Db, tenant: Tenant) -> None:
        """Create or replace a tenant."""
        self._dirty = True
        db.run("tenant_put", **msgspec.structs.asdict(tenant))

    def drop_tenant(self, db: Db, tenant_id: str) -> None:
        """Delete a tenant's entry."""
        self._dirty = True
        db.run("tenant_drop", id=tenant_id)

    def _endpoint(self, row: Row) -> Endpoint:
        num, ident, tenant, options, sealed, mode, reason, revision, created, updated, deleted = row
        blob = bytes(sealed)
        opened = self._opened.get(blob)
        if opened is None:
            opened = msgspec.json.decode(self._sealer.open(blob, ident), type=Sealed)
            self._opened[blob] = opened
        return Endpoint(
            num=num,
            id=ident,
            tenant=tenant,
            options=msgspec.json.decode(options, type=Options),
            sealed=opened,
            mode=mode,
            reason=reason,
            revision=revision,
            created=created,
            updated=updated,
            deleted=deleted,
        )


_TYPE_FIELDS = ("name", "description", "schema", "example", "revision", "created", "updated")
_TENANT_FIELDS = ("id", "name", "revision", "created", "updated")


def _key(row: Row) -> Key:
    ident, digest, name, scopes, tenant, limits, expires, created, revoked = row
    return Key(
        id=ident,
        hash=digest,
        name=name,
        scopes=msgspec.json.decode(scopes, type=tuple[str, ...]),
        tenant=tenant,
        limits=msgspec.json.decode(limits, type=tuple[CallLimit, ...]),
        expires=expires,
        created=created,
        revoked=revoked,
    )
