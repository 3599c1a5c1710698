"""The page of operations in docs/reference, made from the table of operations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from tidings.web.api.endpoints.field_help import FIELD_HELP
from tidings.web.operation import BodySchema, Operation
from tidings.web.operations import TABLE

Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]


def lines(table: Table) -> Iterator[str]:
    """The page without its title."""
    yield "All operations of the API. At `/docs` and in `/v1/openapi.json`, a running server lists the operations that"
    yield "the calling key's scopes permit. Every operation can also return one of the [errors](errors.md)."
    yield ""
    tags = list(dict.fromkeys(one.tag for one in TABLE))
    by_tag = [one for tag in tags for one in TABLE if one.tag == tag]
    menu = [(f"`{one.method} {one.path}`", scope_of(one), one.summary) for one in by_tag]
    yield table(("operation", "scope", "what it does"), menu)
    for tag in tags:
        yield from ("", f"## {tag}")
        for one in by_tag:
            if one.tag == tag:
                yield from operation(one, table)


OF_ITEMS = (
    "Parameters and fields depend on the declaration and the key: `/docs` and `/v1/openapi.json` show them. "
    "[Items](../howto/items.md) and [filters](../howto/filters.md) have examples."
)


def scope_of(one: Operation) -> str:
    """What a key needs for it."""
    if one.per_key is not None:
        return f"`items:{'read' if one.method == 'GET' else 'write'}` or a permit"
    return f"`{one.scope}`" if one.scope else "no key"


def statuses_of(one: Operation) -> str:
    """Its statuses of success."""
    return "; ".join([str(one.status), *(f"{status}: {when}".rstrip(".") for status, when in one.also)])


def operation(one: Operation, table: Table) -> list[str]:
    """One operation: sentence, parameters, fields of the body, an example."""
    lines = ["", f"### {one.summary}", "", f"`{one.method} {one.path}` returns {statuses_of(one)}."]
    if one.help:
        lines += ["", one.help]
    if one.idempotent_key:
        lines += [
            "",
            "With an `Idempotency-Key`, you can repeat the call within 24 hours: the first response is returned again.",
        ]
    if one.per_key is not None:
        lines += ["", OF_ITEMS]
    if one.parameters:
        rows = [(f"`{p.name}`", p.where, kind(p.schema), p.help) for p in one.parameters]
        lines += ["", table(("parameter", "in", "type", "what it does"), rows)]
    if one.request is not None:
        rows = fields(one.request)
        if any(row[-1] for row in rows):
            lines += ["", table(("field", "type", "needed", "meaning"), rows)]
        else:
            lines += ["", table(("field", "type", "needed"), [row[:-1] for row in rows])]
    if one.example is not None:
        lines += ["", "```json", json.dumps(one.example, indent=2, ensure_ascii=False), "```"]
    return lines


def fields(body: type[msgspec.Struct] | BodySchema) -> list[tuple[str, str, str, str]]:
    """The fields of a body: name, type, whether it is needed, and what it means."""
    help_of = {} if isinstance(body, BodySchema) else FIELD_HELP.get(body.__name__, {})
    schema = body.schema if isinstance(body, BodySchema) else msgspec.json.schema(body)
    known = schema.get("$defs", {})
    own = known[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
    return [
        (f"`{name}`", kind(field, known), "yes" if name in own.get("required", ()) else "no", help_of.get(name, ""))
        for name, field in own.get("properties", {}).items()
    ]


PLURALS = {"object": "objects", "whole number": "whole numbers", "number": "numbers"}
"""What a list of something is a list of."""


def kind(schema: dict[str, Any], known: dict[str, Any] | None = None) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        schema = (known or {}).get(schema["$ref"].rsplit("/", 1)[-1], {})
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(each, known) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        each = kind(schema.get("items", {}), known)
        return f"list of {PLURALS.get(each, f'({each})' if ' or ' in each else each)}"
    word = {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(schema.get("type", ""))
    return word or str(schema.get("type", "anything"))
