"""The event types for changes to a collection's items, with schemas and examples, derived from the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tidings.model.collection import Collection, Field
from tidings.model.event import ChangeType
from tidings.rules.declare.declared_field import fits
from tidings.rules.items import change
from tidings.rules.items.field import field_schema
from tidings.rules.items.samples import sample
from tidings.rules.reading import decimals

_EXAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": 3,
    "number": 1.5,
    "boolean": True,
    "datetime": "2026-11-21T01:02:03.456Z",
    "date": "2026-11-21",
    "object": {},
    "array": [],
    "reference": "itm_01m7xv663afar931yg06gzrrhs",
}
_TIME = {"type": "string", "format": "date-time"}
_OWN: dict[str, dict[str, Any]] = {
    "id": {"type": "string"},
    "tenant": {"type": ["string", "null"], "description": "Null if the item has no tenant."},
    "revision": {"type": "integer", "minimum": 1},
    "created": _TIME,
    "updated": _TIME,
}


class ChangeTypes(Mapping[str, ChangeType]):
    """The change types of collections, by name; each collection's are made on first use.

    Making them takes as long as reading the declaration, and hundreds of collections can change in one transaction.
    """

    def __init__(self, collections: Mapping[str, Collection], before: ChangeTypes | None = None) -> None:
        """`before`: an earlier instance, whose collections are mostly the same."""
        self._collections = collections
        self._made: dict[str, list[ChangeType]] = {}
        if before is not None:
            same = before._collections
            self._made = {name: made for name, made in before._made.items() if collections.get(name) is same.get(name)}
        self._whose = {kind: name for name, each in collections.items() for kind in type_names(each)}

    def __getitem__(self, kind: str) -> ChangeType:
        name = self._whose[kind]
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = change_types(self._collections[name])
        return next(each for each in made if each.name == kind)

    def __contains__(self, kind: object) -> bool:
        return kind in self._whose

    def __iter__(self) -> Iterator[str]:
        return iter(self._whose)

    def __len__(self) -> int:
        return len(self._whose)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChangeTypes) and self._collections == other._collections

    def __hash__(self) -> int:
        raise TypeError("It is compared by value.")


def type_names(collection: Collection) -> list[str]:
    """The names of `change_types`, in the same order."""
    name = collection.name
    own = [change.own_type(name, event.name) for event in collection.events]
    return [*own, change.created_type(name), change.updated_type(name), change.deleted_type(name)]


def change_types(collection: Collection) -> list[ChangeType]:
    """Every type that its changes may have: its own, then `created`, `updated` and `deleted`."""
    name = collection.name
    schema = msgspec.json.encode(item_schema(collection)).decode()
    example = msgspec.json.encode(example_item(collection)).decode()
    told = [
        (change.own_type(name, event.name), event.description or f"An item of {name}: {event.name}.", True)
        for event in collection.events
    ]
    told += [
        (change.created_type(name), f"An item of {name} was created.", False),
        (change.updated_type(name), f"An item of {name} was changed.", True),
        (change.deleted_type(name), f"An item of {name} was deleted; the data is the item's last state.", False),
    ]
    return [
        ChangeType(
            name=kind,
            description=description,
            schema=schema,
            example=example,
            revision=collection.revision,
            created=collection.created,
            updated=collection.updated,
            collection=name,
            has_previous=has_previous,
        )
        for kind, description, has_previous in told
    ]


def item_schema(collection: Collection) -> dict[str, Any]:
    """The JSON Schema of an item as responses and events show it: every field is present, null if it has no value."""
    properties = dict(_OWN)
    for field in collection.fields:
        schema = field_schema(field)
        properties[field.name] = schema if field.required else {"anyOf": [schema, {"type": "null"}]}
    return {"type": "object", "required": list(properties), "properties": properties}


def example_item(collection: Collection) -> dict[str, Any]:
    """An example item for the declaration."""
    own = {"id": _EXAMPLES["reference"], "tenant": None, "revision": 1}
    times = dict.fromkeys(("created", "updated"), _EXAMPLES["datetime"])
    return own | times | {field.name: _example(field) for field in collection.fields}


def _example(field: Field) -> Any:
    """A value for the field: from the declaration, or a simple one; null if no simple one fits."""
    given = field.example if field.example is not None else field.default
    if given is not None:
        return given
    if field.type == "enum":
        return field.values[0]
    usual = decimals.example(field) if field.type == "decimal" else _EXAMPLES[field.type]
    choices = [usual, field.min, field.max]
    found = next((choice for choice in choices if choice is not None and fits(field, choice)), None)
    return sample(field) if found is None and field.required else found
