"""The adapters, each in its own framework: only what is genuine gets to a view, byte for byte.

A framework is imported where it is used: each process that runs tests loads this file, and one of them runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.django_project import configured
from tests.rules.schemes import keys
from tidings.client.adapters.checking import VerifiedWebhook, WebhookChecker
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Needed, sample, sign

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

SECRET = "a secret of ours"
OWN = {"check": {"kind": "token", "from": "header:X-Token"}}
HOOKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "github": ("github", {"secrets": SECRET}),
    "slack": ("slack", {"secrets": ["old", SECRET]}),
    "adyen-banking": ("adyen-banking", {"secrets": "ab" * 32}),
    "gocardless": ("gocardless", {"secrets": SECRET}),
    "square": ("square", {"secrets": SECRET, "public_url": "https://hooks.example.com/base/"}),
    "twilio": ("twilio", {"secrets": SECRET}),
    "dropbox-sign": ("dropbox-sign", {"secrets": SECRET}),
    "dropbox": ("dropbox", {"secrets": SECRET}),
    "own": (OWN, {"secrets": SECRET}),
}
METHODS = ["GET", "POST"]


class Said(NamedTuple):
    """What a framework's test client was answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]


Send = Callable[[str, str, Mapping[str, str], bytes], Said]
CAME: list[VerifiedWebhook] = []


def got(received: VerifiedWebhook) -> None:
    CAME.append(received)


def in_flask() -> Send:
    import flask

    from tidings.client.adapters import flask as for_flask

    app = flask.Flask(__name__)
    for name, (scheme, options) in HOOKS.items():
        app.add_url_rule(f"/in/{name}", name, for_flask.webhook(scheme, **options)(got), methods=METHODS)
    client = app.test_client()

    def send(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Said:
        answer = client.open(target, method=method, headers=dict(headers), data=body, base_url="https://testserver")
        return Said(answer.status_code, answer.data, dict(answer.headers))

    return send


urlpatterns: list[Any] = []


def in_django(a_sync: bool) -> Send:
    from django.test import Client as DjangoClient
    from django.urls import clear_url_caches, path

    from tidings.client.adapters import django as for_django

    configured()

    async def later(received: VerifiedWebhook) -> None:
        got(received)

    urlpatterns[:] = [
        path(f"in/{name}", for_django.webhook(scheme, **options)(later if a_sync else got))
        for name, (scheme, options) in HOOKS.items()
    ]
    clear_url_caches()
    client = DjangoClient(enforce_csrf_checks=True)

    def send(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Said:
        kind = headers.get("content-type", "text/plain")
        answer = client.generic(method, target, body, content_type=kind, headers=dict(headers), secure=True)
        return Said(answer.status_code, answer.content, dict(answer.items()))

    return send


def in_starlette() -> Send:
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from tidings.client.adapters import starlette as for_starlette

    async def later(received: VerifiedWebhook) -> None:
        got(received)

    routes = [
        Route(f"/in/{name}", for_starlette.webhook(scheme, **options)(later), methods=METHODS)
        for name, (scheme, options) in HOOKS.items()
    ]
    return _by_httpx(TestClient(Starlette(routes=routes), base_url="https://testserver"))


def in_fastapi() -> Send:
    import fastapi
    from fastapi.testclient import TestClient

    from tidings.client.adapters import starlette as for_starlette

    app = fastapi.FastAPI()
    for name, (scheme, options) in HOOKS.items():
        app.add_api_route(f"/in/{name}", for_starlette.webhook(scheme, **options)(got), methods=METHODS)
    return _by_httpx(TestClient(app, base_url="https://testserver"))


def _by_httpx(client: TestClient) -> Send:
    def send(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Said:
        answer = client.request(method, target, headers=dict(headers), content=body)
        return Said(answer.status_code, answer.content, dict(answer.headers))

    return send


@pytest.fixture(
    params=[in_flask, lambda: in_django(False), lambda: in_django(True), in_starlette, in_fastapi],
    ids=["flask", "django", "django-async", "starlette", "fastapi"],
)
def send(request: pytest.FixtureRequest) -> Send:
    CAME.clear()
    made: Send = request.param()
    return made


def signed(name: str, url: str = "", body: bytes | None = None, seconds_ago: float = 0.0) -> HookRequest:
    scheme, options = HOOKS[name]
    known = schemes.named(scheme) if isinstance(scheme, str) else schemes.read(scheme)
    request = sample(known, url or f"https://testserver/in/{name}")
    if body is not None:
        request = request.but(body=body)
    secrets = options["secrets"]
    return sign(known, secrets if isinstance(secrets, str) else secrets[-1], request, time.time() - seconds_ago)


def sent(send: Send, request: HookRequest, target: str = "") -> Said:
    split = request.url.partition("://")[2]
    return send(request.method, target or split[split.index("/") :], request.headers, request.body)


@pytest.mark.slow
def test_a_genuine_webhook_reaches_the_view_byte_for_byte(send: Send) -> None:
    body = b'{"a": 1.0,\r\n "b": "\\u00e9\xc3\xa9"}\r\n'
    assert sent(send, signed("github", body=body)).status == 204
    [received] = CAME
    assert (received.body, received.value) == (body, {"a": 1.0, "b": "éé"})
    assert (received.type, received.id) == ("ping", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
    assert received.headers["x-github-event"] == "ping"
    assert received.request is not None


def test_a_forged_webhook_does_not_reach_the_view_and_its_sender_reads_why(send: Send) -> None:
    request = signed("github")
    changed = sent(send, request.but(body=request.body + b" "))
    assert (changed.status, b"X-Hub-Signature-256 does not match the signed content" in changed.body) == (401, True)
    without = sent(send, request.but(headers={"content-type": "application/json"}))
    assert (without.status, without.body) == (401, b"The header X-Hub-Signature-256 is missing.\n")
    assert sent(send, signed("gocardless").but(body=b"{}")).status == 498
    assert SECRET.encode() not in changed.body + without.body
    assert CAME == []


def test_an_old_webhook_does_not_reach_the_view(send: Send) -> None:
    assert sent(send, signed("slack", body=b"{}")).status == 204
    CAME.clear()
    old = sent(send, signed("slack", body=b"{}", seconds_ago=3600))
    assert (old.status, CAME) == (401, []) and b"3,60" in old.body


def test_the_url_that_is_signed_is_the_one_that_was_sent_or_the_public_one(send: Send) -> None:
    target = "/in/twilio?a=%7Eb%20c&d=x+y&e"
    assert sent(send, signed("twilio", f"https://testserver{target}"), target).status == 204
    assert CAME[0].value["Digits"] == "1234"
    behind = signed("square", "https://hooks.example.com/base/in/square?x=1")
    assert sent(send, behind, "/in/square?x=1").status == 204
    assert sent(send, signed("square"), "/in/square").status == 401


@pytest.mark.slow
def test_a_handshake_is_answered_and_no_event(send: Send) -> None:
    asked = signed("slack", body=b'{"type":"url_verification","challenge":"3eZb"}')
    said = sent(send, asked)
    assert (said.status, said.body) == (200, b"3eZb")
    unsigned = send("GET", "/in/dropbox?challenge=abc", {}, b"")
    assert (unsigned.status, unsigned.body) == (200, b"abc")
    assert {name.lower(): value for name, value in unsigned.headers.items()}["x-content-type-options"] == "nosniff"
    assert CAME == []


@pytest.mark.slow
def test_senders_that_expect_a_certain_answer_get_it(send: Send) -> None:
    said = sent(send, signed("dropbox-sign"))
    assert (said.status, said.body) == (200, b"Hello API Event Received")


@pytest.mark.slow
def test_a_scheme_of_ones_own_is_declared_in_place(send: Send) -> None:
    assert send("POST", "/in/own", {"X-Token": SECRET, "content-type": "text/plain"}, b"\xff\x00").status == 204
    assert (CAME[0].value, CAME[0].id, CAME[0].type) == (b"\xff\x00", None, None)
    assert send("POST", "/in/own", {"X-Token": "other", "content-type": "text/plain"}, b"").status == 401


@pytest.mark.slow
def test_fastapi_fills_the_other_parameters() -> None:
    import fastapi
    from fastapi.testclient import TestClient

    from tidings.client.adapters import starlette as for_starlette

    app = fastapi.FastAPI()

    @app.post("/in/{shop}")
    @for_starlette.webhook(OWN, SECRET)
    async def hook(received: VerifiedWebhook, shop: str, page: int = 1) -> dict[str, Any]:
        return {"shop": shop, "page": page, "said": received.value}

    client = TestClient(app)
    answer = client.post("/in/a?page=3", headers={"X-Token": SECRET}, json={"n": 1})
    assert answer.json() == {"shop": "a", "page": 3, "said": {"n": 1}}
    assert client.post("/in/a", json={}).status_code == 401


@pytest.mark.slow
def test_flask_and_django_pass_path_parameters_on() -> None:
    import flask

    from tidings.client.adapters import flask as for_flask

    app = flask.Flask(__name__)

    @app.post("/in/<shop>")
    @for_flask.webhook(OWN, SECRET)
    def hook(received: VerifiedWebhook, shop: str) -> str:
        return f"{shop} {received.value}"

    assert app.test_client().post("/in/a", headers={"X-Token": SECRET}, data=b"1").data == b"a 1"


def test_a_secret_that_is_handed_over_is_kept_or_its_sender_is_refused() -> None:
    asked = ("POST", "https://a.example", "/in", [("X-Hook-Secret", "b537")], b"", None)
    kept: list[str] = []
    reply = WebhookChecker("asana", keep_secret=kept.append).take(*asked)
    assert not isinstance(reply, VerifiedWebhook)
    assert (reply.status, kept, reply.headers["X-Hook-Secret"]) == (200, ["b537"], "b537")
    refused = WebhookChecker("asana").take(*asked)
    assert not isinstance(refused, VerifiedWebhook)
    assert (refused.status, b"keep_secret" in refused.body) == (403, True)


def test_published_keys_are_fetched_and_subscriptions_confirmed() -> None:
    scheme = schemes.named("aws-sns")
    url = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    asked = {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": url}
    plain = sample(scheme).but(body=json.dumps(json.loads(sample(scheme).body) | asked).encode())
    topic = {"topic_arn": "arn:aws:sns:us-west-2:123456789012:MyTopic"}
    request = sign(scheme, keys.pem(keys.rsa_key()), plain, time.time(), settings=topic)
    called: list[str] = []

    def fetch(needed: Needed) -> bytes:
        called.append(needed.url)
        return b""

    parts = ("POST", "https://a.example", "/in", request.headers.items(), request.body, None)
    confirmed = WebhookChecker("aws-sns", keys.public_pem(keys.rsa_key()), settings=topic, fetch=fetch).take(*parts)
    assert not isinstance(confirmed, VerifiedWebhook) and confirmed.status == 200
    assert called == [url]
    without = WebhookChecker("aws-sns", keys.public_pem(keys.rsa_key()), settings=topic).take(*parts)
    assert not isinstance(without, VerifiedWebhook) and without.status == 403
    fetched = WebhookChecker("aws-sns", settings=topic, fetch=fetch).take(*parts)
    assert not isinstance(fetched, VerifiedWebhook) and fetched.status == 401
    assert called[1:] == ["https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb72.pem"]


@pytest.mark.slow
def test_the_client_imports_no_framework() -> None:
    loaded = "import sys, tidings.client; print(*{'flask', 'django', 'starlette', 'fastapi'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert said.stdout == "\n"
