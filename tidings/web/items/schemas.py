"""The bodies of a collection's operations as JSON Schema, for one caller: only the fields that it may read or write."""

from __future__ import annotations

from typing import Any

from tidings.intake.items.batches import BATCH_MAX
from tidings.model.collection import Collection, Field
from tidings.rules.items.condition import fixed
from tidings.rules.items.field import ITEM_ID, field_schema
from tidings.rules.items.permit import Grant
from tidings.rules.items.samples import sample
from tidings.rules.reading import decimals
from tidings.web.habits.paging import CURSOR
from tidings.web.operation import BodySchema

Schema = dict[str, Any]

ID: Schema = {"type": "string", "pattern": ITEM_ID, "maxLength": 64}
_ID_EXAMPLE = "itm_01m7xv663afar931yg06gzrrhs"
_TIME_EXAMPLE = "2026-11-21T01:02:03.456Z"
_TIME: Schema = {"type": "string", "format": "date-time", "maxLength": 40}
_YEARS = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
DATE: Schema = {"pattern": f"^{_YEARS}-[0-9]{{2}}-[0-9]{{2}}$"}
"""What a date must match in addition to its format: the years 1 to 9999, which Python and PostgreSQL support."""
_CLOCK, _ZONE = "[0-9]{2}:[0-9]{2}:[0-5][0-9]", "([Zz]|[+-][0-9]{2}:[0-9]{2})"


TIME_TEXT: Schema = {"pattern": rf"^{_YEARS}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}(\.[0-9]+)?{_ZONE}$"}
"""What a time must match in addition to its format: no leap seconds. Digits after the sixth decimal place of the
seconds are dropped."""


_TIMES: dict[str, Schema] = {"date": DATE, "datetime": TIME_TEXT}
_OWN: dict[str, Schema] = {
    "id": ID,
    "tenant": {"type": ["string", "null"], "maxLength": 64, "description": "The item's tenant."},
    "revision": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**63 - 1},
    "created": _TIME,
    "updated": _TIME,
}
_EXAMPLES: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.5,
    "decimal": "12.30",
    "boolean": True,
    "datetime": _TIME_EXAMPLE,
    "date": "2026-11-21",
    "object": {},
    "array": [],
    "reference": _ID_EXAMPLE,
}
_CHANGING = ("create", "put", "edit", "delete")
_BATCH_ID: Schema = {**ID, "description": "The item's id."}
_BATCH_REVISION: Schema = {
    "type": "integer",
    "format": "int64",
    "minimum": 1,
    "maximum": 2**63 - 1,
    "description": "Apply the operation only if the item is at this revision.",
}
OWN_NAMES = tuple(_OWN)
"""The members that every item has."""


def reference(form: BodySchema) -> Schema:
    """A reference to a form in the document."""
    return {"$ref": f"#/components/schemas/{form.name}"}


def nullable(schema: Schema) -> Schema:
    """The schema, which also allows null."""
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    # All of `allOf` must match, so it must not be next to "null".
    if isinstance(schema.get("type"), str) and "allOf" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


class ItemSchemas:
    """The schemas of one collection for one grant.

    `expands`: the references that may be expanded, with their targets.
    """

    def __init__(self, grant: Grant, expands: dict[str, Grant]) -> None:
        self._name = grant.collection.name
        self._collection = grant.collection
        self._filled = fixed(grant.writes)
        read = [field for field in grant.collection.fields if field.name in grant.read]
        written = [field for field in grant.collection.fields if field.name in grant.write]
        self.expanded = tuple(self._target(its) for its in _unlike(expands, self._name))
        self.item = self._form("item", self._item(read, expands), item_example(grant.collection, read))
        self.page = self._form("page", self._page(), {"data": [self.item.example], "next_cursor": None})
        self.new = self._form("new", _led(self._new(written), written, expands), new_example(written))
        self.patch = self._form("patch", _led(_patch(written), written, expands), patch_example(written))
        verbs = [verb for verb in _CHANGING if verb in grant.verbs]
        self.steps = tuple(self._form(f"batch.{verb}", self._step(verb), self._step_example(verb)) for verb in verbs)
        self.batch = self._form("batch", self._batch(), self._batch_example())
        self.results = self._form("results", self._results(), {"results": [{"status": 201, "item": self.item.example}]})

    def _form(self, name: str, schema: Schema, example: Any) -> BodySchema:
        return BodySchema(f"{self._name}.{name}", schema, example)

    def _target(self, its: Grant) -> BodySchema:
        read = [field for field in its.collection.fields if field.name in its.read]
        return BodySchema(
            f"{its.collection.name}.item",
            ItemSchemas.plain_item(its.collection, read),
            item_example(its.collection, read),
        )

    @staticmethod
    def plain_item(collection: Collection, read: list[Field]) -> Schema:
        """The schema of an item in responses."""
        shown = {field.name: _shown(field) for field in read}
        return {
            "type": "object",
            "additionalProperties": False,
            "description": collection.description or f"An item of {collection.name}.",
            "properties": {**_OWN, **shown},
        }

    def _item(self, read: list[Field], expands: dict[str, Grant]) -> Schema:
        schema = ItemSchemas.plain_item(self._collection, read)
        if expands:
            targets = {
                name: {"anyOf": [{"$ref": f"#/components/schemas/{its.collection.name}.item"}, {"type": "null"}]}
                for name, its in expands.items()
            }
            schema["properties"]["expanded"] = {
                "type": "object",
                "additionalProperties": False,
                "description": "The referenced items, if `expand` requests them.",
                "properties": targets,
            }
        return schema

    def _page(self) -> Schema:
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["data", "next_cursor"],
            "properties": {
                "data": {"type": "array", "maxItems": 1000, "items": reference(self.item)},
                "next_cursor": {"type": ["string", "null"], **CURSOR},
                "count": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 1_000_000},
            },
        }

    def _new(self, written: list[Field]) -> Schema:
        needed = [
            field.name
            for field in written
            if field.required and field.default is None and field.name not in self._filled
        ]
        return {
            "type": "object",
            "additionalProperties": False,
            **({"required": needed} if needed else {}),
            "properties": {field.name: _given(field) for field in written},
        }

    def _batch(self) -> Schema:
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["operations"],
            "properties": {
                "operations": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": BATCH_MAX,
                    "items": {
                        "oneOf": [reference(form) for form in self.steps],
                        "discriminator": {"propertyName": "op", "mapping": self._ops()},
                    },
                }
            },
        }

    def _ops(self) -> dict[str, str]:
        return {form.name.rpartition(".")[2]: reference(form)["$ref"] for form in self.steps}

    def _step(self, op: str) -> Schema:
        """One operation of a batch: what the single operation takes, as a body."""
        properties: dict[str, Schema] = {"op": {"type": "string", "enum": [op]}, "id": _BATCH_ID}
        if op == "create":
            properties["id"] = {**ID, "description": "Your own id (optional)."}
        else:
            properties["revision"] = _BATCH_REVISION
        if op != "delete":
            form = self.patch if op == "edit" else self.new
            properties["data"] = {**reference(form), "description": "The fields, as in the operation on a single item."}
        needed = {"create": ["op", "data"], "delete": ["op", "id"]}.get(op, ["op", "id", "data"])
        return {"type": "object", "additionalProperties": False, "required": needed, "properties": properties}

    def _batch_example(self) -> Any:
        shown = [step.example for step in self.steps if step.example is not None]
        return {"operations": shown[:1]} if shown else None

    def _step_example(self, op: str) -> Any:
        found: dict[str, Any] = {"op": op} if op == "create" else {"op": op, "id": _ID_EXAMPLE}
        if op != "delete":
            found["data"] = self.patch.example if op == "edit" else self.new.example
        return None if found.get("data", {}) is None else found

    def _results(self) -> Schema:
        result = {
            "type": "object",
            "additionalProperties": False,
            "required": ["status", "item"],
            "properties": {
                "status": {"type": "integer", "format": "int32", "minimum": 200, "maximum": 204},
                "item": {"anyOf": [reference(self.item), {"type": "null"}]},
            },
        }
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["results"],
            "properties": {"results": {"type": "array", "maxItems": BATCH_MAX, "items": result}},
        }


def _unlike(expands: dict[str, Grant], name: str) -> list[Grant]:
    return list({its.collection.name: its for its in expands.values() if its.collection.name != name}.values())


def _shown(field: Field) -> Schema:
    return {name: value for name, value in _given(field).items() if name != "default"}


def _given(field: Field) -> Schema:
    # The additional rules for times are checked on conversion; here they are only documented.
    schema = {**field_schema(field), **_TIMES.get(field.type, {})}
    return schema if field.required else nullable(schema)


def _patch(written: list[Field]) -> Schema:
    properties = {}
    for field in written:
        schema = {name: value for name, value in _given(field).items() if name != "default"}
        if field.type == "object":
            # Members of objects are merged, so a part of one is enough.
            schema = nullable({"type": "object"})
        properties[field.name] = schema
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _led(schema: Schema, written: list[Field], expands: dict[str, Grant]) -> Schema:
    """The schema, in which references name their target, so that a page can offer existing items.

    It is empty for a caller that may not read that collection.
    """
    for field in written:
        if field.type == "reference":
            schema["properties"][field.name]["x-reference"] = field.to if field.name in expands else ""
    return schema


def example_of(field: Field) -> Any:
    """An example of a field's value: its own, its default, or one of its type."""
    if field.example is not None:
        return field.example
    if field.default is not None:
        return field.default
    if field.values:
        return field.values[0]
    if field.type in ("integer", "number"):
        low = _EXAMPLES[field.type] if field.min is None else field.min
        return low if field.max is None else min(low, field.max)
    if field.type in ("date", "datetime") and field.min is not None:
        return field.min
    if field.type == "decimal":
        return decimals.example(field)
    return _EXAMPLES[field.type]


def item_example(collection: Collection, read: list[Field]) -> dict[str, Any]:
    """An example of an item in a response."""
    own = {"id": _ID_EXAMPLE, "tenant": None, "revision": 1, "created": _TIME_EXAMPLE, "updated": _TIME_EXAMPLE}
    shown = {field.name: _example(field) for field in read}
    # A required field is never null: if no value is certain to be valid, it is left out, as with `fields`.
    return {
        **own,
        **{field.name: shown[field.name] for field in read if shown[field.name] is not None or not field.required},
    }


def new_example(written: list[Field]) -> dict[str, Any] | None:
    """An example of a new item: its required fields, and those that have an example.

    None if no valid value is known for one of them.
    """
    shown = {field.name: _example(field) for field in written if field.required or _has_example(field)}
    return None if None in shown.values() else shown


def patch_example(written: list[Field]) -> dict[str, Any]:
    """An example of an edit: one field."""
    return {field.name: example_of(field) for field in written if _has_example(field)} and {
        next(field.name for field in written if _has_example(field)): example_of(
            next(field for field in written if _has_example(field))
        )
    }


def _example(field: Field) -> Any:
    """A valid value for the field, if one is known or needed; None if there is none."""
    if _has_example(field) or field.type == "reference":
        return example_of(field) if _has_example(field) or field.required else None
    return sample(field) if field.required else None


def _has_example(field: Field) -> bool:
    """Whether a generated example is surely valid; for patterns, formats and references, the declaration must give
    one."""
    if field.example is not None or field.default is not None:
        return True
    return not (field.pattern or field.format or field.schema or field.unique or field.type == "reference")
