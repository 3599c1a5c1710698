"""Signatures: Standard Webhooks, judged by the official packages; rotation with an overlap; ed25519."""

from __future__ import annotations

import base64
import json

import pytest

from tests.delivery.oracle import signatures, signed_by, signed_with_key
from tests.delivery.world import World
from tidings.rules.schemes import standard as sign

pytestmark = pytest.mark.sqlite_only

OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret of 24 bytes and more").decode()


@pytest.mark.slow
def test_a_webhook_is_signed_as_the_official_packages_expect(world: World) -> None:
    endpoint = world.register()
    event = world.api.publish("tasks.completed", {"title": "Grüße, 世界"}, subject="t_1")
    [webhook] = world.receiver.wait_for(1)
    assert signed_by(webhook, world.secret(endpoint))
    assert not signed_by(webhook, OTHER_SECRET)
    assert webhook.id == event
    assert webhook.headers["content-type"] == "application/json"
    assert webhook.headers["user-agent"].startswith("Tidings/")
    assert webhook.json["type"] == "tasks.completed"
    assert webhook.json["data"] == {"title": "Grüße, 世界"}
    assert (webhook.json["subject"], webhook.json["id"]) == ("t_1", event)


def test_data_is_delivered_as_the_text_that_was_sent(world: World) -> None:
    world.register()
    data = '{ "b": 1.10, "a": 9007199254740993, "s": "\\u00e9", "b2":[ ] }'
    world.api.call("POST", "/v1/events", f'{{"type":"numbers","data":{data}}}'.encode())
    [webhook] = world.receiver.wait_for(1)
    assert data.encode() in webhook.body


@pytest.mark.slow
def test_both_secrets_sign_until_the_overlap_is_over(world: World) -> None:
    endpoint = world.register()
    old = world.secret(endpoint)
    new = world.api.post(f"/v1/endpoints/{endpoint}/secret", {"overlap_seconds": 3600})["secret"]
    assert new != old
    world.api.publish("first")
    [during] = world.receiver.wait_for(1)
    assert signed_by(during, old) and signed_by(during, new)
    world.clock.advance(3601)
    world.api.publish("second")
    after = world.receiver.wait_for(2)[1]
    assert signed_by(after, new) and not signed_by(after, old)


@pytest.mark.slow
def test_without_an_overlap_only_the_new_secret_signs(world: World) -> None:
    endpoint = world.register()
    old = world.secret(endpoint)
    new = world.api.post(f"/v1/endpoints/{endpoint}/secret", {"overlap_seconds": 0})["secret"]
    world.api.publish("first")
    [webhook] = world.receiver.wait_for(1)
    assert signed_by(webhook, new) and not signed_by(webhook, old)


def test_an_endpoint_with_an_ed25519_key_gets_v1a(world: World) -> None:
    endpoint = world.register(secret=sign.new_signing_key(bytes(range(32))))
    public = world.api.get(f"/v1/endpoints/{endpoint}/secret")["public_key"]
    world.api.publish("first")
    [webhook] = world.receiver.wait_for(1)
    assert [each.partition(",")[0] for each in signatures(webhook)] == ["v1a"]
    assert signed_with_key(webhook, public)


@pytest.mark.slow
def test_a_batch_is_signed_as_a_whole(world: World) -> None:
    endpoint = world.register(batch={"max_events": 3, "max_ms": 60_000})
    world.api.post("/v1/events:batch", {"events": [{"type": "a", "data": {"n": n}} for n in range(3)]})
    [webhook] = world.receiver.wait_for(1)
    assert signed_by(webhook, world.secret(endpoint))
    assert [each["data"]["n"] for each in json.loads(webhook.body)["data"]] == [0, 1, 2]
