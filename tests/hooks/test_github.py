"""GitHub's own example payloads go in, signed as GitHub signs, and come out as webhooks, byte for byte."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.examples import are_all
from tests.hooks.world import HookWorld
from tests.npm import installed
from tidings.testing import Receiver

HERE = Path(__file__).parent / "github"
ARRIVAL_SECONDS = 60.0


@pytest.fixture(scope="session")
def examples() -> list[dict[str, Any]]:
    """What `@octokit/webhooks-examples` holds, as the lock has it: for each event its name and some payloads."""
    package = installed(HERE, "github-payloads") / "@octokit" / "webhooks-examples"
    found: list[dict[str, Any]] = json.loads((package / "api.github.com" / "index.json").read_text())
    return found


@pytest.mark.slow
def test_all_real_payloads_go_in_and_come_out(
    world: HookWorld, module_database: str | None, examples: list[dict[str, Any]]
) -> None:
    hook = world.hook("github", subject="json:repository.full_name")
    payloads = [
        (event["name"], json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())
        for event in examples
        for payload in event["examples"]
    ]
    assert len(payloads) > 200
    # PostgreSQL stores the same texts: every fourth shows that. In `make test`, every second is enough on SQLite.
    every = 1 if are_all() else 2
    payloads = payloads[:: every if module_database is None else 4]
    with Receiver() as receiver:
        world.api.register(receiver.url(), events=[f"{hook.path}.*"])
        for number, (name, body) in enumerate(payloads):
            headers = {
                "X-GitHub-Event": name,
                "X-GitHub-Delivery": f"d-{number}",
                "User-Agent": "GitHub-Hookshot/044aadd",
            }
            for _ in range(2):
                assert hook.send(hook.signed(body, headers)).status == 200
        events = hook.events()
        assert [event["type"] for event in events] == [f"{hook.path}.{name}" for name, _ in payloads]
        assert [event["data"] for event in events] == [json.loads(body) for _, body in payloads]
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while len({got.id for got in receiver.requests()}) < len(payloads):
            assert time.monotonic() < deadline, f"{len(receiver.requests())} of {len(payloads)} webhooks arrived"
            time.sleep(0.05)
        sent = {got.id: got.body for got in receiver.requests()}
    for event, (_, body) in zip(events, payloads, strict=True):
        assert b'"data":' + body + b"}" in sent[event["id"]] or b'"data":' + body + b"," in sent[event["id"]]
    receipts = {row["event_id"]: row["id"] for row in hook.receipts()}
    for event, (_, body) in zip(events, payloads, strict=True):
        assert world.api.call("GET", f"/v1/receipts/{receipts[event['id']]}/body").body == body
