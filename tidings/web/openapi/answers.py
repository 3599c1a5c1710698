"""The responses of an operation, as OpenAPI: its successes with examples and links, and its refusals."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.model import errors
from tidings.model.errors import TidingsError
from tidings.web.habits.once import REPLAYED
from tidings.web.habits.paging import CURSOR
from tidings.web.openapi import examples
from tidings.web.openapi.bounds import TYPE, UNLIMITED, ident, text
from tidings.web.openapi.links import links
from tidings.web.operation import BodySchema, NextOperation, Operation
from tidings.web.wire.problem import MEDIA, Problem

REF = "#/components/schemas/{name}"
URL_BYTES_MAX = 65_534
"""The maximum length of a URL that the HTTP server accepts."""
_WINDOWS = r'"[a-z0-9-]+";{what}(, "[a-z0-9-]+";{what})*'


def _header(said: str, *, always: bool = False, **schema: Any) -> dict[str, Any]:
    return {"description": said, "required": always, "schema": {"type": "string", **schema}}


HEADERS: dict[str, dict[str, Any]] = {
    "Access-Control-Allow-Origin": _header(
        "The origin of the calling page, if `cors_origins` of the server or of the key allows it; absent by default.",
        pattern=r"^(\*|https?://[^/\s]{1,255})$",
        maxLength=270,
    ),
    "ETag": _header(
        "The entity tag: the revision, if the resource has one, and a digest of expanded items, if any.",
        always=True,
        pattern='^"[0-9a-f]{1,24}(-[0-9a-f]{1,32})?"$',
        maxLength=60,
    ),
    REPLAYED[0].title(): _header(
        "`true` if this response repeats the response to the first request with the same `Idempotency-Key`.",
        enum=[REPLAYED[1]],
    ),
    "Link": _header(
        "The next page, with `rel=next` (RFC 8288); absent on the last page.",
        pattern='^<(https?:/)?/.*>; rel="next"$',
        maxLength=UNLIMITED,
    ),
    "Location": _header("The URL of the created resource.", always=True, pattern="^/v1/", maxLength=1_000),
    "RateLimit": _header(
        "What remains of the key's call limits (draft-ietf-httpapi-ratelimit-headers-11); absent if the key has no "
        "limits.",
        pattern=f"^{_WINDOWS.format(what='r=[0-9]+;t=[0-9]+')}$",
        maxLength=1_000,
    ),
    "RateLimit-Policy": _header(
        "The key's call limits; absent if the key has none.",
        pattern=f"^{_WINDOWS.format(what='q=[0-9]+;w=[0-9]+')}$",
        maxLength=1_000,
    ),
    "Request-Id": _header("The id of this request in the server's log.", always=True, **ident("req")),
    "Retry-After": _header(
        ("The number of seconds to wait before retrying."), always=True, pattern="^[0-9]{1,9}$", maxLength=9
    ),
    "WWW-Authenticate": _header("How to send a key (RFC 6750).", always=True, enum=['Bearer realm="tidings"']),
}
STREAMED = {
    "type": "string",
    "format": "binary",
    "maxLength": UNLIMITED,
    "description": (
        "An endless stream of server-sent events. Each event has three lines: `id`, the cursor to continue from; "
        "`event`, the event's type; `data`, the event as JSON, as in `GET /v1/events/{event}`."
    ),
}
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
    TidingsError,
    errors.Unavailable,
)


def answers(operation: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """The operation's responses. `operations`: all in the document."""
    found: dict[str, Any] = {}
    for status, said in (
        (operation.status, f"Success: {operation.summary[0].lower()}{operation.summary[1:]}."),
        *operation.also,
    ):
        found[str(status)] = _success(operation, status, said, links(operation, status, operations))
    if _takes(operation, "If-None-Match") and operation.method == "GET":
        found["304"] = {"description": "Not modified.", "headers": _headers("ETag")}
    if _is_long(operation):
        # The HTTP server itself sends this response before there is a request, so it has neither a problem nor an id.
        headers = _headers("Access-Control-Allow-Origin", "RateLimit", "RateLimit-Policy", every=())
        found["414"] = {"description": "The URL is too long.", "headers": headers}
    for kind in PROBLEMS:
        if _may_refuse(operation, kind):
            found[str(kind.status)] = {"$ref": f"#/components/responses/{kind.status}"}
    return dict(sorted(found.items()))


def problem_answer(kind: type[TidingsError]) -> dict[str, Any]:
    """The response for an error."""
    more = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(kind.status, [])
    content = {"schema": schema_of(Problem), "example": examples.refusal(kind)}
    return {
        "description": f"{kind.title} (`{kind.code}`).",
        "headers": _headers("RateLimit", "RateLimit-Policy", *more),
        "content": {MEDIA: content},
    }


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a body: of structs and BodySchemas a reference."""
    if isinstance(kind, BodySchema):
        return {"$ref": REF.format(name=kind.name)}
    if isinstance(kind, types.UnionType):
        return {"anyOf": [schema_of(member) for member in typing.get_args(kind)]}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {"$ref": REF.format(name=kind.__name__)}
    return {"type": "string", **text()} if kind is str else {"type": "object"}


def files(shown: Mapping[str, str], **bounds: Any) -> dict[str, Any]:
    """The content of a body that is a file, by media type with an example."""
    # Declared as binary, so that generated clients send and return a file piece by piece.
    whole = {"type": "string", "format": "binary", **bounds}
    return {media: {"schema": whole, "example": example} for media, example in shown.items()}


def _success(operation: Operation, status: int, said: str, linked: dict[str, NextOperation]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": said, "headers": _success_headers(operation, status)}
    kind = operation.response
    if isinstance(kind, types.UnionType):
        # One kind for each status, in the same order.
        kind = typing.get_args(kind)[[operation.status, *(each for each, _ in operation.also)].index(status)]
    if operation.outgoing:
        found["content"] = files(operation.outgoing, maxLength=UNLIMITED)
    elif kind is bytes:
        found["content"] = files({operation.media: examples.BYTES}, maxLength=UNLIMITED)
    elif kind is not None:
        schema = _streamed(operation) if operation.stream else {"schema": schema_of(kind)}
        found["content"] = {operation.media: schema | _example(operation, kind)}
    if linked:
        found["links"] = {
            name: {"operationId": link.operation, "parameters": link.parameters, "description": link.help}
            for name, link in linked.items()
        }
    return found


def _streamed(operation: Operation) -> dict[str, Any]:
    """Server-sent events: bytes for generators, and the schema of one event as in OpenAPI 3.2 (`itemSchema`)."""
    data = {
        "type": "string",
        **text(),
        "contentMediaType": "application/json",
        "contentSchema": schema_of(operation.item),
    }
    lines = {"id": {"type": "string", **CURSOR}, "event": {"type": "string", **TYPE}, "data": data}
    return {"schema": STREAMED, "x-itemSchema": {"type": "object", "properties": lines}}


def _example(operation: Operation, kind: Any) -> dict[str, Any]:
    if isinstance(kind, BodySchema):
        return {} if kind.example is None else {"example": kind.example}
    if operation.stream and operation.item:
        return {"example": examples.STREAMED}
    if kind is str:
        return {"example": examples.TEXTS[operation.media.partition(";")[0]]}
    if kind is dict:
        return {"example": {"openapi": "3.1.0", "info": {"title": "Tidings"}, "paths": {}}}
    if operation.is_list and operation.item is not None:
        return {"example": examples.page(operation.item.__name__)}
    return {"example": examples.ANSWERS[kind.__name__]}


def _success_headers(operation: Operation, status: int) -> dict[str, Any]:
    names = ["RateLimit", "RateLimit-Policy"]
    if status == 201:
        names.append("Location")
    if operation.is_list:
        names.append("Link")
    elif operation.method in ("GET", "PATCH", "PUT") and "{" in operation.path:
        names.append("ETag")
    if operation.idempotent_key:
        names.append(REPLAYED[0].title())
    return _headers(*names)


def _headers(*names: str, every: Sequence[str] = ("Request-Id", "Access-Control-Allow-Origin")) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({*names, *every})}


def _may_refuse(operation: Operation, kind: type[TidingsError]) -> bool:
    """Whether an operation can return this error."""
    if kind in operation.refuses:
        return True
    has_body, changes = operation.request is not None or bool(operation.incoming), operation.method != "GET"
    return {
        errors.Forbidden: operation.scope is not None,
        errors.NotFound: "{" in operation.path or _takes(operation, "tenant"),
        errors.TooSlow: has_body or changes,
        errors.Conflict: changes,
        errors.Gone: _takes(operation, "after"),
        errors.Stale: _takes(operation, "If-Match"),
        errors.TooLarge: has_body or changes,
        errors.BadMedia: has_body,
    }.get(kind, True)


def _is_long(operation: Operation) -> bool:
    """Whether its parameters, all given and at their longest, make a URL that is too long."""
    return sum(_bytes(each.schema) for each in operation.parameters if each.where == "query") > URL_BYTES_MAX


def _bytes(schema: dict[str, Any]) -> int:
    """How long a value may be in a URL: a letter of UTF-8 has four bytes, each written as `%F0`."""
    if schema.get("type") == "array":
        return int(schema.get("maxItems", 1)) * _bytes(schema.get("items", {}))
    if "enum" in schema:
        return max(len(str(each)) for each in schema["enum"])
    return int(schema.get("maxLength", 20)) * (1 if "pattern" in schema or "format" in schema else 12)


def _takes(operation: Operation, name: str) -> bool:
    return any(parameter.name == name for parameter in operation.parameters)
