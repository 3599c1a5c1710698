"""Walks over JSON Schemas, and the spelling that generators of clients and servers understand.

JSON Schema can express the same thing in many ways, and generators support few of them. So every schema of the
document, ours and those of declarations and event types, is spelled in the same way: null next to a type is
`type: [x, "null"]`, an enum has a type, a number has a format. Names of components also have to differ in every
language: to a generator, `event.batch` and `EventBatch` are the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

DEFINITIONS = ("$defs", "definitions")
MAPS = ("properties", "patternProperties", "dependentSchemas", *DEFINITIONS)
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SINGLE = (
    *("items", "contains", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
    *("propertyNames", "not", "if", "then", "else"),
)
"""Keywords of JSON Schema that contain further schemas; all others contain values."""
PREFIX = "#/components/schemas/"
NULL: Schema = {"type": "null"}
_FORMATS = {"number": "double", "integer": "int64"}
_SHAPES = ("object", "array", "string", "number", "integer", "boolean")
_APPLIED = ("$ref", "allOf", "anyOf", "oneOf", "not", "if")


def below(schema: Schema) -> Iterator[Schema]:
    """The schemas directly below a schema that are not `true` or `false`."""
    for keyword, value in schema.items():
        if keyword in MAPS and isinstance(value, dict):
            found: Any = value.values()
        elif keyword in LISTS and isinstance(value, list):
            found = value
        elif keyword in SINGLE:
            found = (value,)
        else:
            continue
        yield from (each for each in found if isinstance(each, dict))


def every(schema: Schema) -> Iterator[Schema]:
    """The schema and all below it."""
    yield schema
    for each in below(schema):
        yield from every(each)


def of_document(document: dict[str, Any]) -> Iterator[Schema]:
    """The schemas of an OpenAPI document that are in no other schema."""
    yield from document.get("components", {}).get("schemas", {}).values()
    waiting: list[Any] = [value for name, value in document.items() if name != "components"]
    waiting += [value for name, value in document.get("components", {}).items() if name != "schemas"]
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, list):
            waiting += thing
        elif isinstance(thing, dict):
            for name, value in thing.items():
                if name == "schema" and isinstance(value, dict):
                    yield value
                elif name not in ("example", "examples"):
                    waiting.append(value)


def rename(root: Schema, names: dict[str, str]) -> None:
    """Point the references of a schema to the components' new names."""

    def moved(there: str) -> str:
        name = there.removeprefix(PREFIX)
        return PREFIX + names[name] if name in names else there

    for schema in every(root):
        if isinstance(there := schema.get("$ref"), str):
            schema["$ref"] = moved(there)
        mapping = schema.get("discriminator", {}).get("mapping", {})
        mapping |= {key: moved(there) for key, there in mapping.items()}


def make_unique(document: dict[str, Any]) -> None:
    """Number components that a generator would take for one another. The server's own keep their names."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    taken: set[str] = set()
    new: dict[str, str] = {}
    for name in sorted(schemas, key=lambda name: ("." in name, name)):
        found, number = name, 1
        while _word(found) in taken:
            number += 1
            found = f"{name}.{number}"
        taken.add(_word(found))
        if found != name:
            new[name] = found
    if new:
        document["components"]["schemas"] = {new.get(name, name): schema for name, schema in schemas.items()}
        for schema in of_document(document):
            rename(schema, new)


def _word(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def respell(document: dict[str, Any]) -> None:
    """Spell all schemas of a document in the way that generators support. What they allow stays the same."""
    for root in of_document(document):
        # From the innermost outwards, because a schema takes over parts of those inside it.
        for schema in reversed(list(every(root))):
            _respell(schema)


def _respell(schema: Schema) -> None:
    parts = schema.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and _fits(schema, parts[0]):
        del schema["allOf"]
        schema |= {**parts[0], **schema}
    branches = schema.get("anyOf")
    if isinstance(branches, list) and len(branches) == 2 and NULL in branches:
        other = branches[0] if branches[1] == NULL else branches[1]
        if isinstance(other, dict) and not other.keys() - {"description", "title", "default", "examples"}:
            # Anything, so null too.
            del schema["anyOf"]
            schema |= {**other, **schema}
        elif isinstance(other, dict) and isinstance(other.get("type"), str) and not other.keys() & {*_APPLIED}:
            del schema["anyOf"]
            schema |= {**other, **schema, "type": [other["type"], "null"]}
            if "enum" in schema and None not in schema["enum"]:
                schema["enum"] = [*schema["enum"], None]
    enum = schema.get("enum")
    if isinstance(enum, list) and "type" not in schema and enum and all(isinstance(each, str | None) for each in enum):
        schema["type"] = ["string", "null"] if None in enum else "string"
    if isinstance(schema.get("const"), str):
        schema.setdefault("type", "string")
    kinds = schema.get("type")
    shapes = [each for each in (kinds if isinstance(kinds, list) else [kinds]) if each in _SHAPES]
    if len(shapes) == 1 and shapes[0] in _FORMATS and "enum" not in schema:
        schema.setdefault("format", _FORMATS[shapes[0]])
    if "default" in schema and schema["default"] in (None, {}, []):
        # Leaving it out means the same, and some generators do not support such defaults.
        del schema["default"]
    if None in (schema.get("enum") or ()) and "default" in schema:
        # Go's generator has no type for the default of a choice that may be null.
        _say(schema, f"By default {schema.pop('default')}.")
    if schema.get("uniqueItems") is True and "enum" in (schema.get("items") or ()):
        # Java's generator has no type for a set of choices.
        del schema["uniqueItems"]
        _say(schema, "No duplicates.")
    if shapes == ["object"] and not schema.keys() & {*_APPLIED, *MAPS, "additionalProperties", "enum", "const"}:
        # A map of anything; otherwise, generators take it for an object without members.
        schema["additionalProperties"] = True
    if shapes == ["array"] and "prefixItems" not in schema:
        schema.setdefault("items", {})


def _say(schema: Schema, more: str) -> None:
    schema["description"] = f"{schema['description']} {more}" if "description" in schema else more


def _fits(schema: Schema, part: Any) -> bool:
    """Whether the only part of an `allOf` can be merged into the schema itself."""
    if not isinstance(part, dict) or part.keys() & {*_APPLIED, "$id"}:
        return False
    return all(part[name] == schema[name] for name in part.keys() & schema.keys() - {"description", "title"})
