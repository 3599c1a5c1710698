"""Import and export in the menu: their parameters and responses, for one caller and collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidings.rules.items.csv_lines import CsvOut
from tidings.rules.items.file_lines import CSV, NDJSON, JsonLinesOut
from tidings.rules.items.permit import Grant
from tidings.web.items.files import FORMATS, Transfer
from tidings.web.items.parameters import several, ticked
from tidings.web.items.schemas import OWN_NAMES, item_example, new_example
from tidings.web.operation import BodySchema, Parameter

_COUNT: dict[str, Any] = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**53}
_COUNTS = {
    "read": "How many lines were read.",
    "created": "How many items were created.",
    "replaced": "How many existing items were replaced by a line.",
    "merged": "How many existing items were merged with a line.",
    "skipped": "How many lines were skipped because their id already existed.",
    "unchanged": "How many existing items were already identical to their line.",
    "refused": "How many lines were refused; `errors` describes the first 50.",
}
IMPORTED = BodySchema(
    "Imported",
    {
        "type": "object",
        "additionalProperties": False,
        "required": [*_COUNTS, "errors"],
        "properties": {
            **{name: {**_COUNT, "description": help} for name, help in _COUNTS.items()},
            "errors": {"type": "array", "maxItems": 500, "items": {"$ref": "#/components/schemas/Place"}},
        },
    },
    {"read": 2, "created": 2, "replaced": 0, "merged": 0, "skipped": 0, "unchanged": 0, "refused": 0, "errors": []},
)
PARTIAL = Parameter(
    name="partial",
    schema={"type": "boolean", "default": False},
    help="Store the valid lines, in parts of up to 250 lines each, and report the invalid ones, instead of storing "
    "all lines or none.",
)
FORMAT = Parameter(
    name="format",
    schema={"type": "string", "enum": list(FORMATS), "default": "ndjson"},
    help="The file format: `ndjson` (one object per line) or `csv`.",
)
SORT = Parameter(
    name="sort",
    schema={"type": "string", "enum": ["created", "-created"], "default": "created"},
    help="Sort items by their time of creation: `created` starts with the oldest, `-created` with the newest.",
)


_MERGE = " `merge` keeps the values of fields that are not in the file."


def import_of(grant: Grant, path: str, transfer: Transfer, tenant: tuple[Parameter, ...]) -> dict[str, Any]:
    """The operation that imports."""
    more = {"replace": "put", "merge": "edit"}
    offer = ["refuse", "skip", *(each for each, verb in more.items() if verb in grant.verbs)]
    on_conflict = Parameter(
        name="on_conflict",
        schema={"type": "string", "enum": offer, "default": "refuse"},
        help=f"What to do with a line whose `id` already exists: {ticked(offer)}."
        + (_MERGE if "merge" in offer else ""),
    )
    names = ["id", *(parameter.name for parameter in tenant), *grant.write]
    written = [field for field in grant.collection.fields if field.name in grant.write]
    return {
        "method": "POST",
        "path": f"{path}:import",
        "summary": f"Import a file of {grant.collection.name}",
        "help": (
            f"The body is CSV with a header line, or NDJSON. Each line may have {ticked(names)}. Either all lines "
            f"are stored, or none."
        ),
        "handler": transfer.take,
        "incoming": _examples(names, new_example(written) or {}),
        "idempotent_key": True,
        "response": IMPORTED,
        "parameters": (PARTIAL, on_conflict, *tenant),
    }


def export_of(grant: Grant, path: str, transfer: Transfer, asked: list[Parameter]) -> dict[str, Any]:
    """The operation that exports."""
    members = [*OWN_NAMES, *grant.read]
    read = [field for field in grant.collection.fields if field.name in grant.read]
    help = (
        f"Export only these fields: {ticked(members)}. Default: {ticked(transfer.members)}, the fields that an "
        f"import accepts."
    )
    return {
        "method": "GET",
        "path": f"{path}:export",
        "summary": f"Export {grant.collection.name} as a file",
        "help": "If the export fails midway, the server closes the connection before the end of the response.",
        "handler": transfer.give,
        "outgoing": _examples(transfer.members, item_example(grant.collection, read)),
        "parameters": (FORMAT, SORT, *asked, several("fields", members, help, len(members))),
    }


def _examples(names: Sequence[str], item: dict[str, Any]) -> dict[str, str]:
    """A file with one item, by media type."""
    named = [name for name in names if item.get(name) is not None]
    line = {name: item[name] for name in named}
    csv = CsvOut(named)
    return {CSV: (csv.head() + csv.lines([line])).decode(), NDJSON: JsonLinesOut().lines([line]).decode()}
