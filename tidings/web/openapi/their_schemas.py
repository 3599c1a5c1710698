"""JSON Schemas that somebody else wrote, as components of the document, with the limits of all bodies added.

Texts and lists have a maximum length, and whole numbers have 64 bits. A limit is added only if the schema has none.
"""

from __future__ import annotations

import re
from typing import Any

from tidings.rules.items.field import OWN_ADDRESS
from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN
from tidings.web.openapi.bounds import UNLIMITED
from tidings.web.openapi.schemas import DEFINITIONS, LISTS, MAPS, PREFIX, SINGLE, every

Schema = dict[str, Any]

_INTEGER = (("minimum", "exclusiveMinimum", INTEGER_MIN), ("maximum", "exclusiveMaximum", INTEGER_MAX))


def components_of(name: str, schema: Schema) -> dict[str, Schema]:
    """The components that a schema becomes: `name` itself, and one for each of its definitions, `name..definition`.

    Client generators can follow a reference to a component, but not to a part of one.
    """
    moved = {
        f"#/{keyword}/{key}": f"{name}..{re.sub('[^A-Za-z0-9._-]', '_', key)}"
        for keyword in DEFINITIONS
        for key in _definitions(schema, keyword)
    }
    # With its own address, its references into the document would be resolved from there.
    left_out = (*DEFINITIONS, "$id", "$schema")
    found = {name: _bounded({key: value for key, value in schema.items() if key not in left_out}, name, moved)}
    for keyword in DEFINITIONS:
        for key, each in _definitions(schema, keyword).items():
            found[moved[f"#/{keyword}/{key}"]] = _bounded(each, name, moved)
    return found


def name_fields(schemas: dict[str, Schema]) -> None:
    """Make components of fields' schemas that refer to parts of themselves: elsewhere, `#/$defs/x` refers to the
    document.

    `schemas`: all components. Those of one collection's field are one, `rooms.field.door`.
    """
    found: dict[str, Schema] = {}
    for owner, root in schemas.items():
        for schema in list(every(root)):
            for spot in (schema, *schema.get("allOf", ())):
                if not isinstance(spot, dict) or not _is_field(spot):
                    continue
                name = f"{owner.rpartition('.')[0] or owner}.field.{spot['$id'].removeprefix(OWN_ADDRESS)}"
                inner = {key: value for key, value in spot.items() if key != "$id"}
                found |= components_of(name, {"type": "object", **inner} if schema is not spot else inner)
                if schema is not spot:
                    del schema["allOf"], schema["type"]
                else:
                    schema.clear()
                schema["$ref"] = PREFIX + name
    schemas |= found


def _is_field(schema: Schema) -> bool:
    """Whether it is the schema of a field that refers to parts of itself (rules/items/field.py gave it an address)."""
    address = schema.get("$id")
    return isinstance(address, str) and address.startswith(OWN_ADDRESS)


def _definitions(schema: Schema, keyword: str) -> dict[str, Any]:
    there = schema.get(keyword)
    return there if isinstance(there, dict) else {}


def _bounded(schema: Any, name: str, moved: dict[str, str]) -> Any:
    if not isinstance(schema, dict) or _is_field(schema):
        return schema
    found: Schema = {}
    for keyword, value in schema.items():
        if keyword in MAPS and isinstance(value, dict):
            found[keyword] = {key: _bounded(each, name, moved) for key, each in value.items()}
        elif keyword in LISTS and isinstance(value, list):
            found[keyword] = [_bounded(each, name, moved) for each in value]
        elif keyword == "$ref" and isinstance(value, str) and value.startswith("#"):
            there = moved[value] if value in moved else name + value[1:]
            found[keyword] = f"#/components/schemas/{there}"
        else:
            found[keyword] = _bounded(value, name, moved) if keyword in SINGLE else value
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        found |= _ends(kind, found)
    return found


def _ends(kind: Any, schema: Schema) -> Schema:
    """What a schema of this type leaves open."""
    if kind == "string":
        return {} if {"enum", "const", "maxLength"} & schema.keys() else {"maxLength": UNLIMITED}
    if kind == "array":
        # Without `items`, anything is valid there; linters want that to be explicit.
        return {"items": schema.get("items", {}), "maxItems": schema.get("maxItems", UNLIMITED)}
    found: Schema = {}
    if kind == "integer":
        found = {} if "format" in schema else {"format": "int64"}
        for name, exclusive, end in _INTEGER:
            if not {name, exclusive} & schema.keys():
                found[name] = end
    return found
