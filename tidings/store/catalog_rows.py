"""The rows of the catalogue's tables: options of links, hooks and connections are one JSON text; secrets are sealed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from tidings.model.access import CallLimit, Key, Permit, SharedLimit, Tenant
from tidings.model.calls.connection import Connection, ConnectionOptions, ConnectionSecrets
from tidings.model.collection import Collection
from tidings.model.event import EventType
from tidings.model.forms.form import Form, FormOptions
from tidings.model.hook import Hook, HookOptions
from tidings.model.link import KINDS, AnyLink, Endpoint, Link, Pacing, Timer
from tidings.store.base import Db, Row, StoreError
from tidings.store.seal import Sealer

T = TypeVar("T")
AtPath = TypeVar("AtPath", Hook, Form)


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


def link_of(row: Row, sealer: Sealer, before: AnyLink | None = None) -> AnyLink:
    """The link of a row. Raises StoreError if its secrets cannot be opened, or if it is of an unknown kind.

    `before`: the link as it was. A deleted link is otherwise unchanged, so its secrets are not opened again.
    """
    num, ident, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after = row
    if before is not None and deleted is not None:
        gone = {"mode": mode, "reason": reason, "revision": revision, "updated": updated, "deleted": deleted}
        return msgspec.structs.replace(before, **gone)
    if kind not in KINDS:
        raise StoreError(f"the store has a link of the kind {kind}, which this version of Tidings does not know")
    chosen, opened = msgspec.json.decode(options), sealer.open(bytes(sealed), ident)
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
        notes=selection.notes,
    )


def link_fields(link: AnyLink, sealer: Sealer) -> dict[str, Any]:
    """A link as one of the rows of `links_put`."""
    what = msgspec.to_builtins(link.what)
    sealed = msgspec.json.encode(what.pop("sealed"))
    selected = _Selection(link.name, link.description, link.events, link.timer, link.filter, link.notes)
    selection = msgspec.to_builtins(selected)
    return {
        "num": link.num,
        "id": link.id,
        "kind": link.kind,
        "tenant": link.tenant,
        "options": msgspec.json.encode(selection | msgspec.to_builtins(link.pacing) | what).decode(),
        "sealed": sealer.seal(sealed, link.id).hex(),
        "mode": link.mode,
        "reason": link.reason,
        "revision": link.revision,
        "created": link.created,
        "updated": link.updated,
        "deleted": link.deleted,
        "after": link.after,
    }


class _Selection(msgspec.Struct, frozen=True, omit_defaults=True):
    """The events that each link wants, or its timer; and what is kept with it."""

    name: str = ""
    description: str = ""
    events: tuple[str, ...] = ("*",)
    timer: Timer | None = None
    filter: dict[str, Any] | None = None
    notes: str | None = None


def form_of(row: Row) -> Form:
    """The form of a row."""
    ident, tenant, options, revision, created, updated = row
    return Form(
        id=ident,
        tenant=tenant,
        options=msgspec.json.decode(options, type=FormOptions),
        revision=revision,
        created=created,
        updated=updated,
    )


def connection_of(row: Row, sealer: Sealer) -> Connection:
    """The connection of a row. Raises StoreError if its secrets cannot be opened."""
    ident, name, options, sealed, revision, created, updated = row
    return Connection(
        id=ident,
        name=name,
        options=msgspec.json.decode(options, type=ConnectionOptions),
        secrets=msgspec.json.decode(sealer.open(bytes(sealed), ident), type=ConnectionSecrets),
        revision=revision,
        created=created,
        updated=updated,
    )


def form_fields(form: Form) -> dict[str, Any]:
    """The parameters of the statement that writes a form."""
    fields = msgspec.structs.asdict(form)
    return fields | {"path": form.options.path, "options": msgspec.json.encode(form.options).decode()}


def connection_fields(connection: Connection, sealer: Sealer) -> dict[str, Any]:
    """The parameters of the statement that writes a connection."""
    return {
        "id": connection.id,
        "name": connection.name,
        "options": msgspec.json.encode(connection.options).decode(),
        "sealed": sealer.seal(msgspec.json.encode(connection.secrets), connection.id),
        "revision": connection.revision,
        "created": connection.created,
        "updated": connection.updated,
    }


def event_type_of(row: Row) -> EventType:
    """An event type."""
    name, description, schema, example, revision, created, updated, notes = row
    return EventType(
        name=name,
        description=description,
        schema=schema,
        example=example,
        revision=revision,
        created=created,
        updated=updated,
        notes=notes,
    )


def tenant_of(row: Row) -> Tenant:
    """The entry of a tenant."""
    ident, name, revision, created, updated, notes = row
    return Tenant(id=ident, name=name, revision=revision, created=created, updated=updated, notes=notes)


def collection_of(row: Row) -> Collection:
    """A collection."""
    return msgspec.json.decode(row[1], type=Collection)


def collection_fields(collection: Collection) -> dict[str, Any]:
    """A collection as one of the rows of `collections_put`."""
    return {
        "name": collection.name,
        "declaration": msgspec.json.encode(collection).decode(),
        "revision": collection.revision,
        "created": collection.created,
        "updated": collection.updated,
    }


def key_of(row: Row, before: Key | None = None) -> Key:
    """A key. `before`: the key as it was; only its permits, and whether it is revoked, can change."""
    ident, digest, name, scopes, tenant, limits, expires, created, revoked, permits, origins, shared = row
    if before is not None and before.hash == digest:
        return msgspec.structs.replace(before, revoked=revoked, permits=_permits(permits))
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
        permits=_permits(permits),
        cors_origins=msgspec.json.decode(origins, type=tuple[str, ...]),
    )


@lru_cache(maxsize=4_096)
def _permits(text: str) -> tuple[Permit, ...]:
    """The permits of a row.

    Thousands of keys may have the same permits, which are then parsed and stored in memory once.
    """
    return msgspec.json.decode(text, type=tuple[Permit, ...])


def key_fields(key: Key) -> dict[str, Any]:
    """The parameters of the statement that writes a key."""
    lists = ("scopes", "limits", "shared_limits", "permits", "cors_origins")
    return msgspec.structs.asdict(key) | {name: msgspec.json.encode(getattr(key, name)).decode() for name in lists}


def is_open_endpoint(link: AnyLink) -> bool:
    """Whether a link is an endpoint that was not deleted."""
    return link.kind == "endpoint" and link.deleted is None


def listed(things: Iterable[Any]) -> str:
    """Many things as the one parameter of a statement."""
    return msgspec.json.encode(list(things)).decode()


def keep_at_path(things: dict[str, AtPath], by_path: dict[str, AtPath], ident: str, thing: AtPath | None) -> None:
    """Keep or remove something that has an id, and also a path while it is enabled."""
    before = things.get(ident)
    # Something else may have taken its path since then, as changes are read one by one.
    if before is not None and by_path.get(before.options.path) is before:
        del by_path[before.options.path]
    keep(things, ident, thing)
    if thing is not None and thing.options.enabled:
        by_path[thing.options.path] = thing


def keep(things: dict[str, T], name: str, thing: T | None) -> None:
    """Keep or remove one of the things that a snapshot has."""
    if thing is None:
        things.pop(name, None)
    else:
        things[name] = thing


def keep_link(links: dict[int, AnyLink], endpoints: dict[str, Endpoint], link: AnyLink) -> AnyLink:
    """Keep a link, and return it; it is among the endpoints only as long as it is one."""
    links[link.num] = link
    keep(endpoints, link.id, link if is_open_endpoint(link) else None)
    return link


def keep_key(keys: dict[str, Key], by_hash: dict[str, Key], ident: str, row: Row | None) -> None:
    """Keep or remove a key."""
    before = keys.get(ident)
    if before is not None:
        by_hash.pop(before.hash, None)
    key = None if row is None else key_of(row, before)
    keep(keys, ident, key)
    if key is not None and key.revoked is None:
        by_hash[key.hash] = key


def stored_version(db: Db) -> int:
    """The version in the store.

    If other nodes write as well, this is a write job: from then on, this node is known to have read it.
    """
    row = db.one("catalog_version")
    return 0 if row is None else int(row[0])
