"""OpenAPI 3.1, made from the menu for the calling key: it has only what that key may do."""

from __future__ import annotations

import asyncio
import re
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tidings import __version__
from tidings.model import moment
from tidings.model.access import Key
from tidings.model.event import EventType
from tidings.rules.network.origin import public_url
from tidings.web.openapi import collection_bounds, directions, webhooks
from tidings.web.openapi import schemas as spelling
from tidings.web.openapi.answers import HEADERS, PROBLEMS, REF, problem_answer
from tidings.web.openapi.bounds import with_bounds
from tidings.web.openapi.operations import described
from tidings.web.openapi.their_schemas import name_fields
from tidings.web.operation import Answer, BodySchema, Operation, Request
from tidings.web.parts import Parts
from tidings.web.wire.problem import Problem

DOCUMENTS_MAX = 100
"""The maximum number of documents that are kept, at a few hundred KB each; beyond it, the oldest one is dropped."""
DOCUMENT_WEIGHT = 1024 * 1024
"""Making a document counts like a body of this many bytes."""
TAG = "Service"
TAGS = {
    "Events": "Facts about what has happened: publish them, list them, catch up, and follow them.",
    "Event types": "The catalogue of possible events, with schemas and examples.",
    "Endpoints": "URLs that get events as webhooks.",
    "Links": "What happens on an event: edits of your own items, and calls to other systems.",
    "Connections": "How other systems are reached: URL, credentials, limits.",
    "Hooks": "Webhooks from other systems: who may send them, what arrived, and what was refused.",
    "Forms": "Pages that people fill in; each submission becomes an event.",
    "Collections": "Kinds of items, declared with typed fields.",
    "Deliveries": "Events on their way to endpoints or through links, with every attempt.",
    "Replays": "Jobs that send the events of a time range again.",
    "Tenants": "The operator's customers.",
    "Keys": "Credentials of callers, with scopes and call limits.",
    TAG: "The server itself.",
    webhooks.TAG: "The requests that the server sends to endpoints.",
}
KEY = {"type": "http", "scheme": "bearer", "bearerFormat": "tdk_...", "description": "A Tidings key."}
_COMPONENT = re.compile("#/components/([^/]+)/([^/]+)")
DESCRIPTION = (
    "Send data in through the API; events are sent out as webhooks. This document lists the operations that your "
    "key may use. Times are in the format of RFC 3339, in UTC. Lists accept `limit`, `cursor`, `sort` and `count`; "
    "with `fields`, the response has only the named fields. Every refusal is a problem document (RFC 9457), with a "
    "code and the location of each error. Unknown fields and parameters are refused, and the refusal names them."
)

INFO = {
    "title": "Tidings",
    "version": __version__,
    "description": DESCRIPTION,
    "contact": {"name": "The operator of this server"},
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}


def permitted(operations: Iterable[Operation], key: Key) -> list[Operation]:
    """The operations that a key may use; for a key without scopes, those that need no key.

    Templates are left out: `parts.menus` has the key's own operations instead.
    """
    return [
        operation
        for operation in operations
        if operation.per_key is None
        and not operation.internal
        and not (operation.whole and key.tenant is not None)
        and (operation.scope is None or key.has_scope(operation.scope))
    ]


def document(
    operations: Sequence[Operation],
    event_types: Sequence[EventType] | None = None,
    key: Key | None = None,
    base: str = "",
) -> dict[str, Any]:
    """The whole document of some operations.

    `event_types`: those to describe as webhooks; None for no webhooks. `key`: whose document it is; values that this
    key cannot use are left out of bodies too. `base`: the server's public URL.
    """
    schemas = _schemas(operations)
    if key is not None:
        _narrow(schemas, key)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = described(operation, operations)
    tags = list(dict.fromkeys(operation.tag for operation in operations))
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [
            {"url": base or "/", "description": "This server, both in production and in tests.", "x-internal": False}
        ],
        "paths": dict(sorted(paths.items())),
    }
    if event_types is not None:
        tags.append(webhooks.TAG)
        items, more = webhooks.described(event_types)
        schemas |= more
        # By reference, not inline: otherwise, generators would make functions of them that call the API.
        found["webhooks"] = {name: {"$ref": f"#/components/pathItems/webhook.{name}"} for name in items}
        if registering := found["paths"].get("/v1/endpoints", {}).get("post"):
            registering["callbacks"] = webhooks.callbacks()
    components = {
        "schemas": dict(sorted(schemas.items())),
        "responses": {str(kind.status): problem_answer(kind) for kind in PROBLEMS},
        "headers": HEADERS,
    }
    if event_types is not None:
        components["pathItems"] = {f"webhook.{name}": item for name, item in items.items()}
    found["components"] = _named(found, components) | {"securitySchemes": {"key": KEY}}
    said = {operation.tag: operation.tag_help for operation in operations if operation.tag_help} | TAGS
    found["tags"] = [{"name": tag, "description": said.get(tag, tag)} for tag in tags]
    return _in_plain_words(found)


def _in_plain_words(found: dict[str, Any]) -> dict[str, Any]:
    """The document in the form that generators and linters understand."""
    # What it was made from is shared by all documents, so it must not be changed.
    found = msgspec.json.decode(msgspec.json.encode(found))
    name_fields(found["components"]["schemas"])
    directions.separate(found)
    spelling.respell(found)
    spelling.make_unique(found)
    # In the same order at each start, so that two documents can be compared, and also clients made from them.
    found["components"]["schemas"] = dict(sorted(found["components"]["schemas"].items()))
    return found


def handler(operations: Sequence[Operation]) -> Any:
    """The operation's handler, for this table."""
    documents = OpenApiDocuments(operations)

    async def openapi(parts: Parts, request: Request) -> Answer:
        """The document for the calling key."""
        return Answer(200, await documents.of(parts, request.key))

    return openapi


class OpenApiDocuments:
    """Each key's document as bytes, kept while what it was made from is unchanged. Belongs to one event loop.

    Making one takes about fifty milliseconds of the interpreter. So it is made next to the event loop, once for all who
    wait for it, and a tenant that keeps asking with new keys gets only its share of the room for large bodies.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._kept: dict[str, tuple[tuple[Any, ...], asyncio.Future[bytes]]] = {}

    async def of(self, parts: Parts, key: Key) -> bytes:
        """The document of a key; a key without an id means callers without a key."""
        now = parts.catalog.now
        made_from = (key, now.collections, now.event_types, now.change_types)
        kept = self._kept.get(key.id)
        if kept is None or not _is_same(kept[0], made_from) or (kept[1].done() and not _is_made(kept[1])):
            making = asyncio.ensure_future(self._made(parts, key, made_from))
            self._kept.pop(key.id, None)
            if len(self._kept) >= DOCUMENTS_MAX:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[key.id] = (made_from, making)
        # A caller that disconnects does not stop it for the others.
        return await asyncio.shield(kept[1])

    async def _made(self, parts: Parts, key: Key, made_from: tuple[Any, ...]) -> bytes:
        _, _, known, changes = made_from
        async with parts.work.place(key.tenant, DOCUMENT_WEIGHT):
            await parts.work.step()
            items = parts.menus.operations(parts, key) if key.id else []
            event_types = None
            if key.has_scope("event-types:read"):
                event_types = sorted({**known, **changes}.values(), key=lambda kind: kind.name)
            public = public_url(parts.settings.public_url)
            base = public.whole if public else ""
            return await asyncio.to_thread(self._encoded, items, event_types, key, base)

    def _encoded(self, items: list[Operation], event_types: list[EventType] | None, key: Key, base: str) -> bytes:
        found = document([*items, *permitted(self._operations, key)], event_types, key, base)
        if key.id:
            found["x-key"] = whose(key)
        return msgspec.json.encode(found)


def _is_same(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    return before[0] is now[0] and before[1:] == now[1:]


def _is_made(done: asyncio.Future[bytes]) -> bool:
    return not done.cancelled() and done.exception() is None


def whose(key: Key) -> dict[str, Any]:
    """What the page `/docs` says about the entered key: nothing that its holder may not know."""
    expires = None if key.expires is None else moment.to_text(key.expires)
    return {"id": key.id, "name": key.name, "tenant": key.tenant, "expires": expires}


def _named(found: dict[str, Any], components: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The components that the document refers to, directly or through other components."""
    named: set[tuple[str, str]] = set()
    waiting: list[Any] = [found]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, list):
            waiting += thing
        elif isinstance(thing, dict):
            waiting += thing.values()
            match = _COMPONENT.match(str(thing.get("$ref", "")))
            if match and match.groups() not in named:
                named.add((match[1], match[2]))
                waiting.append(components[match[1]].get(match[2]))
    return {
        kind: {name: each for name, each in all_.items() if (kind, name) in named} for kind, all_ in components.items()
    }


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    """The components: the structs with their bounds, the parts of declarations, and the BodySchemas."""
    _, schemas = msgspec.json.schema_components(_types(operations), ref_template=REF)
    found: dict[str, Any] = {**collection_bounds.COMPONENTS, **with_bounds(schemas)}
    for operation in operations:
        if operation.item is not None and operation.item.__name__ in found:
            # With `fields` the answer holds only some of the members.
            found[operation.item.__name__].pop("required", None)
        for kind in (operation.request, operation.response, *operation.components):
            if isinstance(kind, BodySchema):
                found[kind.name] = kind.schema
    return found


def _narrow(schemas: dict[str, Any], key: Key) -> None:
    """Leave out what this key cannot write: other tenants, and scopes that it does not have itself."""
    if "NewKey" in schemas:
        scopes = schemas["NewKey"]["properties"]["scopes"]
        scopes["items"] = {"type": "string", "enum": [each for each in scopes["items"]["enum"] if key.has_scope(each)]}
    for name in ("NewEvent", "NewEndpoint", "NewKey"):
        if key.tenant is not None and name in schemas:
            schemas[name]["properties"]["tenant"] = {"enum": [key.tenant, None], "default": None}


def _types(operations: Sequence[Operation]) -> list[Any]:
    kinds: dict[Any, None] = {Problem: None}
    for operation in operations:
        for kind in (operation.request, operation.item, *_members(operation.response)):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                kinds[kind] = None
    return list(kinds)


def _members(kind: Any) -> tuple[Any, ...]:
    """The members of a union; for any other type, the type itself."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
