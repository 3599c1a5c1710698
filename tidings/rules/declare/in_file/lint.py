"""What is probably wrong with a link: its templates name fields that the events it acts on do not have."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import msgspec

from tidings.model.errors import Place
from tidings.model.event import ChangeType, EventType
from tidings.rules import event_types
from tidings.rules.declare.links import DeclaredLink, plain
from tidings.rules.reading.refused import escaped
from tidings.rules.template import is_template
from tidings.rules.templates.program import Program

CODE = "unknown_field"
_NOT_TEMPLATES = ("description", "filter")
_OF_EVENT = ("data", "previous", "old")
"""The names under which templates see the fields of the event's type."""


class _EveryName(tuple[str, ...]):
    """Accepts every name, because whether a template may use it was already checked."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return True


def unknown_fields(links: Iterable[DeclaredLink], known: Sequence[Mapping[str, EventType]]) -> list[Place]:
    """The places of templates that name a field that none of their link's events has.

    `known`: the event types, by name. Links whose events have unknown fields are skipped: they run on a timer, or
    act on types without a schema.
    """
    types: Mapping[str, EventType] = ChainMap(*known)  # type: ignore[arg-type]
    return [place for each in links for place in _of_link(each, types)]


def _of_link(declared: DeclaredLink, types: Mapping[str, EventType]) -> list[Place]:
    schemas = _schemas(declared.events, types)
    if not schemas:
        return []
    at = f"/links/{escaped(declared.name)}"
    found = {}
    written = {name: each for name, each in plain(declared).items() if name not in _NOT_TEMPLATES}
    for pointer, path in _named(written, at):
        if path[0] in _OF_EVENT and len(path) > 1:
            near = [_missing(schema, path[1:]) for schema in schemas.values()]
            if all(each is not None for each in near):
                found[pointer, path] = _place(pointer, path, list(schemas), near[0] or {})
    return list(found.values())


def _schemas(patterns: tuple[str, ...], types: Mapping[str, EventType]) -> dict[str, Any]:
    """The schemas of the types that match; empty if one is not known."""
    matches = event_types.matcher(patterns)
    exact, beginnings = event_types.split(patterns)
    if event_types.EVERY in patterns or not exact <= types.keys():
        return {}
    if not all(isinstance(types.get(f"{beginning}created"), ChangeType) for beginning in beginnings):
        return {}
    found = {name: types[name].schema for name in types if matches(name)}
    return {} if None in found.values() else {name: _read(text or "") for name, text in found.items()}


@lru_cache(maxsize=256)
def _read(text: str) -> Any:
    return msgspec.json.decode(text)


def _named(value: Any, pointer: str) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """The names used by a declaration's templates, each with its place."""
    if type(value) is dict:
        for name, each in value.items():
            yield from _named(each, f"{pointer}/{escaped(name)}")
    elif type(value) is list:
        for index, each in enumerate(value):
            yield from _named(each, f"{pointer}/{index}")
    elif type(value) is str and is_template(value):
        for path in Program(value, _EveryName()).paths:
            yield pointer, path


def _missing(schema: Any, steps: tuple[str | int, ...]) -> dict[str, Any] | None:
    """The properties among which a step of the path is missing; None if the schema has, or may have, all steps."""
    for step in steps:
        schema = _object(schema)
        if schema is None:
            return None
        properties: dict[str, Any] = schema["properties"]
        if step not in properties:
            return None if schema.get("additionalProperties") else properties
        schema = properties[str(step)]
    return None


def _object(schema: Any) -> dict[str, Any] | None:
    """The part of a schema that lists an object's fields; None if there is none, or if other keywords may add
    fields."""
    if type(schema) is not dict or any(word in schema for word in ("$ref", "allOf", "oneOf", "patternProperties")):
        return None
    if "anyOf" in schema:
        branches = [each for each in schema["anyOf"] if each != {"type": "null"}]
        return _object(branches[0]) if len(branches) == 1 else None
    return schema if type(schema.get("properties")) is dict else None


def _place(pointer: str, path: tuple[str | int, ...], types: list[str], properties: Mapping[str, Any]) -> Place:
    name = ".".join(map(str, path))
    whose = types[0] if len(types) == 1 else f"{', '.join(types[:3])}{' ...' if len(types) > 3 else ''}"
    near = next((found for step in path[1:] for found in get_close_matches(str(step), properties, 1)), None)
    hint = f" Did you mean {near}?" if near is not None and near not in path else ""
    have = "has" if len(types) == 1 else "have"
    return Place(pointer=pointer, code=CODE, detail=f"{whose} {have} no {name}.{hint}")
