"""Schemathesis sends what a document permits and what it does not, and holds every answer against the document."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.openapi.conftest import CALLERS
from tidings.testing import Api, TestServer

SECONDS_MAX = 300
PROGRAM = Path(sys.executable).parent / "schemathesis"
SETTINGS = """
seed = 1
continue-on-failure = true
request-timeout = 20
[warnings]
display = []
[generation]
max-examples = 10
no-shrink = true
allow-x00 = false
database = "none"
# A stream has no end, so what came by then is looked at.
[[operations]]
include-operation-id = "stream_events"
request-timeout = 0.3
"""


def readable(told: str) -> str:
    """The failures and the summary; texts that were made as long as they may be are cut."""
    return "\n".join(line if len(line) < 400 else f"{line[:400]}..." for line in told.splitlines())[-20_000:]


@pytest.mark.slow
@pytest.mark.parametrize("who", CALLERS)
def test_the_server_keeps_to_its_document(
    server: TestServer, callers: dict[str, Api], tmp_path: Path, who: str
) -> None:
    caller = callers[who]
    document = caller.get("/v1/openapi.json")
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "settings.toml").write_text(SETTINGS)
    command = [PROGRAM, "--config-file", "settings.toml", "run", "openapi.json", "--url", server.url]
    command += ["--checks", "all", "--no-color"]
    if caller.key is not None:
        command += ["--header", f"Authorization: Bearer {caller.key}"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.openapi.hooks", "PYTHONPATH": os.getcwd(), "CALLER": who}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert ran.returncode == 0, readable(ran.stdout) + ran.stderr[-2_000:]
    phases = ("Examples", "Coverage", "Fuzzing", "Stateful") if caller.key else ("Coverage", "Fuzzing")
    for phase in phases:
        assert re.search(f"✅ *{phase}", ran.stdout), readable(ran.stdout)
    tested = re.search(r"Tested: (\d+)", ran.stdout)
    assert tested and int(tested[1]) == sum(len(methods) for methods in document["paths"].values())
    print(readable(ran.stdout))
    assert server.api.get("/readyz") == {"status": "ok"}
