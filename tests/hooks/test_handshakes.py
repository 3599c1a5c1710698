"""The questions that senders ask before they trust a URL, through the door."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest

from tests.hooks.world import SECRET, Declared, HookWorld, as_json
from tests.rules.schemes import keys
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest
from tidings.testing import ApiReply


def ask(
    hook: Declared, method: str, query: str = "", headers: dict[str, str] | None = None, body: bytes = b""
) -> ApiReply:
    url = f"{hook.url}?{query}" if query else hook.url
    return hook.send(HookRequest(method, url, headers or {}, body))


def is_quiet(hook: Declared) -> None:
    """A handshake is not an event."""
    assert hook.events() == [] and hook.receipts() == []


def test_meta(world: HookWorld) -> None:
    hook = world.hook("meta", settings={"verify_token": "mine"})
    answer = ask(hook, "GET", "hub.mode=subscribe&hub.verify_token=mine&hub.challenge=1158")
    assert (answer.status, answer.body) == (200, b"1158")
    is_quiet(hook)
    assert ask(hook, "GET", "hub.mode=subscribe&hub.verify_token=other&hub.challenge=1158").status == 403
    assert hook.refused()["reason"] == "handshake"


def test_x_crc(world: HookWorld) -> None:
    hook = world.hook("x", ["Convoy"])
    answer = ask(hook, "GET", "crc_token=uzwcfYtzr9")
    assert answer.json == {"response_token": "sha256=HXvxTdsfShG6k2zC9NVANwFquJBdOugRYHax2vNiiOo="}
    is_quiet(hook)


@pytest.mark.parametrize("token", ['{"forged":1}', "[1]", "true", "uzwcfYtzr9", "12345"])
def test_nobody_can_have_a_body_signed_by_asking(world: HookWorld, token: str) -> None:
    """X's question is answered with the HMAC that its webhooks are signed with."""
    hook = world.hook("x", ["Convoy"])
    answer = ask(hook, "GET", "crc_token=" + token.replace("{", "%7B").replace('"', "%22").replace("}", "%7D"))
    signature = answer.json["response_token"] if answer.status == 200 else ""
    forged = ask(hook, "POST", "", {"x-twitter-webhooks-signature": signature}, token.encode())
    assert forged.status == 401
    assert hook.events() == []


def test_slack(world: HookWorld) -> None:
    hook = world.hook("slack")
    body = as_json({"type": "url_verification", "challenge": "3eZb"})
    answer = hook.send(hook.signed(body))
    assert (answer.status, answer.body) == (200, b"3eZb")
    assert answer.headers["content-type"].startswith("text/plain")
    is_quiet(hook)
    assert hook.send(hook.signed(body, secret="wrong")).status == 401


def test_zoom(world: HookWorld) -> None:
    hook = world.hook("zoom")
    body = as_json({"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8"}})
    answer = hook.send(hook.signed(body))
    mac = hmac.new(SECRET.encode(), b"qgg8", "sha256").hexdigest()
    assert (answer.status, answer.json) == (200, {"plainToken": "qgg8", "encryptedToken": mac})
    is_quiet(hook)
    assert hook.send(hook.signed(body, secret="wrong")).status == 401


def test_discord(world: HookWorld) -> None:
    private, public = keys.pem(keys.ed_key()), keys.public_pem(keys.ed_key())
    hook = world.hook("discord", [public])
    ping = hook.signed(b'{"type":1}', secret=private)
    answer = hook.send(ping)
    assert (answer.status, answer.json) == (200, {"type": 1})
    is_quiet(hook)
    assert hook.send(ping.but(body=b'{"type":1 }')).status == 401, "Discord probes that"


@pytest.mark.parametrize(
    ("scheme", "parameter"), [("dropbox", "challenge"), ("onfleet", "check"), ("nylas", "challenge")]
)
def test_echoes(world: HookWorld, scheme: str, parameter: str) -> None:
    hook = world.hook(scheme, ["ab" * 16])
    answer = ask(hook, "GET", f"{parameter}=%3Cscript%3E")
    assert (answer.status, answer.body) == (200, b"<script>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    is_quiet(hook)


def test_graph(world: HookWorld) -> None:
    hook = world.hook("microsoft-graph")
    answer = ask(hook, "POST", "validationToken=Validation%3a%20a%2Bb")
    assert (answer.status, answer.body) == (200, b"Validation: a+b")
    assert answer.headers["content-type"].startswith("text/plain")
    is_quiet(hook)


def test_okta(world: HookWorld) -> None:
    hook = world.hook("okta")
    answer = ask(hook, "GET", headers={"x-okta-verification-challenge": "abc"})
    assert (answer.status, answer.json) == (200, {"verification": "abc"})
    is_quiet(hook)


def test_xero(world: HookWorld) -> None:
    hook = world.hook("xero")
    intent = as_json({"events": [], "lastEventSequence": 0, "firstEventSequence": 0, "entropy": "e"})
    for secret, status in ((SECRET, 200), ("wrong", 401), (SECRET, 200)):
        answer = hook.send(hook.signed(intent, secret=secret))
        assert (answer.status, answer.body) == (status, b"")
    assert hook.events() == []


@pytest.mark.parametrize("scheme", ["trello", "intercom", "mandrill"])
def test_head(world: HookWorld, scheme: str) -> None:
    hook = world.hook(scheme)
    assert ask(hook, "HEAD").status == 200
    is_quiet(hook)


class Aws:
    """What the certificates and the confirmation are fetched from."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = True

    async def __call__(self, url: str, method: str, body: bytes, seconds: float, bytes_max: int) -> bytes | None:
        self.asked.append(f"{method} {url}")
        return b"<ConfirmSubscriptionResponse/>" if self.answers else None


def sns(hook: Declared, url: str) -> HookRequest:
    sample = json.loads(schemes.sample(hook.scheme).body)
    value = sample | {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": url}
    return hook.signed(as_json(value), {"Content-Type": "text/plain"}, secret=keys.pem(keys.rsa_key()))


@pytest.mark.slow
def test_sns(world: HookWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws()
    monkeypatch.setattr(world.parts.receiver.fetched, "_fetch", aws)
    hook = world.hook("aws-sns", [keys.public_pem(keys.rsa_key())], settings={"topic_arn": "arn:aws:sns:a:1:b"})
    url = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    assert hook.send(sns(hook, url)).status == 200
    assert aws.asked == [f"GET {url}"]
    is_quiet(hook)
    for elsewhere in (
        "https://127.0.0.1/",
        "http://sns.us-west-2.amazonaws.com/",
        "https://sns.us-west-2.amazonaws.com.evil.example/",
    ):
        assert hook.send(sns(hook, elsewhere)).status == 403
    forged = sns(hook, url)
    assert hook.send(forged.but(body=forged.body.replace(b'"t"', b'"u"'))).status == 401
    assert aws.asked == [f"GET {url}"]
    aws.answers = False
    assert hook.send(sns(hook, url)).status == 503, "the sender is to try again"


def test_cloudevents(world: HookWorld) -> None:
    hook = world.hook("cloudevents")
    answer = ask(hook, "OPTIONS", headers={"webhook-request-origin": "emitter.example.com"})
    assert answer.status == 200
    assert (answer.headers["webhook-allowed-origin"], answer.headers["allow"]) == ("emitter.example.com", "POST")
    is_quiet(hook)


HANDED_OVER: dict[str, Any] = {
    "asana": ({"x-hook-secret": "b537207f20cbfa02357cf448134da559"}, b"{}", "x-hook-secret"),
    "notion": ({}, b'{"verification_token":"b537207f20cbfa02357cf448134da559"}', ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", HANDED_OVER)
def test_a_secret_that_is_handed_over_is_kept_sealed_and_verifies_what_follows(world: HookWorld, scheme: str) -> None:
    headers, body, echoed = HANDED_OVER[scheme]
    secret = "b537207f20cbfa02357cf448134da559"
    hook = world.hook(scheme, [])
    assert hook.send(hook.signed(b'{"n":0}', secret=secret)).status == 401
    answer = ask(hook, "POST", headers=headers, body=body)
    assert answer.status == 200 and (not echoed or answer.headers[echoed] == secret)
    view = world.api.get(f"/v1/hooks/{hook.id}")
    assert (view["secret_count"], view["revision"]) == (1, 2)
    sealed = world.rows("SELECT sealed FROM hook")
    assert not any(secret.encode() in bytes(row[0]) for row in sealed)
    assert hook.send(hook.signed(b'{"n":1}', secret=secret)).status == 200
    # Anybody can ask so again; the secret that is there stays.
    again = ask(hook, "POST", headers=headers, body=body)
    assert again.status == 200
    stolen = dict.fromkeys(headers, "another")
    assert ask(hook, "POST", headers=stolen, body=body.replace(secret.encode(), b"another")).status == 403
    assert hook.send(hook.signed(b'{"n":2}', secret=secret)).status == 200
    assert [event["data"] for event in hook.events()] == [{"n": 1}, {"n": 2}]


def test_twitch(world: HookWorld) -> None:
    hook = world.hook("twitch")
    headers = {"Twitch-Eventsub-Message-Type": "webhook_callback_verification"}
    answer = hook.send(hook.signed(b'{"challenge":"pogchamp"}', headers))
    assert (answer.status, answer.body) == (200, b"pogchamp")
    is_quiet(hook)
    assert hook.send(hook.signed(b'{"challenge":"pogchamp"}', headers, secret="wrong")).status == 401


def test_websub_and_event_grid(world: HookWorld) -> None:
    hook = world.hook("websub", settings={"topic": "https://a.example/feed"})
    query = "hub.mode=subscribe&hub.topic=https%3A%2F%2Fa.example%2Ffeed&hub.challenge=c"
    assert ask(hook, "GET", query).body == b"c"
    assert ask(hook, "GET", query.replace("feed", "other")).status == 403
    grid = world.hook("azure-event-grid")
    body = as_json([{"id": "1", "eventType": "x", "data": {"validationCode": "512d"}}])
    answer = ask(grid, "POST", f"secret={SECRET}", {"aeg-event-type": "SubscriptionValidation"}, body)
    assert answer.json == {"validationResponse": "512d"}
    assert ask(grid, "POST", "secret=wrong", {"aeg-event-type": "SubscriptionValidation"}, body).status == 401


def test_dropbox_sign_is_answered_its_text(world: HookWorld) -> None:
    hook = world.hook("dropbox-sign")
    request = schemes.sign(hook.scheme, SECRET, schemes.sample(hook.scheme, hook.url), 0)
    assert hook.send(request).body == b"Hello API Event Received"


def test_a_handshake_of_ones_own(world: HookWorld) -> None:
    own = {
        "check": {"kind": "token", "from": "header:X-Token"},
        "handshakes": [
            {
                "name": "mine",
                "when": {"method": ["GET"], "present": ["query:nonce"]},
                "reply": {"json": {"nonce": "{query:nonce}", "mac": "{hmac-sha256:base64:query:nonce}"}},
            }
        ],
    }
    hook = world.hook(own)
    mac = base64.b64encode(hmac.digest(SECRET.encode(), b"abc", "sha256")).decode()
    assert ask(hook, "GET", "nonce=abc").json == {"nonce": "abc", "mac": mac}
