"""The tools of a key: each operation that its OpenAPI document has, with one JSON Schema for everything it takes.

So an assistant can do exactly what its key may do: there is no second list of operations or set of checks. Anything
that cannot be a call with one JSON response is left out: streams, files, and lists that are read in slices.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.access import Key
from tidings.model.errors import Invalid, NotFound, Place
from tidings.web.inside import Menu
from tidings.web.openapi.document import OpenApiDocuments, permitted
from tidings.web.operation import Answer, Operation
from tidings.web.parts import Parts
from tidings.web.wire.routes import Routes

BODY = "body"
"""The argument that holds an operation's body."""
CONDITION = "If-Match"
"""The only header that a tool takes as an argument: the revision to change."""
PLACES_MAX = 20
KEPT_MAX = 100
"""The maximum number of keys whose tools are kept, at a few hundred KB each."""

_COMPONENTS = "#/components/schemas/"
_NO_TOOLS = frozenset({"make_stream_ticket", "openapi", "healthz", "readyz", "metrics"})
"""Operations that are useful to programs but not to assistants."""
_NAME = re.compile(r"\{(\w+)\}")

Schema = dict[str, Any]


class ToolList(msgspec.Struct, frozen=True):
    """The tools of one key, as the protocol lists them, and the document that they were made from."""

    document: bytes
    tools: list[dict[str, Any]]


class AssistantTools:
    """Makes and runs tools. Belongs to one event loop."""

    def __init__(self, parts: Parts, table: Sequence[Operation]) -> None:
        self._parts = parts
        self._table = table
        self._menu = Menu(parts, table)
        self._routes = Routes(table)
        self._documents = OpenApiDocuments([operation for operation in table if operation.per_key is None])
        self._kept: dict[str, ToolList] = {}

    async def all(self, key: Key) -> list[dict[str, Any]]:
        """The tools of a key, kept while its document is valid."""
        document = await self._documents.of(self._parts, key)
        kept = self._kept.pop(key.id, None)
        if kept is None or kept.document is not document:
            kept = ToolList(document, await asyncio.to_thread(_made, document, self._operations(key).keys()))
            if len(self._kept) >= KEPT_MAX:
                del self._kept[next(iter(self._kept))]
        self._kept[key.id] = kept
        return kept.tools

    def find(self, key: Key, name: str) -> Operation | None:
        """The operation behind a tool. The document is not needed for it, so a call never waits for one."""
        return self._operations(key).get(name)

    async def call(
        self, key: Key, operation: Operation, arguments: Mapping[str, msgspec.Raw], request_id: str
    ) -> Answer:
        """Run a tool. Raises what its operation raises, and Invalid for wrong arguments."""
        names = frozenset(_NAME.findall(operation.path))
        _check(operation, names, arguments)
        template, path = self._found(key, operation, {each: _text(each, arguments[each]) for each in names})
        values = {each: msgspec.json.decode(arguments[each]) for each in arguments.keys() - names - {BODY, CONDITION}}
        _check_types(operation, values)
        headers = {CONDITION.lower(): _text(CONDITION, arguments[CONDITION])} if CONDITION in arguments else {}
        return await self._menu.run(
            key, template, path=path, query=values, body=arguments.get(BODY), headers=headers, request_id=request_id
        )

    def _operations(self, key: Key) -> dict[str, Operation]:
        mine = [*self._parts.menus.operations(self._parts, key), *permitted(self._table, key)]
        # The API's own come last, so that no collection can take the name of one.
        return {tool_name(operation.name): operation for operation in mine if _is_call(operation)}

    def _found(self, key: Key, operation: Operation, values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """The row of the table that matches the operation's path with these values, and the names that it reads from
        it."""
        path = _NAME.sub(lambda each: values[each[1]], operation.path)
        template, given = self._routes.find(operation.method, path)
        found = template if template.per_key is None else template.per_key(self._parts, key, given)
        if found.name != operation.name:
            # With `x:retry` as an id, a tool that reads would become one that retries.
            raise NotFound("There is nothing with this id.")
        return template.name, given


def tool_name(operation: str) -> str:
    """The tool of an operation: `tasks_create` for `tasks.create`, as models' own interfaces take no dots."""
    return operation.replace(".", "_")


def _is_call(operation: Operation) -> bool:
    """Whether the operation is answered with one JSON value, and takes at most one."""
    is_file = operation.incoming or operation.outgoing or operation.media != "application/json"
    return not (operation.stream or is_file or operation.listing or operation.internal or operation.name in _NO_TOOLS)


def _check(operation: Operation, names: frozenset[str], arguments: Mapping[str, msgspec.Raw]) -> None:
    known = names | operation.known.keys() | ({BODY} if operation.request is not None else frozenset())
    if any(parameter.name == CONDITION for parameter in operation.parameters):
        known |= {CONDITION}
    takes = ", ".join(sorted(known)) or "none"
    wrong = [
        Place(
            pointer=f"/{each}",
            code="unknown_parameter",
            detail=f"There is no argument {each[:100]}; this tool takes {takes}.",
        )
        for each in sorted(arguments.keys() - known)
    ]
    wrong += [
        Place(pointer=f"/{each}", code="missing", detail=f"{each} is required.")
        for each in sorted(names - arguments.keys())
    ]
    if wrong:
        raise Invalid("The arguments are wrong.", errors=wrong[:PLACES_MAX])


def _made(document: bytes, usable: Container[str]) -> list[dict[str, Any]]:
    found = msgspec.json.decode(document)
    schemas = found.get("components", {}).get("schemas", {})
    return [
        _tool(method, described, schemas)
        for methods in found["paths"].values()
        for method, described in methods.items()
        if tool_name(described["operationId"]) in usable
    ]


def _tool(method: str, described: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in described.get("parameters", ()):
        if parameter["in"] == "header" and parameter["name"] != CONDITION:
            continue
        properties[parameter["name"]] = {**parameter["schema"], "description": parameter.get("description", "")}
        if parameter.get("required"):
            required.append(parameter["name"])
    taken = described.get("requestBody")
    if taken is not None:
        properties[BODY] = taken["content"]["application/json"]["schema"]
        if taken.get("required"):
            required.append(BODY)
    schema: Schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if definitions := _definitions(schema, schemas):
        schema["$defs"] = definitions
    return {
        "name": tool_name(described["operationId"]),
        "title": described["summary"],
        "description": described.get("description") or described["summary"],
        "inputSchema": _moved(schema),
        "annotations": {
            "readOnlyHint": method == "get",
            "destructiveHint": method == "delete",
            "idempotentHint": method in ("get", "put", "delete"),
            "openWorldHint": False,
        },
    }


def _definitions(schema: Schema, schemas: dict[str, Any]) -> dict[str, Any]:
    """The components that a schema names, and those that they name."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [schema]
    while waiting:
        for name in _named(waiting.pop()):
            if name not in found and name in schemas:
                found[name] = schemas[name]
                waiting.append(schemas[name])
    return found


def _named(thing: Any) -> Iterable[str]:
    if isinstance(thing, list):
        for each in thing:
            yield from _named(each)
    elif isinstance(thing, dict):
        reference = thing.get("$ref")
        if isinstance(reference, str) and reference.startswith(_COMPONENTS):
            yield reference.removeprefix(_COMPONENTS)
        for each in thing.values():
            yield from _named(each)


def _moved(thing: Any) -> Any:
    """The schema, with references to where the definitions are now."""
    if isinstance(thing, list):
        return [_moved(each) for each in thing]
    if not isinstance(thing, dict):
        return thing
    return {
        name: each.replace(_COMPONENTS, "#/$defs/") if name == "$ref" and isinstance(each, str) else _moved(each)
        for name, each in thing.items()
    }


def _text(name: str, raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw)
    if not isinstance(value, str):
        raise Invalid("The arguments are wrong.", errors=[_no_text(name)])
    return value


def _check_types(operation: Operation, values: Mapping[str, Any]) -> None:
    """Raise Invalid for values that would be turned into text although the schema asks for a string."""
    wrong: list[Place] = []
    for name, value in values.items():
        schema = operation.known[name].schema
        is_text = schema.get("items", schema).get("type") == "string"
        values_of = value if isinstance(value, list) else [value]
        if is_text and not all(isinstance(each, str | None) for each in values_of):
            wrong.append(_no_text(name))
    if wrong:
        raise Invalid("The arguments are wrong.", errors=wrong[:PLACES_MAX])


def _no_text(name: str) -> Place:
    return Place(pointer=f"/{name}", code="type", detail=f"{name} must be a string.")
