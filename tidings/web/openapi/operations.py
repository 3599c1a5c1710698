"""One operation as OpenAPI: what it takes. Its responses are in answers.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tidings.model.access import SCOPES
from tidings.rules.reading.jsontext import NO_NUL
from tidings.web.habits.once import KEY_CHARS_MAX, KEY_PATTERN, REPLAYED
from tidings.web.openapi.answers import answers, files, schema_of
from tidings.web.operation import BodySchema, Operation, Parameter
from tidings.web.wire.query import TEXT_CHARS_MAX

MERGE_PATCH = "application/merge-patch+json"
IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    schema={"type": "string", "pattern": KEY_PATTERN, "maxLength": KEY_CHARS_MAX},
    help=(
        f"For 24 hours, a retry with the same key and the same body returns the first response again, with the "
        f"header `{REPLAYED[0].title()}: true`."
    ),
    where="header",
    example="order-4711",
)
_NAME = re.compile(r"\{(\w+)\}")


def described(operation: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """The operation's object. `operations`: all in the document."""
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.help or _first_paragraph(operation),
        "tags": [operation.tag],
        "responses": answers(operation, operations),
    }
    if operation.internal:
        found["x-internal"] = True
    known = {parameter.name: parameter for parameter in operation.path_parameters}
    parameters = [_path_parameter(name, known.get(name)) for name in _NAME.findall(operation.path)]
    parameters += [_parameter(parameter) for parameter in operation.parameters]
    if operation.idempotent_key:
        parameters.append(_parameter(IDEMPOTENCY_KEY))
    if parameters:
        found["parameters"] = parameters
    if operation.request is not None:
        found["requestBody"] = _body(operation)
    elif operation.incoming:
        # Without a `maxLength`: with one, Go's generator makes code that takes the file for a text.
        found["requestBody"] = {"required": True, "content": files(operation.incoming)}
    if operation.scope is not None:
        found["security"] = [{"key": []}]
        if operation.scope in SCOPES:
            found["x-scope"] = operation.scope
    else:
        # No key is needed; one that is sent must be right, and the call counts against its limits.
        found["security"] = [{}, {"key": []}]
    return found


def _first_paragraph(operation: Operation) -> str:
    return " ".join((operation.handler.__doc__ or operation.summary).split("\n\n")[0].split())


def _body(operation: Operation) -> dict[str, Any]:
    example = operation.example
    if example is None and isinstance(operation.request, BodySchema):
        example = operation.request.example
    content: dict[str, Any] = {"schema": schema_of(operation.request)}
    if example is not None:
        content["example"] = example
    media = ("application/json", MERGE_PATCH) if operation.merge_patch else ("application/json",)
    return {"required": not operation.request_optional, "content": dict.fromkeys(media, content)}


def _path_parameter(name: str, known: Parameter | None) -> dict[str, Any]:
    if known is None:
        # The last character is not escaped, because Go has no escape for it. Paths with these are refused
        # (`routes.py`).
        pattern = "^[^/\\x00-\\x1f\\x7f\ufffd]+$"
        schema = {"type": "string", "pattern": pattern, "minLength": 1, "maxLength": TEXT_CHARS_MAX}
        said = f"The {name}."
        return {"name": name, "in": "path", "required": True, "description": said, "schema": schema}
    return _parameter(known) | {"in": "path", "required": True}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.help,
        "schema": _bounded(parameter.schema),
    }
    if parameter.schema.get("type") == "array":
        found |= {"style": "form", "explode": True}
    if parameter.example is not None:
        found["example"] = parameter.example
    return found


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, with the bounds of query.py if it has none."""
    kind = schema.get("type")
    if kind == "integer":
        return {"format": "int32", **schema}
    if kind == "array":
        return schema | {"items": _bounded(schema.get("items", {}))}
    if kind == "string" and "enum" not in schema:
        free = {} if {"format", "pattern"} & schema.keys() else {"pattern": NO_NUL}
        return {"maxLength": TEXT_CHARS_MAX, **free, **schema}
    return schema
