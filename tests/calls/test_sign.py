"""`sign`: a call whose receiver can verify that it is from us, by Standard Webhooks or a sender's scheme."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calls.world import Calls
from tidings import client
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest
from tidings.testing import Received

CALL = {"post": "", "json": {"email": "{{ data.email }}"}}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def link(calls: Calls, sign: Any, **parts: Any) -> dict[str, Any]:
    call = {**CALL, "post": calls.peer.url("/leads"), "sign": sign}
    return calls.link("lead", "form.sent", call, **parts)


def sent(calls: Calls, count: int = 1) -> Received:
    calls.ended(calls.api.publish("form.sent", {"email": "a@example.com"}), "lead")
    return calls.peer.requests()[-1]


def genuine(calls: Calls, received: Received, scheme: str, secret: str) -> schemes.Verdict:
    url = calls.peer.url(received.path)
    request = HookRequest(received.method, url, dict(received.headers), received.body)
    now = calls.clock.now() / 1_000_000
    return schemes.Verifier(schemes.named(scheme), [secret]).verify(request, now)


@pytest.mark.slow
def test_standard_webhooks_needs_no_secret_in_the_declaration(calls: Calls) -> None:
    assert link(calls, "standard-webhooks")["call"]["sign"] == "standard-webhooks"
    secret = calls.api.get("/v1/links/lead/secret")["secret"]
    got = sent(calls)
    assert genuine(calls, got, "standard-webhooks", secret).ok
    assert client.verify(got.headers, got.body, secret, now=calls.clock.now() / 1_000_000)
    again = link(calls, "standard-webhooks", description="the same")
    assert again["revision"] == 2
    calls.server.restart()
    assert calls.api.get("/v1/links/lead/secret")["secret"] == secret
    calls.api.delete("/v1/links/lead")
    link(calls, "standard-webhooks")
    assert calls.api.get("/v1/links/lead/secret")["secret"] != secret


@pytest.mark.slow
def test_a_retry_has_the_same_id_and_its_own_time(calls: Calls) -> None:
    link(calls, {"scheme": "standard-webhooks", "secret": SECRET}, retry_delays_seconds=[0, 30])
    calls.peer.answer(500, 204)
    event = calls.api.publish("form.sent", {"email": "a@example.com"})
    calls.delivery(event, "lead")
    calls.clock.advance(31)
    calls.ended(event, "lead")
    first, second = calls.peer.requests()
    assert first.id == second.id and second.timestamp - first.timestamp >= 30
    assert genuine(calls, second, "standard-webhooks", SECRET).ok


@pytest.mark.parametrize(
    ("scheme", "secret"),
    [("github", "s3cret-s3cret"), ("stripe", "whsec_abcdefghij"), ("slack", "8f742231b10e8888abcd99yyyzzz85a5")],
)
@pytest.mark.few(1)
def test_other_senders_schemes_sign_too(calls: Calls, scheme: str, secret: str) -> None:
    shown = link(calls, {"scheme": scheme, "secret": secret})["call"]["sign"]
    assert shown == {"scheme": scheme, "secret": "***"}
    assert genuine(calls, sent(calls), scheme, secret).ok
    assert not genuine(calls, sent(calls), scheme, secret + "x").ok
    assert calls.api.call("GET", "/v1/links/lead/secret").status == 404


@pytest.mark.slow
def test_a_stored_secret_stays_with_its_host_and_scheme(calls: Calls) -> None:
    link(calls, {"scheme": "github", "secret": "s3cret-s3cret"})
    body = calls.api.get("/v1/links/lead")
    kept = {"scheme": "github", "secret": "***"}
    assert link(calls, kept, description="new")["call"]["sign"] == kept
    assert genuine(calls, sent(calls), "github", "s3cret-s3cret").ok
    for call in (
        {**body["call"], "post": "https://elsewhere.example.com/leads"},
        {**body["call"], "sign": {"scheme": "stripe", "secret": "***"}},
    ):
        reply = calls.api.call("PUT", "/v1/links/lead", {"when": {"event": "form.sent"}, "call": call})
        assert reply.status == 422 and "none is stored" in reply.json["errors"][0]["detail"], reply.json
    plan = calls.api.post("/v1/links:plan", {"links": {"lead": {"when": body["when"], "call": body["call"]}}})
    assert plan["steps"][0]["do"] == "change_link"
    same = {"when": body["when"], "call": body["call"], "description": "new"}
    assert calls.api.post("/v1/links:plan", {"links": {"lead": same}})["steps"] == []


@pytest.mark.slow
def test_secrets_are_sealed_and_shown_nowhere(calls: Calls) -> None:
    link(calls, {"scheme": "gitlab-token", "secret": "a-token-that-is-secret"})
    got = sent(calls)
    assert got.headers["x-gitlab-token"] == "a-token-that-is-secret"
    (delivery,) = calls.api.pages("/v1/deliveries", link="lead")
    (attempt,) = calls.api.get(f"/v1/deliveries/{delivery['id']}")["attempts"]
    assert attempt["request_headers"]["x-gitlab-token"] == "***"
    tried = calls.api.post("/v1/links/lead:test", {"event": {"type": "form.sent", "data": {"email": "x"}}})
    assert tried["call"]["headers"]["x-gitlab-token"] == "***"
    assert "a-token-that-is-secret" not in str(calls.api.pages("/v1/links"))
    for file in calls.server.folder.rglob("*.db*"):
        assert b"a-token-that-is-secret" not in file.read_bytes()


@pytest.mark.slow
def test_links_test_shows_the_signature(calls: Calls) -> None:
    link(calls, "standard-webhooks")
    tried = calls.api.post("/v1/links/lead:test", {"event": {"type": "form.sent", "data": {"email": "x"}}})
    assert tried["call"]["headers"]["webhook-signature"].startswith("v1,")


@pytest.mark.parametrize(
    ("sign", "place", "said"),
    [
        ("nothing-like-it", "/call/sign", "no signature scheme named"),
        ("github", "/call/sign/secret", "needs `secret`"),
        ({"scheme": "standard-webhooks", "secret": "short"}, "/call/sign/secret", "not base64"),
        ({"scheme": "github", "secrets": []}, "/call/sign/secrets", "1 to 4"),
        ({"secret": "x"}, "/call/sign/scheme", "`sign` needs `scheme`"),
        ({"scheme": "github", "secret": "x", "key": 1}, "/call/sign/key", "unknown"),
        ({"scheme": "github", "secret": "***"}, "/call/sign", "none is stored"),
    ],
)
@pytest.mark.few(2)
def test_a_sign_that_cannot_be_is_refused(calls: Calls, sign: Any, place: str, said: str) -> None:
    call = {**CALL, "post": calls.peer.url("/leads"), "sign": sign}
    reply = calls.api.call("PUT", "/v1/links/lead", {"when": {"event": "a"}, "call": call})
    assert reply.status == 422, reply.json
    found = {each["pointer"]: each["detail"] for each in reply.json["errors"]}
    assert said in found.get(place, ""), found
