"""The OpenAPI document of this door: made from its table, with Svix's own names of operations."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings import __version__
from tidings.rules.network.origin import public_url
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

PATH = "/openapi.json"
VERSION = "/api/v1"
REF = "#/components/schemas/{name}"
_NAME = re.compile(r"\{(\w+)\}")
ERRORS: dict[str, Any] = {
    "HttpErrorOut": {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {"code": {"type": "string"}, "detail": {"type": "string"}},
    },
    "HTTPValidationError": {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["loc", "msg", "type"],
                    "properties": {
                        "loc": {"type": "array", "items": {"type": "string"}},
                        "msg": {"type": "string"},
                        "type": {"type": "string"},
                    },
                },
            }
        },
    },
}
STATUSES = ("400", "401", "403", "404", "409", "413", "429")


def document(operations: Sequence[Operation], base: str = "") -> dict[str, Any]:
    """The whole document. `base`: the server's public URL."""
    types = list({id(each): each for row in operations for each in (row.request, row.response) if each}.values())
    shown, components = msgspec.json.schema_components(types, ref_template=REF)
    named = {id(kind): schema for kind, schema in zip(types, shown, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for row in operations:
        paths.setdefault(VERSION + row.path, {})[row.method.lower()] = _described(row, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidings, as Svix's API",
            "version": __version__,
            "description": "The operations of Tidings, in the form in which Svix's SDKs call them. The token is a "
            "Tidings key.",
        },
        "servers": [{"url": f"{base}/svix"}],
        "security": [{"HTTPBearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted({**components, **ERRORS}.items())),
            "responses": {
                name: {
                    "description": "Refused.",
                    "content": {"application/json": {"schema": {"$ref": REF.format(name=name)}}},
                }
                for name in ERRORS
            },
            "securitySchemes": {"HTTPBearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def operation(operations: Sequence[Operation]) -> Operation:
    """The operation that returns the document."""

    async def openapi(parts: Parts, request: Request) -> Answer:
        """The OpenAPI document of this API."""
        public = public_url(parts.settings.public_url)
        return Answer(200, encoded(public.whole if public else ""))

    @functools.cache
    def encoded(base: str) -> bytes:
        return msgspec.json.encode(document(operations, base))

    return Operation(
        name="v1.openapi",
        method="GET",
        path=PATH,
        scope=None,
        summary="The OpenAPI document of this API",
        handler=openapi,
        tag="Health",
        internal=True,
    )


def _described(row: Operation, named: dict[int, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _NAME.findall(row.path)
    ]
    parameters += [
        {"name": each.name, "in": each.where, "description": each.help, "schema": each.schema}
        for each in row.parameters
    ]
    if row.method == "POST":
        parameters.append({"name": "idempotency-key", "in": "header", "schema": {"type": "string"}})
    success: dict[str, Any] = {"description": "Success."}
    if row.response is not None:
        success["content"] = {"application/json": {"schema": named[id(row.response)]}}
    answers = {str(row.status): success, "422": _refusal("HTTPValidationError")}
    answers |= {status: _refusal("HttpErrorOut") for status in STATUSES}
    described: dict[str, Any] = {
        "operationId": row.name,
        "summary": row.summary,
        "tags": [row.tag],
        "parameters": parameters,
        "responses": dict(sorted(answers.items())),
    }
    if row.scope is None:
        described["security"] = []
    else:
        described["description"] = f"Requires the scope `{row.scope}`."
    if row.request is not None:
        content = {"application/json": {"schema": named[id(row.request)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _refusal(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/responses/{name}"}
