"""The parameters of a collection's lists and questions: one for each field and operator that a caller may filter by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidings.model.collection import Collection, Field, Question
from tidings.rules.items.field import INTEGER_MAX, INTEGER_MIN, OWN_TIMES, asked_field, operators_of
from tidings.rules.reading import decimals
from tidings.web.items.handlers import Filters
from tidings.web.items.schemas import DATE, TIME_TEXT, example_of
from tidings.web.operation import Parameter

TEXT_CHARS = 1_000
VALUES_MAX = 100


def _tenant(help: str) -> Parameter:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{0,64}$", "maxLength": 64}
    return Parameter(name="tenant", schema=schema, help=help, example="acme")


# These parameters are only for keys without a tenant.
OF_TENANT = _tenant("Return only items of this tenant; empty for items without a tenant.")
FOUND_WITH_TENANT = _tenant("The item's tenant; empty for none. Required if several items have this id.")
IN_BATCH_TENANT = _tenant(
    "The tenant of all items in the batch, including new ones; empty for none. Required if several items share an id."
)
MADE_FOR_TENANT = _tenant("The tenant of the new item; empty or omitted for none.")
_WORDS: dict[str, str] = {
    "eq": "equals this",
    "ne": "does not equal this",
    "gt": "is greater than this",
    "gte": "is greater than or equal to this",
    "lt": "is less than this",
    "lte": "is less than or equal to this",
    "in": "is one of these",
    "nin": "is not one of these",
    "exists": "has a value (`true`) or is null (`false`)",
    "starts_with": "begins with this",
    "contains": "contains this",
}


SEARCH = Parameter(
    name="q",
    schema={
        "type": "string",
        "minLength": 1,
        "maxLength": TEXT_CHARS,
        "pattern": r"^[\s\S]*[^\W_][\s\S]*$",
        "description": "a string with at least one letter or digit",
    },
    help="Return only items whose searchable fields contain all of these words, or words that begin with them.",
    example="plants",
)


def several(name: str, offer: list[str], help: str, most: int) -> Parameter:
    """A parameter that takes several of the names on offer, `most` of them at most."""
    items = {"type": "string", "enum": offer}
    return Parameter(name=name, schema={"type": "array", "items": items, "minItems": 1, "maxItems": most}, help=help)


def ticked(names: Iterable[str]) -> str:
    """Names as a help text shows them."""
    return ", ".join(f"`{name}`" for name in names)


def filters_of(collection: Collection, names: tuple[str, ...]) -> tuple[Filters, tuple[Parameter, ...]]:
    """Every filter on these fields, and its parameter."""
    filters: Filters = {}
    parameters = []
    for field in (*collection.fields, *OWN_TIMES.values()):
        if field.name in names:
            for op in ("eq", *operators_of(field)):
                name = field.name if op == "eq" else f"{field.name}__{op}"
                filters[name] = (field.name, op)  # type: ignore[assignment]
                parameters.append(_filter(field, name, op))
    return filters, tuple(parameters)


def filters_of_question(collection: Collection, question: Question) -> tuple[Filters, tuple[Parameter, ...]]:
    """The filters of a question, and its parameters, all of which must be given."""
    filters: Filters = {}
    parameters = []
    for name in question.parameters:
        head, _, op = name.partition("__")
        field = asked_field(collection, head)
        if field is not None:
            filters[name] = (head, op or "eq")  # type: ignore[assignment]
            parameters.append(_filter(field, name, op or "eq", required=True))
    return filters, tuple(parameters)


def _filter(field: Field, name: str, op: str, *, required: bool = False) -> Parameter:
    schema = _compared(field)
    if op == "exists":
        schema = {"type": "boolean"}
    elif op in ("in", "nin"):
        schema = {"type": "array", "items": schema, "minItems": 1, "maxItems": VALUES_MAX}
    elif op in ("starts_with", "contains"):
        schema = {**schema, "minLength": 1}
    example: Any = example_of(field)
    if op == "exists":
        example = True
    elif op in ("in", "nin"):
        example = [example]
    more = f" {field.description}" if field.description and op == "eq" else ""
    return Parameter(
        name=name,
        schema=schema,
        help=f"Return only items whose `{field.name}` {_WORDS[op]}.{more}",
        required=required,
        example=example,
    )


def _compared(field: Field) -> dict[str, Any]:
    """The schema of a value that a field is compared with."""
    if field.type == "enum":
        return {"type": "string", "enum": list(field.values)}
    return _COMPARED.get(field.type, {"type": "string", "maxLength": TEXT_CHARS})


_COMPARED: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer", "format": "int64", "minimum": INTEGER_MIN, "maximum": INTEGER_MAX},
    "number": {"type": "number", "format": "double"},
    "decimal": {
        "type": "string",
        "format": "decimal",
        "pattern": f"^{decimals.ASKED}$",
        "maxLength": decimals.ASKED_CHARS,
    },
    "boolean": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time", "maxLength": 40, **TIME_TEXT},
    "date": {"type": "string", "format": "date", "maxLength": 10, **DATE},
    # An id has no comma, so several are unambiguous however their commas are written.
    "reference": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{0,64}$", "maxLength": 64},
}
