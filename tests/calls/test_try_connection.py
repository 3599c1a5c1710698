"""`tidings connections test`: what a connection reaches, and whether it is accepted, without side effects."""

from __future__ import annotations

from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.calls.oauth import Service
from tests.calls.world import Calls
from tidings.testing import Receiver
from tidings.testing.ports import free_port

pytestmark = pytest.mark.sqlite_only


def declared(calls: Calls, base: str, **more: Any) -> None:
    calls.api.put("/v1/connections/peer", {"base": base, "private": True, **more})


def tried(calls: Calls, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = calls.api.post("/v1/connections/peer:test", body)
    assert "s3cret" not in str(found)
    return found


@pytest.mark.slow
def test_a_get_with_credentials_says_whether_they_are_accepted(calls: Calls, peer: Receiver) -> None:
    peer.answer_by(lambda got: 200 if got.headers.get("authorization") == "Bearer s3cret-1" else 401)
    declared(calls, peer.url(""), auth={"bearer": "s3cret-1"})
    found = tried(calls, path="/me?a=%20")
    assert (found["reached"], found["accepted"], found["status"], found["outcome"]) == (True, True, 200, "ok")
    assert found["says"].startswith("The server answered 200 within ")
    assert [(got.method, got.path) for got in peer.requests()] == [("GET", "/me?a=%20")]
    declared(calls, peer.url(""), auth={"bearer": "s3cret-2"})
    found = tried(calls, path="/me")
    assert (found["reached"], found["accepted"], found["status"]) == (True, False, 401)
    assert "did not accept the credentials" in found["says"]


def test_without_a_path_the_base_gets_a_head(calls: Calls, peer: Receiver) -> None:
    peer.answer_by(lambda got: 404)
    declared(calls, peer.url("/api"), auth={"bearer": "s3cret"})
    found = tried(calls)
    assert (found["reached"], found["accepted"], found["status"]) == (True, None, 404)
    assert "give a path that requires them" in found["says"]
    assert [(got.method, got.path) for got in peer.requests()] == [("HEAD", "/api")]


@pytest.mark.slow
def test_a_token_is_fetched_once_and_used(calls: Calls, peer: Receiver) -> None:
    service = Service(peer)
    oauth = {"oauth2": "client_credentials", "token": "/token", "id": "i", "secret": "s3cret"}
    declared(calls, peer.url(""), auth=oauth)
    assert [tried(calls, path="/api/me")["accepted"] for _ in range(2)] == [True, True]
    assert service.made == 1, "the token is stored, as for a call"
    service.expire()
    assert tried(calls, path="/api/me")["accepted"] is True
    assert service.made == 2
    declared(calls, peer.url(""), auth={**oauth, "id": "other"})
    service.wrong = 400  # type: ignore[assignment]
    found = tried(calls, path="/api/me")
    assert (found["accepted"], found["outcome"], found["status"]) == (False, "auth_failed", None)


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://nosuch.invalid"])
def test_what_is_not_reached_is_said(calls: Calls, base: str) -> None:
    declared(calls, base)
    found = tried(calls)
    assert (found["reached"], found["accepted"], found["status"]) == (False, None, None)
    assert found["says"]


@pytest.mark.slow
def test_a_mail_server_is_greeted_and_gets_no_mail(calls: Calls) -> None:
    seen: list[str] = []

    class Handler:
        async def handle_NOOP(self, server: SMTP, session: Session, envelope: Envelope, arg: str) -> str:
            seen.append("NOOP")
            return "250 OK"

        async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, *given: Any) -> str:
            seen.append("MAIL")
            return "250 OK"

    port = free_port()
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        mail = {"smtp": f"smtp://127.0.0.1:{port}", "from": "a@acme.example", "private": True}
        calls.api.put("/v1/connections/peer", mail)
        found = tried(calls)
        assert (found["reached"], found["accepted"], seen) == (True, True, ["NOOP"])
        calls.api.put("/v1/connections/peer", {**mail, "auth": {"basic": ["u", "s3cret"]}})
        found = tried(calls)
        assert not found["reached"] and "does not offer TLS, so the password was not sent" in found["says"]
        assert calls.api.call("POST", "/v1/connections/peer:test", {"path": "/x"}).status == 422
    finally:
        controller.stop()


@pytest.mark.parametrize(
    "path", ["me", "//x y", "/a b", "/\r\nX: y", "/%zz", "http://x/", "/" + "a" * 3000, "/{{ 1 }}"]
)
@pytest.mark.few(2)
def test_a_path_that_is_not_one_is_refused(calls: Calls, path: str) -> None:
    declared(calls, "http://127.0.0.1:1")
    assert calls.api.call("POST", "/v1/connections/peer:test", {"path": path}).status == 422


@pytest.mark.slow
def test_only_keys_of_the_whole_server_test_connections(calls: Calls) -> None:
    declared(calls, "http://127.0.0.1:1")
    assert calls.api.call("POST", "/v1/connections/nosuch:test").status == 404
    for scopes, tenant in ((["links:write", "links:read"], "acme"), (["links:read"], None)):
        key = calls.api.post("/v1/keys", {"name": "k", "scopes": scopes, **({"tenant": tenant} if tenant else {})})
        assert calls.api.with_key(key["key"]).call("POST", "/v1/connections/peer:test").status == 403
