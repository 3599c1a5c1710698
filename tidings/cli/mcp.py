"""`tidings mcp`: a server's tools for assistants that start a program and talk to it (Model Context Protocol)."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from tidings.cli.profiles import completed
from tidings.cli.session import Key, Url, fail
from tidings.client import Client, ClientError
from tidings.client.exchange import ClientReply, ClientRequest

CALL_SECONDS = 60.0
LINE_BYTES_MAX = 16 << 20
NOT_JSON, NO_MESSAGE = -32700, -32600
FAILED = -32000
"""The JSON-RPC error code for a call to which the server gave no valid response."""


def mcp(
    url: Url = None,
    key: Key = "",
    timeout: Annotated[float, typer.Option(help="The maximum duration of a call, in seconds.")] = CALL_SECONDS,
) -> None:
    """Let an assistant do what a key permits, through MCP tools. Assistants start this command themselves.

    The command reads messages from stdin, sends them to the server's /mcp, and writes the responses to stdout.
    """
    try:
        url, key = completed(url, key)
    except ValueError as wrong:
        fail(str(wrong))
    if not key:
        fail("an assistant needs its own key: pass one with --key or TIDINGS_KEY. See: tidings keys create --help")
    try:
        made = Client(url, key, timeout_seconds=timeout, retries=0)
    except ValueError as wrong:
        fail(str(wrong))
    with made as client:
        while line := sys.stdin.buffer.readline(LINE_BYTES_MAX + 1):
            if len(line) > LINE_BYTES_MAX:
                fail(f"a message on stdin is longer than {LINE_BYTES_MAX >> 20} MiB; a message is one line of JSON")
            if answer := _answer(client, line.strip()):
                sys.stdout.write(f"{answer}\n")
                sys.stdout.flush()


def _answer(client: Client, line: bytes) -> str | None:
    """The response to one message; None if there is none, as for notifications."""
    if not line:
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return _refused(NOT_JSON, "This line is not JSON.")
    if not isinstance(message, dict):
        return _refused(NO_MESSAGE, "A message must be a single JSON object; batches are not supported.")
    ident = message.get("id")
    try:
        reply = client.exchange(ClientRequest("POST", "/mcp", body=line))
        if (error := _error_of(reply)) is None:
            reply.value()
            return reply.body.decode() or None
    except ClientError as wrong:
        error = {"code": FAILED, "message": str(wrong)}
    return None if ident is None else json.dumps({"jsonrpc": "2.0", "id": ident, "error": error})


def _error_of(reply: ClientReply) -> Any:
    """The JSON-RPC error with which the server refused a message, whose id the server may not have read."""
    if reply.status < 400:
        return None
    try:
        said = json.loads(reply.body)
    except ValueError:
        return None
    return said.get("error") if isinstance(said, dict) else None


def _refused(code: int, detail: str) -> str:
    """The response to a line that is not a message, and so has no id."""
    return json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": detail}})
