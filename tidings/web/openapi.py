"""OpenAPI 3.1, made from the menu for the key that asks: it names only what that key may do."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Sequence, Set
from typing import Any

import msgspec

from tidings import __version__
from tidings.model import errors
from tidings.model.access import Key
from tidings.model.errors import TidingsError
from tidings.model.event import ChangeType, EventType
from tidings.web.bounds import with_bounds
from tidings.web.menu import Answer, Call, Form, Link, Operation, Parameter
from tidings.web.once import REPLAYED
from tidings.web.parts import Parts
from tidings.web.problem import MEDIA, Problem

TAG = "Service"
MERGE_PATCH = "application/merge-patch+json"
_NAME = re.compile(r"\{(\w+)\}")
_REF = "#/components/schemas/{name}"
DESCRIPTION = (
    "Tell it things with the API; it tells you things with webhooks. This document names the operations that your key "
    "may use. Times are RFC 3339 in UTC. Lists have `limit`, `cursor`, `sort` and `count`; with `fields` the answer "
    "holds only the fields that are named. Every refusal is a problem (RFC 9457) with a code and the wrong places. "
    "Unknown fields and parameters are refused by name."
)


def permitted(operations: Iterable[Operation], key: Key) -> list[Operation]:
    """Those operations that a key may use (a key without scopes: what needs no key).

    Rows that stand for many are not among them: what they are for a key is asked of `parts.menus`.
    """
    return [
        operation
        for operation in operations
        if operation.own is None and (operation.scope is None or key.has_scope(operation.scope))
    ]


def document(operations: Sequence[Operation], event_types: Sequence[EventType] | None = None) -> dict[str, Any]:
    """The whole document of some operations. `event_types`: what webhooks bring; None: it tells of none."""
    shown = {operation.name for operation in operations}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, shown)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Tidings", "version": __version__, "description": DESCRIPTION},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(_schemas(operations).items())),
            "responses": {str(kind.status): _problem(kind) for kind in PROBLEMS},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "bearerFormat": "tdk_...", "description": "A Tidings key."}
            },
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
    }
    if event_types is not None:
        found["webhooks"] = {kind.name: {"post": _webhook(kind)} for kind in event_types}
    return found


def handler(operations: Sequence[Operation]) -> Any:
    """The operation's handler, for this table."""

    async def openapi(parts: Parts, call: Call) -> Answer:
        """The document for the calling key."""
        now, event_types = parts.catalog.now, None
        if call.key.has_scope("event-types:read"):
            event_types = sorted({**now.event_types, **now.change_types}.values(), key=lambda kind: kind.name)
        items = parts.menus.operations(parts, call.key) if call.key.id else []
        return Answer(200, document([*permitted(operations, call.key), *items], event_types))

    return openapi


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    """The components: the structs with their bounds, and the Forms."""
    _, schemas = msgspec.json.schema_components(_types(operations), ref_template=_REF)
    found: dict[str, Any] = with_bounds(schemas)
    for operation in operations:
        for kind in (operation.request, operation.response, *operation.forms):
            if isinstance(kind, Form):
                found[kind.name] = kind.schema
    return found


def _types(operations: Sequence[Operation]) -> list[Any]:
    kinds: dict[Any, None] = {Problem: None}
    for operation in operations:
        for kind in (operation.request, *_members(operation.response)):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                kinds[kind] = None
    return list(kinds)


def _members(kind: Any) -> tuple[Any, ...]:
    """The types that a union may be; of any other type itself."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _schema(kind: Any) -> dict[str, Any]:
    if isinstance(kind, Form):
        return {"$ref": _REF.format(name=kind.name)}
    if isinstance(kind, types.UnionType):
        return {"anyOf": [_schema(member) for member in _members(kind)]}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {"$ref": _REF.format(name=kind.__name__)}
    return {"type": "string"} if kind is str else {}


def _operation(operation: Operation, shown: Set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation, shown),
    }
    if operation.help:
        found["description"] = operation.help
    known = {parameter.name: parameter for parameter in operation.path_parameters}
    parameters = [_path_parameter(name, known.get(name)) for name in _NAME.findall(operation.path)]
    parameters += [_parameter(parameter) for parameter in operation.parameters]
    if operation.idempotent_key:
        parameters.append(_parameter(_IDEMPOTENCY_KEY))
    if parameters:
        found["parameters"] = parameters
    if operation.request is not None:
        content: dict[str, Any] = {"schema": _schema(operation.request)}
        example = _example(operation.request) if operation.example is None else operation.example
        if example is not None:
            content["example"] = example
        found["requestBody"] = {"required": not operation.request_optional, "content": {"application/json": content}}
        if operation.merge_patch:
            found["requestBody"]["content"][MERGE_PATCH] = content
    if operation.incoming:
        text = {"schema": {"type": "string"}}
        found["requestBody"] = {"required": True, "content": dict.fromkeys(operation.incoming, text)}
    if operation.scope is not None:
        found["security"] = [{"key": []}]
        found["x-scope"] = operation.scope
    else:
        found["security"] = []
    return found


_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    schema={"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
    help=f"Sent again with the same body, the first answer is given again, with `{REPLAYED[0].title()}: true` (24 h).",
    where="header",
)


def _example(kind: Any) -> Any:
    return kind.example if isinstance(kind, Form) else None


def _path_parameter(name: str, known: Parameter | None) -> dict[str, Any]:
    if known is None:
        return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    return _parameter(known) | {"in": "path", "required": True}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.help,
        "schema": parameter.schema,
    }
    if parameter.schema.get("type") == "array":
        found |= {"style": "form", "explode": False}
    if parameter.example is not None:
        found["example"] = parameter.example
    return found


def _responses(operation: Operation, shown: Set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, words in ((operation.status, f"{operation.summary}: done."), *operation.also):
        found[str(status)] = _success(operation, status, words, shown)
    if _takes(operation, "If-None-Match") and operation.method == "GET":
        found["304"] = {"description": "It is still as you have it.", "headers": {"ETag": _header("ETag")}}
    for kind in PROBLEMS:
        if _may_refuse(operation, kind):
            found[str(kind.status)] = {"$ref": f"#/components/responses/{kind.status}"}
    found["default"] = {
        "description": "A problem: `code` and `errors` say what, `detail` says it in words.",
        "content": {MEDIA: {"schema": _schema(Problem)}},
    }
    return found


def _success(operation: Operation, status: int, words: str, shown: Set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": words}
    if operation.response is not None:
        content: dict[str, Any] = {"schema": _schema(operation.response)}
        if _example(operation.response) is not None:
            content["example"] = _example(operation.response)
        found["content"] = dict.fromkeys((operation.media, *operation.media_too), content)
    links = {link.name: _link(link) for link in operation.links if link.operation in shown}
    if links:
        found["links"] = links
    headers = ["Location"] if status == 201 else []
    if operation.is_list:
        headers.append("Link")
    elif operation.method in ("GET", "PATCH", "PUT") and "{" in operation.path:
        headers.append("ETag")
    if headers:
        found["headers"] = {name: _header(name) for name in headers}
    return found


def _link(link: Link) -> dict[str, Any]:
    return {"operationId": link.operation, "parameters": link.parameters, "description": link.help}


PROBLEMS: tuple[type[TidingsError], ...] = (
    errors.Malformed,
    errors.Unauthorized,
    errors.Forbidden,
    errors.NotFound,
    errors.TooSlow,
    errors.Conflict,
    errors.Gone,
    errors.Stale,
    errors.TooLarge,
    errors.BadMedia,
    errors.Invalid,
    errors.LimitReached,
    errors.Unavailable,
)
_HEADERS = {
    "ETag": "The entity tag: the revision, where the thing has one.",
    "Link": "Where the next page is, with `rel=next` (RFC 8288); absent on the last page.",
    "Location": "Where it is now.",
    "Retry-After": "After how many seconds to try again.",
}


def _may_refuse(operation: Operation, kind: type[TidingsError]) -> bool:
    """Whether an operation is documented to answer with this error; `default` stands for all others."""
    has_body, changes = operation.request is not None or bool(operation.incoming), operation.method != "GET"
    return {
        errors.Forbidden: operation.scope is not None,
        errors.NotFound: "{" in operation.path or _takes(operation, "tenant"),
        errors.TooSlow: has_body,
        errors.Conflict: changes,
        errors.Gone: _takes(operation, "after"),
        errors.Stale: _takes(operation, "If-Match"),
        errors.TooLarge: has_body,
        errors.BadMedia: has_body,
    }.get(kind, True)


def _problem(kind: type[TidingsError]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": f"{kind.title} (`{kind.code}`).",
        "content": {MEDIA: {"schema": _schema(Problem)}},
    }
    if kind.status in (429, 503):
        found["headers"] = {"Retry-After": _header("Retry-After")}
    return found


def _header(name: str) -> dict[str, Any]:
    return {"description": _HEADERS[name], "schema": {"type": "string"}}


def _takes(operation: Operation, name: str) -> bool:
    return any(parameter.name == name for parameter in operation.parameters)


def _webhook(kind: EventType) -> dict[str, Any]:
    data: Any = {"type": "object"} if kind.schema is None else msgspec.json.decode(kind.schema)
    time = {"type": "string", "format": "date-time"}
    text = {"type": "string"}
    body: dict[str, Any] = {
        "type": "object",
        "required": ["type", "timestamp", "id", "data"],
        "properties": {
            "type": {"const": kind.name},
            "timestamp": time,
            "id": text,
            "subject": text,
            "tenant": text,
            "data": data,
        },
    }
    if isinstance(kind, ChangeType):
        body["properties"] |= _cause(kind, data, text)
    content: dict[str, Any] = {"schema": body}
    if kind.example is not None:
        content["example"] = {
            "type": kind.name,
            "timestamp": "2026-11-21T01:02:03.456Z",
            "id": "evt_01m7xv663afar931yg06gzrrhs",
            "data": msgspec.json.decode(kind.example),
        }
    return {
        "summary": kind.description.split("\n")[0][:200] or kind.name,
        "operationId": "webhook_" + re.sub(r"\W", "_", kind.name),
        "tags": ["Webhooks"],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": text, "description": help}
            for name, help in _SIGNED
        ],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"2XX": {"description": "It arrived. Anything else, and it is sent again."}},
    }


def _cause(kind: ChangeType, data: Any, text: dict[str, Any]) -> dict[str, Any]:
    """What tells of a change beside the item itself."""
    found = {"collection": {"const": kind.collection}, "actor": text, "request_id": text}
    if kind.has_previous:
        found |= {"previous": data, "changed": {"type": "array", "items": text}}
    return found


_SIGNED = (
    ("webhook-id", "The event's id, the same in every attempt."),
    ("webhook-timestamp", "When the attempt was made, in seconds since the epoch."),
    ("webhook-signature", "Standard Webhooks signatures, separated by spaces: `v1,...` and `v1a,...`."),
)
