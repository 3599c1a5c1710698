"""The official SDK as a client, run by its own interpreter: `sdk.py http URL KEY` or `sdk.py stdio URL KEY COMMAND...`.

It lists the tools, calls those that it reads from stdin as JSON lines, and prints what it got as JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


async def main(kind: str, url: str, key: str, *command: str) -> None:
    async with AsyncExitStack() as stack:
        if kind == "http":
            import httpx2

            http = await stack.enter_async_context(httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}))
            transport: Any = streamable_http_client(f"{url}/mcp", http_client=http)
        else:
            environment = {"TIDINGS_URL": url, "TIDINGS_KEY": key}
            transport = stdio_client(StdioServerParameters(command=command[0], args=list(command[1:]), env=environment))
        client = await stack.enter_async_context(Client(transport))
        tools = await client.list_tools()
        say({"server": client.server_info.name, "tools": {each.name: each.input_schema for each in tools.tools}})
        for line in sys.stdin:
            asked = json.loads(line)
            result = await client.call_tool(asked["name"], asked["arguments"])
            say({"is_error": result.is_error, "text": result.content[0].text})


asyncio.run(main(*sys.argv[1:]))
