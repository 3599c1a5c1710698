"""Requests that senders publish, through the door: what their own libraries accept is an event, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hooks.world import PUBLIC, HookWorld, send
from tests.rules.schemes.test_vectors import SNS_CERTIFICATE_VALID_AT, VECTORS
from tidings.control.hooks.body import TOLERANCE_SECONDS_MAX
from tidings.model.moment import SECOND
from tidings.rules.schemes import HookRequest


@pytest.mark.parametrize("index", range(len(VECTORS)), ids=[f"{one['scheme']}: {one['name']}" for one in VECTORS])
@pytest.mark.few(20)
@pytest.mark.sqlite_only
def test_published_requests_are_let_in_as_their_senders_would(
    world: HookWorld, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = VECTORS[index]
    given = vector["secret"]
    secrets = [
        each
        for each in (given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given])
        if each
    ]
    body, now = (vector["body"] or "").encode(), (vector["now"] or 0) + vector.get("later", 0)
    if vector["provider"] == "aws-sns":
        certificate, secrets, now = secrets[0], [], SNS_CERTIFICATE_VALID_AT

        async def fetch(*asked: Any) -> bytes | None:
            return bytes(certificate, "ascii")

        monkeypatch.setattr(world.parts.receiver.fetched, "_fetch", fetch)
        vector = {**vector, "settings": {"topic_arn": json.loads(body)["TopicArn"]}}
    if now:
        world.clock.set_by(now - world.clock.now() / SECOND)
    more = {"tolerance_seconds": min(vector["tolerance"], TOLERANCE_SECONDS_MAX)} if vector.get("tolerance") else {}
    hook = world.hook(
        vector["scheme"],
        secrets,
        methods=[vector["method"]],
        repeats="accept",
        settings=vector.get("settings", {}),
        **more,
    )
    receiver = world.parts.receiver
    monkeypatch.setattr(receiver, "hook_at", lambda path: world.parts.catalog.now.hooks[hook.id])
    if url := vector["url"]:
        # Where the URL is signed it is the sender's, as if that were ours.
        monkeypatch.setattr(
            "tidings.web.hooks.door.HookRequest",
            lambda method, ours, headers, raw=b"": HookRequest(method, url, headers, raw),
        )
    headers = {name: value for name, value in vector["headers"].items() if value.isascii()}
    answer = send(world.server.url, HookRequest(vector["method"], f"{PUBLIC}/in/{hook.path}", headers, body))
    assert (answer.status < 300) == vector["valid"], (answer, hook.receipts())
    assert len(hook.events()) == vector["valid"]
