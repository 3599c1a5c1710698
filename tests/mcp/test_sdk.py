"""The official SDK as a client, over HTTP and through `tidings mcp`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installing import python_programs
from tests.repository import ROOT
from tidings.testing import TestServer

HERE = Path(__file__).parent
CALLS = [
    {
        "name": "publish_event",
        "arguments": {"body": {"type": "tasks.done", "data": {"n": 1}, "id": "from-an-assistant"}},
    },
    {"name": "get_event", "arguments": {"event": "from-an-assistant"}},
    {"name": "get_event", "arguments": {"event": "another"}},
]


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_the_official_sdk_lists_and_calls_the_tools(way: str) -> None:
    python = python_programs(HERE / "requirements.lock", "mcp") / "python"
    command = [sys.executable, "-m", "tidings", "mcp"] if way == "stdio" else []
    with TestServer() as server:
        done = subprocess.run(
            [python, HERE / "sdk.py", way, server.url, server.api.key or "", *command],
            input="".join(f"{json.dumps(each)}\n" for each in CALLS),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        first, published, read, missing = (json.loads(line) for line in done.stdout.splitlines())
        assert first["server"] == "tidings" and "publish_event" in first["tools"]
        assert not published["is_error"] and json.loads(read["text"])["data"] == {"n": 1}
        assert missing["is_error"] and json.loads(missing["text"])["code"] == "not_found"
        assert server.api.get("/v1/events/from-an-assistant")["type"] == "tasks.done"
