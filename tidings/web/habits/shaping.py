"""The habits that all operations share: added to the menu in one place, and applied in one place.

Every list has `sort` and `count`, every list and every single thing has `fields`, and a single thing that has no
revision has the hash of its content as its entity tag (RFC 9110).
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from typing import Any

import msgspec

from tidings.model.errors import Invalid, Malformed
from tidings.rules import event_types
from tidings.rules.deliver import bodies
from tidings.web.habits.given import HELP as TAKEN_BACK
from tidings.web.habits.given import own_members
from tidings.web.habits.revisions import IF_NONE_MATCH, names, read
from tidings.web.operation import Answer, Operation, Parameter, Request

FIELDS_MAX = 50
FIELD_DEPTH_MAX = 32
TAG_CHARS = 24
DOTTED = "data"
"""A member of this name that is stored as JSON text (an event's data): its own members can be chosen too."""

COUNT = Parameter(
    name="count",
    schema={"type": "boolean"},
    help=(
        "Also return `count`, the exact number of entries on all pages. The request is refused if too many rows "
        "would have to be counted."
    ),
)

TYPE_OR_BEGINNING: dict[str, Any] = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?$",
    "maxLength": event_types.TYPE_CHARS_MAX + 2,
    "description": "an event type such as tasks.completed, or a pattern such as tasks.*",
}
"""The schema of a parameter that selects events by type."""


def with_habits(operation: Operation) -> Operation:
    """The operation, with the help and the parameters that every operation of its kind has."""
    if own_members(operation):
        return dataclasses.replace(operation, help=f"{operation.help} {TAKEN_BACK}".lstrip())
    listed = _listed(operation.response)
    item = listed or operation.response
    if operation.method != "GET" or not operation.path.startswith("/v1/") or not _is_struct(item):
        return operation
    if listed is None and "{" not in operation.path:
        # A report of the whole server: neither a list nor a thing.
        return operation
    more = [fields_parameter(item)]
    if listed is not None:
        more = [_sort_parameter(operation), COUNT, *more]
    elif IF_NONE_MATCH not in operation.parameters:
        more.append(IF_NONE_MATCH)
    return dataclasses.replace(
        operation, parameters=(*operation.parameters, *more), item=item, is_list=listed is not None
    )


def streaming(operation: Operation, item: type[msgspec.Struct]) -> Operation:
    """A stream of items, with `fields`."""
    return dataclasses.replace(operation, parameters=(*operation.parameters, fields_parameter(item)), item=item)


def sort_of(request: Request) -> list[str]:
    """The names to sort a list by. Raises Invalid if one is repeated."""
    wanted: list[str] = request.query.get("sort") or [request.operation.sorts[0]]
    plain = [name.removeprefix("-") for name in wanted]
    if len(set(plain)) < len(plain):
        raise Invalid.of_parameter("sort", "repeated", f"{','.join(wanted)[:200]} lists the same field twice.")
    return wanted


def chosen_fields(request: Request) -> bodies.Chosen:
    """The names of `fields`, as a tree."""
    return bodies.choose(request.query["fields"])


def narrowed(thing: Any, chosen: bodies.Chosen) -> dict[str, Any]:
    """The chosen fields of a thing, in their usual order; numbers and texts of `data` stay as they were sent."""
    found: dict[str, Any] = {}
    for name in thing.__struct_fields__:
        if name in chosen:
            value, below = getattr(thing, name), chosen[name]
            if value is not msgspec.UNSET:
                found[name] = (
                    value if below is None else msgspec.Raw(bodies.select(bytes(value).decode(), below).encode())
                )
    return found


def finish(request: Request, answer: Answer) -> Answer:
    """What responses with a thing or a list have in common: the entity tag, and only the chosen fields."""
    content = answer.body
    if content is None or answer.status != 200:
        return answer
    if (
        not request.operation.is_list
        and "{" in request.operation.path
        and not any(n == "etag" for n, _ in answer.headers)
    ):
        tag = hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:TAG_CHARS]
        answer.headers.append(("etag", f'"{tag}"'))
        named = names(request, "if-none-match")
        if "if-none-match" in request.headers and (named is None or tag in named):
            return Answer(304, None, answer.headers)
    if request.chosen is not None:
        if request.operation.is_list:
            members = content if isinstance(content, dict) else msgspec.structs.asdict(content)
            whole = {name: value for name, value in members.items() if value is not msgspec.UNSET}
            answer.body = whole | {"data": [narrowed(each, request.chosen) for each in members["data"]]}
        else:
            answer.body = narrowed(content, request.chosen)
    return answer


def refuse_conditions(operation: Operation, headers: dict[str, str]) -> None:
    """Raise Malformed for a condition that cannot be read, or that this operation does not support."""
    for name in ("If-Match", "If-None-Match"):
        matters = name.lower() in headers and (name == "If-Match" or operation.method != "GET")
        if any(parameter.name == name for parameter in operation.parameters):
            read(headers.get(name.lower()), name.lower())
        elif matters:
            detail = f"{operation.method} {operation.path} does not support {name}: its resource has no revision."
            raise Malformed.of_parameter(name, "not_possible_here", detail)


def _listed(kind: Any) -> Any:
    """What is listed, if a response is a page."""
    if not _is_struct(kind) or not {"data", "next_cursor"} <= set(kind.__struct_fields__):
        return None
    data = typing.get_type_hints(kind)["data"]
    return typing.get_args(data)[0] if typing.get_origin(data) is list else None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_open(item: type[msgspec.Struct]) -> bool:
    """Whether its `data` is a caller's own JSON."""
    return typing.get_type_hints(item).get(DOTTED) is msgspec.Raw


def fields_parameter(item: type[msgspec.Struct]) -> Parameter:
    """The parameter `fields`, for things of this kind."""
    names = ", ".join(item.__struct_fields__)
    field: dict[str, Any] = {"type": "string", "enum": list(item.__struct_fields__)}
    below = ""
    if _is_open(item):
        below = f" For members of `{DOTTED}`, use dots, as in `{DOTTED}.id`."
        # A refusal also uses the description.
        below_it = rf"{DOTTED}(\.[^.,\x00-\x1f\x7f]{{1,100}}){{1,{FIELD_DEPTH_MAX}}}"
        field = {
            "type": "string",
            "pattern": f"^({'|'.join(item.__struct_fields__)}|{below_it})$",
            "description": f"one of {names}, or a path below {DOTTED} such as {DOTTED}.id",
        }
    return Parameter(
        name="fields",
        schema={"type": "array", "items": field, "minItems": 1, "maxItems": FIELDS_MAX},
        help=f"Return only these fields: {', '.join(f'`{name}`' for name in item.__struct_fields__)}.{below}",
    )


def _sort_parameter(operation: Operation) -> Parameter:
    what = "The fields to sort by, separated by commas" if operation.sorts_max > 1 else "The field to sort by"
    return Parameter(
        name="sort",
        schema={
            "type": "array",
            "items": {"type": "string", "enum": list(operation.sorts)},
            "minItems": 1,
            "maxItems": operation.sorts_max,
            "uniqueItems": True,
            "default": [operation.sorts[0]],
        },
        help=f"{what}; `-` reverses the order. Default: `{operation.sorts[0]}`.",
    )
