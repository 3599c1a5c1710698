"""Request bodies are closed, answers are open: a new member in an answer does not break existing clients.

A component that both use becomes two: `Batch` for requests, and `BatchView` for answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tidings.web.openapi.schemas import PREFIX, Schema, below, every, rename

_CLOSING = ("additionalProperties", "unevaluatedProperties")
_COUNTING = ("not", "if", "oneOf", "contains", "propertyNames")
"""Below these keywords, a schema that accepts more can make the whole accept less."""


def separate(document: dict[str, Any]) -> None:
    """Open every schema that only answers and webhooks use, and split those that requests use too.

    Answers have no defaults either: a member that is missing was not requested.
    """
    schemas: dict[str, Schema] = document["components"]["schemas"]
    asked, told = list(_bodies(document, asked=True)), list(_bodies(document, asked=False))
    both = _reached(asked, schemas) & _reached(told, schemas)
    closed = {name for name in both if _is_closed(schemas[name])}
    # A component that refers to a closed one is also different in answers.
    while more := {name for name in both - closed if closed & set(_named([schemas[name]]))}:
        closed |= more
    names = {name: f"{name}View" for name in closed}
    for name, other in names.items():
        schemas[other] = _copy(schemas[name])
        schemas[other] |= {"title": other} if "title" in schemas[other] else {}
    for schema in _whole(told, schemas, names):
        rename(schema, names)
        _open(schema)


def _whole(told: list[Schema], schemas: dict[str, Schema], names: dict[str, str]) -> list[Schema]:
    """The answers' bodies with the components that only they use."""
    found = [each for each in told if "$ref" not in each]
    for each in told:
        rename(each, names)
    reached = {names.get(name, name) for name in _reached(told, schemas)}
    return [*found, *(schemas[name] for name in sorted(reached))]


def _bodies(document: dict[str, Any], *, asked: bool) -> Iterator[Schema]:
    """The schemas of the bodies of requests (`asked`), or of answers."""
    parts: list[Any] = [] if asked else list(document["components"].get("responses", {}).values())
    for item in document["paths"].values():
        for operation in item.values():
            parts += [operation.get("requestBody", {})] if asked else operation["responses"].values()
    if not asked:
        for operation in [each for item in document["paths"].values() for each in item.values()]:
            parts += [
                sent["post"]["requestBody"]
                for request in operation.get("callbacks", {}).values()
                for sent in request.values()
            ]
        parts += [item["post"]["requestBody"] for item in document["components"].get("pathItems", {}).values()]
    for part in parts:
        for content in part.get("content", {}).values():
            yield content["schema"]


def _named(schemas: Iterable[Schema]) -> Iterator[str]:
    """The components that schemas refer to directly."""
    for root in schemas:
        for schema in every(root):
            there = schema.get("$ref", "")
            if isinstance(there, str) and there.startswith(PREFIX):
                yield there.removeprefix(PREFIX)


def _reached(roots: list[Schema], schemas: dict[str, Schema]) -> set[str]:
    """The components that schemas refer to, directly or through other components."""
    found: set[str] = set()
    waiting = list(_named(roots))
    while waiting:
        name = waiting.pop()
        if name not in found and name in schemas:
            found.add(name)
            waiting += _named([schemas[name]])
    return found


def _is_closed(schema: Schema) -> bool:
    return any(each.get(keyword) is False for each in every(schema) for keyword in _CLOSING)


def _open(schema: Schema) -> None:
    schema.pop("default", None)
    for keyword in _CLOSING:
        if schema.get(keyword) is False:
            del schema[keyword]
    kept = {name: value for name, value in schema.items() if name not in _COUNTING}
    for each in below(kept):
        _open(each)


def _copy(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {name: _copy(value) for name, value in thing.items()}
    return [_copy(each) for each in thing] if isinstance(thing, list) else thing
