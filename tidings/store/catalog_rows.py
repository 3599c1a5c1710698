"""The rows of the catalogue's tables: of hooks the options are one JSON text, and secrets are sealed."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.access import CallLimit, Key, Permit, SharedLimit, Tenant
from tidings.model.collection import Collection
from tidings.model.event import EventType
from tidings.model.hook import Hook, HookOptions
from tidings.store.base import Row
from tidings.store.seal import Sealer


def hook_of(row: Row, sealer: Sealer) -> Hook:
    """The hook of a row. Raises StoreError if its secrets cannot be opened."""
    ident, tenant, options, sealed, revision, created, updated = row
    return Hook(
        id=ident,
        tenant=tenant,
        options=msgspec.json.decode(options, type=HookOptions),
        secrets=msgspec.json.decode(sealer.open(bytes(sealed), ident), type=tuple[str, ...]),
        revision=revision,
        created=created,
        updated=updated,
    )


def hook_fields(hook: Hook, sealer: Sealer) -> dict[str, Any]:
    """The parameters of the statement that writes a hook."""
    return {
        "id": hook.id,
        "tenant": hook.tenant,
        "path": hook.options.path,
        "options": msgspec.json.encode(hook.options).decode(),
        "sealed": sealer.seal(msgspec.json.encode(hook.secrets), hook.id),
        "revision": hook.revision,
        "created": hook.created,
        "updated": hook.updated,
    }


def event_type_of(row: Row) -> EventType:
    """An event type."""
    name, description, schema, example, revision, created, updated = row
    return EventType(
        name=name,
        description=description,
        schema=schema,
        example=example,
        revision=revision,
        created=created,
        updated=updated,
    )


def tenant_of(row: Row) -> Tenant:
    """The entry of a tenant."""
    ident, name, revision, created, updated = row
    return Tenant(id=ident, name=name, revision=revision, created=created, updated=updated)


def collection_of(row: Row) -> Collection:
    """A collection."""
    return msgspec.json.decode(row[1], type=Collection)


def collection_fields(collection: Collection) -> dict[str, Any]:
    """A collection as the parameters of `collection_put`."""
    return {
        "name": collection.name,
        "declaration": msgspec.json.encode(collection).decode(),
        "revision": collection.revision,
        "created": collection.created,
        "updated": collection.updated,
    }


def key_of(row: Row) -> Key:
    """A key."""
    ident, digest, name, scopes, tenant, limits, expires, created, revoked, permits, origins, shared = row
    return Key(
        id=ident,
        hash=digest,
        name=name,
        scopes=msgspec.json.decode(scopes, type=tuple[str, ...]),
        tenant=tenant,
        limits=msgspec.json.decode(limits, type=tuple[CallLimit, ...]),
        shared_limits=msgspec.json.decode(shared, type=tuple[SharedLimit, ...]),
        expires=expires,
        created=created,
        revoked=revoked,
        permits=msgspec.json.decode(permits, type=tuple[Permit, ...]),
        cors_origins=msgspec.json.decode(origins, type=tuple[str, ...]),
    )
