"""Items: as callers send them, checked by the collection's own JSON Schema; in stored form; and as JSON again.

The schema that the API documents is the one that is checked, so the two cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.collection import OWN_FIELDS, Collection, Field, Item
from tidings.model.errors import Place
from tidings.rules.items.field import field_schema, is_bounded_by_us, out_of_bounds
from tidings.rules.reading import decimals, exact, schema
from tidings.rules.reading.refused import escaped

ERRORS_MAX = 50
DETAIL_CHARS_MAX = 300
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
ID_RULE = "An id must consist of 1 to 64 letters, digits and _ . -, and begin with a letter or a digit."

_CODES = {
    "type": "wrong_type",
    "maxLength": "too_long",
    "minLength": "too_short",
    "maximum": "too_large",
    "minimum": "too_small",
    "exclusiveMaximum": "too_large",
    "exclusiveMinimum": "too_small",
    "maxItems": "too_many",
    "minItems": "too_few",
    "enum": "not_in_enum",
    "pattern": "pattern",
    "format": "format",
}
Convert = Callable[[Any], Any]
Unpack = Mapping[str, Convert]


def item_schema(collection: Collection) -> dict[str, Any]:
    """The JSON Schema of an item's fields, without nulls: what `check` validates against."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in collection.fields if field.required],
        "properties": {field.name: field_schema(field) for field in collection.fields},
    }


_SHORT = ("integer", "number", "boolean")
"""Types whose values are always cheap to check, whatever the field declares."""


class ItemRules:
    """The rules of one collection, built once per revision. May be shared between threads."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._fields = {field.name: field for field in collection.fields}
        self.names = frozenset(self._fields)
        self._members = (*OWN_FIELDS, *self._fields)
        self._at = {name: index for index, name in enumerate(self._fields)}
        plain = {f"m{index}": name for index, name in enumerate(self._members)}
        self._shape = msgspec.defstruct("Shape", list(plain), rename=plain)
        self._validator = schema.compiled(item_schema(collection))
        large = [field for field in collection.fields if field.type not in _SHORT]
        costs = {field.name: schema.compiled(field_schema(field)).cost for field in large}
        self._costly = {name: cost for name, cost in costs.items() if not schema.is_free(cost)}
        self._to_store = {field.name: _TO_STORE[field.type] for field in collection.fields if field.type in _TO_STORE}
        self._bounded = {field.name: field for field in collection.fields if is_bounded_by_us(field)}
        self._to_json = {field.name: made for field in collection.fields if (made := _to_json(field)) is not None}
        self.defaults = {field.name: field.default for field in collection.fields if field.default is not None}

    def stored(self, values: Mapping[str, Any], pointer: str, wrong: list[Place]) -> dict[str, Any]:
        """An item's fields in stored form: every declared field, missing ones as None.

        `values` are JSON values by field. Adds each wrong place to `wrong`; `pointer` is the item's place in the body.
        """
        given = {name: value for name, value in values.items() if value is not None}
        for name in self._costly:
            if name in given and (place := self._too_costly(name, given[name], pointer)) is not None:
                wrong.append(place)
                return {}
        if not self._validator.is_valid(given):
            wrong.extend(self._places(given, pointer))
            return {}
        found = dict.fromkeys(self._fields)
        found.update(given)
        for name, convert in self._to_store.items():
            value = found[name]
            if value is None:
                continue
            try:
                found[name] = convert(value)
            except ValueError as error:
                code = "not_exact" if isinstance(error, Inexact) else "format"
                wrong.append(Place(pointer=f"{pointer}/{name}", code=code, detail=f"{name} must be {error}."))
                continue
            bounded = self._bounded.get(name)
            told = None if bounded is None else out_of_bounds(bounded, value)
            if told is not None:
                wrong.append(Place(pointer=f"{pointer}/{name}", code=told[0], detail=told[1]))
        return found

    def document(self, item: Item, names: Iterable[str] | None = None) -> dict[str, Any]:
        """An item as JSON values. `names`: only these members, which can include its own; None for all."""
        found = {
            "id": item.id,
            "tenant": item.tenant,
            "revision": item.revision,
            "created": item.created,
            "updated": item.updated,
            **item.values,
        }
        return self._finished(found, names)

    def document_of(self, row: Sequence[Any], unpack: Unpack, names: Iterable[str] | None) -> dict[str, Any]:
        """The same, made directly from a row of the store: `seq`, the item's own members, its fields in their order.

        `unpack`: converters for fields whose form differs between rows and items.
        """
        found = dict(zip(self._members, row[1:], strict=True))
        for name, convert in unpack.items():
            if found[name] is not None:
                found[name] = convert(found[name])
        return self._finished(found, names)

    def shaped(self, row: Sequence[Any], unpack: Unpack) -> Any:
        """Like `document_of` with all members, in half the time, but the result can only be written as JSON."""
        values: Any = row[len(OWN_FIELDS) + 1 :]
        if unpack or self._to_json:
            values = list(values)
            for name, convert in unpack.items():
                at = self._at[name]
                if values[at] is not None:
                    values[at] = convert(values[at])
            for name, convert in self._to_json.items():
                at = self._at[name]
                if values[at] is not None:
                    values[at] = convert(values[at])
        _, ident, tenant, revision, created, updated = row[: len(OWN_FIELDS) + 1]
        text = moment.to_text(created)
        since = text if updated == created else moment.to_text(updated)
        return self._shape(ident, tenant or None, revision, text, since, *values)

    def _finished(self, found: dict[str, Any], names: Iterable[str] | None) -> dict[str, Any]:
        found["tenant"] = found["tenant"] or None
        created, updated = found["created"], found["updated"]
        found["created"] = text = moment.to_text(created)
        found["updated"] = text if updated == created else moment.to_text(updated)
        for name, convert in self._to_json.items():
            if found[name] is not None:
                found[name] = convert(found[name])
        return found if names is None else {name: found[name] for name in names}

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Only the declared fields, from stored form to JSON values."""
        found = dict(values)
        for name, convert in self._to_json.items():
            if found[name] is not None:
                found[name] = convert(found[name])
        return found

    def as_json(self, name: str, value: Any) -> Any:
        """One stored value of a field as a JSON value."""
        convert = self._to_json.get(name)
        return value if convert is None or value is None else opened(convert(value))

    def plain(self, item: Item, names: Iterable[str] | None = None) -> dict[str, Any]:
        """The declared fields, or some of them, as plain JSON values, for merging and comparing."""
        document = self.document(item)
        return {name: opened(document[name]) for name in (self._fields if names is None else names)}

    def _places(self, given: dict[str, Any], pointer: str) -> list[Place]:
        found: list[Place] = []
        for wrong in self._validator.reasons(given):
            at = pointer + "".join(f"/{escaped(str(step))}" for step in wrong.instance_path)
            kind = wrong.kind.name
            if kind == "additionalProperties" and not wrong.instance_path:
                found.extend(self.unknown(name, pointer) for name in wrong.kind.unexpected)
            elif kind == "required" and not wrong.instance_path:
                name = wrong.kind.property
                found.append(
                    Place(
                        pointer=f"{pointer}/{escaped(name)}",
                        code="missing",
                        detail=(f"The field {name!r} is required."),
                    )
                )
            else:
                detail = self._rule(wrong.instance_path, kind, given) or _cut(schema.sentence(wrong))
                found.append(Place(pointer=at, code=_CODES.get(kind, "schema"), detail=detail))
            if len(found) >= ERRORS_MAX:
                break
        return found or [Place(pointer=pointer, code="schema", detail=schema.TOO_LARGE_TO_SAY)]

    def _too_costly(self, name: str, value: Any, pointer: str) -> Place | None:
        cost = self._costly[name]
        if not schema.is_over(cost, value):
            return None
        return Place(pointer=f"{pointer}/{name}", code="too_costly", detail=schema.too_costly(cost))

    def _rule(self, path: Sequence[Any], kind: str, given: dict[str, Any]) -> str | None:
        """What a wrong value must be, if that can be said more plainly than the schema does; `kind`: its keyword."""
        field = self.collection.field(str(path[0])) if len(path) == 1 else None
        if field is None:
            return None
        if field.type == "decimal":
            return f"{field.name} must be {decimals.rule(field)}."
        is_moment = field.type in ("date", "datetime")
        if kind == "type" or (is_moment and kind in ("format", "maxLength")):
            value = given[field.name]
            sent = f", not {_cut(_json(value))}" if isinstance(value, str | int | float) else ""
            return f"{field.name} must be {_KINDS[field.type]}{sent}."
        return None

    def unknown(self, name: str, pointer: str, known: Iterable[str] | None = None) -> Place:
        """The place of a field that does not exist, or not for this caller.

        `known`: the fields that the caller may know.
        """
        offer = ", ".join(self._fields if known is None else known)
        detail = f"There is no field {name[:100]!r}. The fields are: {offer}."
        return Place(pointer=f"{pointer}/{escaped(name)}", code="unknown_field", detail=detail)


def opened(value: Any) -> Any:
    """A value of a document as plain JSON values."""
    return msgspec.json.decode(value) if type(value) is msgspec.Raw else value


def comparable(field: Field, value: Any) -> Any:
    """A JSON value in the form in which the store compares this field.

    Raises ValueError with the words after "must be".
    """
    if value is None:
        return None
    kinds, words = _COMPARABLE[field.type]
    if type(value) not in kinds:
        raise ValueError(words)
    convert = _TO_STORE.get(field.type)
    return value if convert is None else convert(value)


def _time(text: str) -> moment.Micros:
    """An RFC 3339 time as Micros. Raises ValueError with the words after "must be"."""
    try:
        return moment.from_text(text)
    except ValueError:
        raise ValueError("an RFC 3339 time such as 2026-11-21T01:02:03Z, in the years 1 to 9999") from None


def _date(text: str) -> str:
    """A date, as text. Raises ValueError with the words after "must be"."""
    # JSON Schema knows the year 0, Python and PostgreSQL do not.
    if text.startswith("0000"):
        raise ValueError("a date in the years 1 to 9999")
    return text


class Inexact(ValueError):
    """The value would be changed by storing it. The text says what it must be."""


def _number(value: float) -> float:
    """A number as a double. Raises Inexact with the words after "must be"."""
    if type(value) is int and not exact.is_whole_kept(value):
        raise Inexact(f"a number that a double can hold exactly: {value} {exact.lost(str(value))}")
    # Zero has one sign: SQLite keeps no other, and responses must not differ from what is stored.
    return float(value) + 0.0


def _integer(value: float) -> int:
    """A whole number, possibly sent as 5.0. Raises Inexact with the words after "must be"."""
    if type(value) is int:
        return value
    try:
        return exact.whole(value)
    except ValueError as wrong:
        raise Inexact(str(wrong)) from None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _to_json(field: Field) -> Convert | None:
    """A function from a field's stored value to JSON; None if they are the same."""
    if field.type == "decimal":
        scale = decimals.scale(field)
        return lambda value: decimals.shown(value, scale)
    return _TO_JSON.get(field.type)


def _cut(text: str) -> str:
    return text if len(text) <= DETAIL_CHARS_MAX else text[:DETAIL_CHARS_MAX] + "..."


_TO_STORE: dict[str, Convert] = {
    "datetime": _time,
    "date": _date,
    "number": _number,
    "integer": _integer,
    "decimal": decimals.read,
    "object": _json,
    "array": _json,
}
_TO_JSON: dict[str, Convert] = {"datetime": moment.to_text, "object": _raw, "array": _raw}
_KINDS: dict[str, str] = {
    "string": "a string",
    "enum": "a string",
    "reference": "the id of an item, as a string",
    "date": "a date such as 2026-11-21",
    "datetime": "an RFC 3339 time such as 2026-11-21T01:02:03Z",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}
"""The values of a type, in words that follow "must be"."""
_TEXT = ((str,), "a string")
_COMPARABLE: dict[str, tuple[tuple[type, ...], str]] = {
    "string": _TEXT,
    "enum": _TEXT,
    "reference": _TEXT,
    "date": ((str,), "a date such as 2026-11-21"),
    "datetime": ((str,), "an RFC 3339 time such as 2026-11-21T01:02:03Z"),
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a number"),
    "decimal": ((str,), decimals.WORDS),
    "boolean": ((bool,), "true or false"),
    "object": ((), "nothing: objects are not compared"),
    "array": ((), "nothing: lists are not compared"),
}
