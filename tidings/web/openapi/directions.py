"""Request bodies are closed, answers are open: a member that is new in an answer breaks no client made before.

A component that both bring becomes two: `Batch` for requests, and `BatchView` for answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tidings.web.openapi.schemas import PREFIX, Schema, below, every, rename

_CLOSING = ("additionalProperties", "unevaluatedProperties")
_COUNTING = ("not", "if", "oneOf", "contains", "propertyNames")
"""Below these, a schema that takes more can make the whole take less."""


def separate(document: dict[str, Any]) -> None:
    """Open every schema that only answers and webhooks bring, and split those that requests bring too.

    An answer has no defaults either: what is not in it was not asked for.
    """
    schemas: dict[str, Schema] = document["components"]["schemas"]
    asked, told = list(_bodies(document, asked=True)), list(_bodies(document, asked=False))
    both = _reached(asked, schemas) & _reached(told, schemas)
    closed = {name for name in both if _is_closed(schemas[name])}
    # What names a closed one is another thing in answers, too.
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
    """The answers' bodies with the components that only they bring."""
    found = [each for each in told if "$ref" not in each]
    for each in told:
        rename(each, names)
    reached = {names.get(name, name) for name in _reached(told, schemas)}
    return [*found, *(schemas[name] for name in sorted(reached))]


def _bodies(document: dict[str, Any], *, asked: bool) -> Iterator[Schema]:
    """The schemas of the bodies that are asked, or answered."""
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
    """The components that schemas name, directly."""
    for root in schemas:
        for schema in every(root):
            there = schema.get("$ref", "")
            if isinstance(there, str) and there.startswith(PREFIX):
                yield there.removeprefix(PREFIX)


def _reached(roots: list[Schema], schemas: dict[str, Schema]) -> set[str]:
    """The components that schemas name, and those that these name."""
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
