"""Schemathesis sends what the document permits and what it does not, and holds every answer against the document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidings.testing import Api, TestServer

SECONDS = 30
PROGRAM = Path(sys.executable).parent / "schemathesis"
SCOPES = ["events:read", "events:write", "endpoints:read", "endpoints:write", "deliveries:read", "deliveries:write"]
LEFT_OUT = {
    "positive_data_acceptance": "a made-up cursor or an older revision has the right form, and is refused",
    "ignored_auth": "it wants 401 for every wrong key, and whoever sends many of them gets 429",
    "use_after_free": "a revoked key stays readable, with the time",
}


def document(api: Api) -> dict[str, Any]:
    """The key's document without what does not fit: an answer without an end, waiting, and answers cut by `fields`."""
    found: dict[str, Any] = api.get("/v1/openapi.json")
    found["paths"].pop("/v1/events/stream", None)
    for methods in found["paths"].values():
        for operation in methods.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [each for each in parameters if each["name"] not in ("fields", "wait")]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_the_server_keeps_to_its_document(server: TestServer, api: Api, tmp_path: Path, who: str) -> None:
    caller = (
        api if who == "operator" else api.with_key(api.post("/v1/keys", {"scopes": SCOPES, "tenant": "acme"})["key"])
    )
    caller.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "retry_delays_seconds": [0]})
    caller.publish("a.b")
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document(caller)))
    command = [PROGRAM, "run", file, "--url", server.url, "--header", f"Authorization: Bearer {caller.key}"]
    command += ["--exclude-checks", ",".join(LEFT_OUT), "--max-examples", "10", "--max-time", str(SECONDS)]
    command += ["--seed", "1", "--no-shrink", "--continue-on-failure", "--no-color", "--warnings", "off"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS * 5)
    assert ran.returncode == 0, ran.stdout[-20_000:]
    assert api.get("/readyz") == {"status": "ok"}
