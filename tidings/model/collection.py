"""Collections: declared kinds of things, and the fields of their items."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.model.moment import Micros

FieldType = Literal[
    "string", "integer", "number", "decimal", "boolean", "datetime", "date", "enum", "object", "array", "reference"
]

OWN_FIELDS = ("id", "tenant", "revision", "created", "updated")
"""The fields that every item has in addition to its declared ones."""


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One declared field. A missing value is null."""

    name: str
    type: FieldType
    description: str = ""
    required: bool = False
    default: Any = None
    """The JSON value that the field gets if an item is created without one."""
    unique: bool = False
    """Whether no two items of a tenant may have the same value."""
    min: float | int | str | None = None
    """The minimum value; for a string, the minimum number of characters; for an array, of elements. The bound is text
    for times and decimals."""
    max: float | int | str | None = None
    pattern: str | None = None
    """A regular expression (without look-around) that must match somewhere in a string."""
    format: str | None = None
    """The JSON Schema 2020-12 format that a string must have, such as `email`."""
    max_digits: int | None = None
    """The maximum number of digits of a decimal; None means 20."""
    scale: int | None = None
    """The number of digits after the decimal point; None means 2."""
    values: tuple[str, ...] = ()
    """The values of an enum."""
    to: str | None = None
    """The name of the collection to which a reference points."""
    schema: dict[str, Any] | None = None
    """The JSON Schema of an object, or of an array's elements."""
    filterable: bool = False
    sortable: bool = False
    searchable: bool = False
    """Whether `q` searches its words."""
    example: Any = None


class OwnEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a collection's own events, emitted instead of `created` or `updated`.

    Either `when` or `filter` is given.
    """

    name: str
    when: str | None = None
    """The condition for the event: `FIELD becomes VALUE` or `FIELD changes`."""
    filter: dict[str, Any] | None = None
    """A pattern (rules/filter.py) over `data`, `previous` and `changed`."""
    description: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named set of parameters, all of which must be given: `latitude`, `day__gte` ..."""

    name: str
    parameters: tuple[str, ...]
    description: str = ""


class Collection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A declared kind of items. `revision` counts its declarations."""

    name: str
    description: str = ""
    fields: tuple[Field, ...] = ()
    events: tuple[OwnEvent, ...] = ()
    questions: tuple[Question, ...] = ()
    revision: int = 1
    created: Micros = 0
    updated: Micros = 0
    table: str = ""
    """The name of its table (store/items/tables.py), if that differs from the collection's name."""

    def field(self, name: str) -> Field | None:
        """The declared field of this name."""
        return next((field for field in self.fields if field.name == name), None)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a collection. `values` are in stored form.

    Times are Micros, decimals `Decimal`, objects and arrays JSON text, missing ones None.
    """

    seq: int
    """The item's position in the order of creation; the store assigns it."""
    id: str
    tenant: str
    """The item's tenant; empty if it has none."""
    revision: int
    created: Micros
    updated: Micros
    values: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """What conditions are evaluated on: its fields, its id and its tenant."""
        return {**self.values, "id": self.id, "tenant": self.tenant}
