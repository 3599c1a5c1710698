"""The Model Context Protocol over HTTP ("Streamable HTTP"), as far as tools need it: one JSON-RPC message per request.

Source: https://modelcontextprotocol.io/specification/2025-06-18. There are no sessions and no stream from the server,
which the protocol leaves open: each message gets its own response, and a GET gets 405.

The key in the Authorization header protects against pages of other origins, since no browser sends it on its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from tidings import __version__
from tidings.model.errors import Elsewhere, Malformed, TidingsError, Unauthorized
from tidings.web.mcp.tools import AssistantTools
from tidings.web.operation import Answer, BodySchema, Operation, Request
from tidings.web.parts import Parts
from tidings.web.wire import problem

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The versions that we support, newest first."""
PAGE = 100
"""The maximum number of tools that one response lists."""
NOT_JSON, WRONG_REQUEST, NO_METHOD, WRONG_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
"""The error codes of JSON-RPC 2.0, section 5.1."""

log = logging.getLogger("tidings.web")

MESSAGE = BodySchema(
    "McpMessage",
    {
        "type": "object",
        "description": "A JSON-RPC 2.0 message of the Model Context Protocol.",
    },
)


class _Message(msgspec.Struct):
    jsonrpc: Literal["2.0"]
    method: str | None = None
    id: str | int | msgspec.UnsetType | None = msgspec.UNSET
    params: dict[str, msgspec.Raw] = {}


class _Wrong(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class _NotMessage(Malformed):
    """The body is JSON, but not a message of this protocol."""


class McpHandler:
    """The handler of `POST /mcp`, for a table of operations."""

    def __init__(self, table: Sequence[Operation]) -> None:
        self._table = table
        self._tools: AssistantTools | None = None
        self._parts: Parts | None = None

    async def __call__(self, parts: Parts, request: Request) -> Answer:
        """Answer one message; a notification gets 202."""
        if not request.key.id:
            raise Unauthorized("An assistant needs a key: Authorization: Bearer tdk_...")
        if self._tools is None or self._parts is not parts:
            self._tools, self._parts = AssistantTools(parts, self._table), parts
        try:
            message = msgspec.json.decode(request.raw, type=_Message)
        except msgspec.ValidationError as wrong:
            raise _NotMessage(f"This is not a JSON-RPC message: {wrong}. Batches are not supported.") from None
        version = request.headers.get("mcp-protocol-version")
        if version is not None and version not in VERSIONS:
            raise _NotMessage(f"MCP-Protocol-Version {version[:40]!r} is unknown here. Known: {', '.join(VERSIONS)}.")
        if message.id is msgspec.UNSET or message.method is None:
            return Answer(202)
        said: dict[str, Any] = {"jsonrpc": "2.0", "id": message.id}
        try:
            said["result"] = await self._result(self._tools, message.method, message.params, request)
        except _Wrong as wrong:
            said["error"] = {"code": wrong.code, "message": wrong.message}
        return Answer(200, said)

    async def _result(
        self, tools: AssistantTools, method: str, params: dict[str, msgspec.Raw], request: Request
    ) -> Any:
        if method == "initialize":
            asked = _read(params, "protocolVersion", str, "")
            return _initialized(asked, request)
        if method == "ping":
            return {}
        if method == "tools/list":
            return await _listed(tools, _read(params, "cursor", str, ""), request)
        if method == "tools/call":
            name = _read(params, "name", str, "")
            arguments = _read(params, "arguments", dict[str, msgspec.Raw], {})
            if self._is_elsewhere(tools, name, request):
                raise Elsewhere("Only the sending node can run this tool.")
            return await _called(tools, name, arguments, request)
        raise _Wrong(NO_METHOD, f"There is no method {method[:100]}; this server offers only tools.")

    def _is_elsewhere(self, tools: AssistantTools, name: str, request: Request) -> bool:
        if self._parts is None or self._parts.forwarding is None:
            return False
        operation = tools.find(request.key, name)
        return operation is not None and operation.at_sender


def _initialized(asked: str, request: Request) -> dict[str, Any]:
    key = request.key
    whose = f"of the tenant {key.tenant}" if key.tenant else "of the operator"
    return {
        "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "tidings", "title": "Tidings", "version": __version__},
        "instructions": (
            f"These tools call a Tidings server with the key {key.name!r} {whose}, and can do what this key may do. "
            "Lists come in pages: pass `next_cursor` as `cursor` to get the next page. Errors point to each invalid "
            "value."
        ),
    }


async def _listed(tools: AssistantTools, cursor: str, request: Request) -> dict[str, Any]:
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise _Wrong(WRONG_PARAMS, "The cursor is not from this server.")
    start, all_ = int(cursor or 0), await tools.all(request.key)
    page: dict[str, Any] = {"tools": all_[start : start + PAGE]}
    if start + PAGE < len(all_):
        page["nextCursor"] = str(start + PAGE)
    return page


async def _called(
    tools: AssistantTools, name: str, arguments: dict[str, msgspec.Raw], request: Request
) -> dict[str, Any]:
    operation = tools.find(request.key, name)
    if operation is None:
        raise _Wrong(WRONG_PARAMS, f"This key has no tool {name[:100]!r}.")
    try:
        answer = await tools.call(request.key, operation, arguments, request.request_id)
    except Elsewhere:
        raise
    except TidingsError as wrong:
        # The assistant reads it and can try again, so it is a result, not a protocol error.
        return _content(msgspec.json.encode(problem.problem(wrong, request.request_id)), is_error=True)
    except Exception:
        log.exception("%s the tool %s failed", request.request_id, name, extra={"request_id": request.request_id})
        said = (
            f"An internal error occurred. The server's log has the details under the request id {request.request_id}."
        )
        raise _Wrong(INTERNAL, said) from None
    body = answer.body
    return _content(b"Done." if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body))


def _content(text: bytes, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text.decode()}], "isError": is_error}


def _read(params: dict[str, msgspec.Raw], name: str, kind: Any, default: Any) -> Any:
    if name not in params:
        return default
    try:
        return msgspec.json.decode(params[name], type=kind)
    except msgspec.ValidationError as wrong:
        raise _Wrong(WRONG_PARAMS, f"{name}: {wrong}") from None


def refusal(wrong: TidingsError, request_id: str) -> dict[str, Any]:
    """The body if no message was read, or its caller may not send any: an error without the id of a message.

    The status of the response is the error's own, as the protocol wants; `data` is the problem that the API returns.
    """
    code = WRONG_REQUEST
    if wrong.status >= 500:
        code = INTERNAL
    elif isinstance(wrong, Malformed) and not isinstance(wrong, _NotMessage):
        code = NOT_JSON
    error = {"code": code, "message": wrong.detail, "data": problem.problem(wrong, request_id)}
    return {"jsonrpc": "2.0", "id": None, "error": error}


def operation(table: Sequence[Operation]) -> Operation:
    """The row of the menu; `table` is what tools are made from."""
    return Operation(
        name="mcp",
        method="POST",
        path="/mcp",
        scope=None,
        summary="Use the API as tools of an assistant (Model Context Protocol)",
        handler=McpHandler(table),
        tag="Service",
        request=MESSAGE,
        response=dict,
        internal=True,
        refusal=refusal,
    )
