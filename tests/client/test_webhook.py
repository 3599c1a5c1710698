"""The check of webhooks, with the official library as the other side."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPMessage
from typing import Any

import pytest
from standardwebhooks import Webhook

from tidings.client import BadSignature, verify
from tidings.rules import schemes
from tidings.rules.schemes import standard as sign

BODY = b'{"type":"a.b","data":{"n":1}}'


def signed(secret: str, at: datetime) -> dict[str, str]:
    signature = Webhook(secret).sign("evt_1", at, BODY.decode())
    return {"Webhook-Id": "evt_1", "Webhook-Timestamp": str(int(at.timestamp())), "Webhook-Signature": signature}


def test_a_genuine_webhook_is_read() -> None:
    secret, now = sign.new_secret(os.urandom(32)), datetime.now(UTC)
    headers = signed(secret, now)
    assert verify(headers, BODY, secret) == {"type": "a.b", "data": {"n": 1}}
    assert verify(headers, BODY, [sign.new_secret(os.urandom(32)), secret])["type"] == "a.b"
    assert verify(headers, BODY, secret, now=lambda: now.timestamp() + 299)
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: verify(headers, BODY + b" ", secret),
        lambda: verify(headers, BODY, sign.new_secret(os.urandom(32))),
        lambda: verify(headers, BODY, secret, now=lambda: now.timestamp() + 400),
        lambda: verify({}, BODY, secret),
    )
    for wrong in attempts:
        with pytest.raises(BadSignature):
            wrong()


def test_signed_bytes_that_are_not_json_are_refused() -> None:
    secret, now = sign.new_secret(os.urandom(32)), int(datetime.now(UTC).timestamp())
    headers = {"webhook-id": "x", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = sign.Signer(secret).sign("x", now, b"no")
    with pytest.raises(BadSignature, match="not valid JSON"):
        verify(headers, b"no", secret)


def test_the_webhook_of_any_known_sender_is_read() -> None:
    at = 1_790_000_000

    def read(name: str, **changed: Any) -> Any:
        scheme = schemes.named(name)
        request = schemes.sign(scheme, "secret", schemes.sample(scheme, "https://a.example/in"), at)
        given = {"body": request.body, "secrets": ["old", "secret"], "now": lambda: at + 1, **changed}
        return verify(request.headers, given.pop("body"), given.pop("secrets"), scheme=name, url=request.url, **given)

    assert read("github")["zen"] == "Keep it logically awesome."
    assert read("twilio")["Digits"] == "1234"
    assert read("square")["type"] == "payment.updated"
    assert read("stripe", tolerance_seconds=5, now=lambda: at + 5)["object"] == "event"
    for code, changed in (
        ("no_match", {"body": b"{}"}),
        ("no_match", {"secrets": "other"}),
        ("too_old", {"now": lambda: at + 301}),
        ("too_old", {"now": at + 301}),
    ):
        with pytest.raises(BadSignature) as caught:
            read("stripe", **changed)
        assert caught.value.code == code


def test_a_scheme_may_be_described_and_keys_fetched() -> None:
    own = {"check": {"kind": "token", "from": "header:X-Token"}}
    assert verify({"X-Token": "secret"}, b"plain", "secret", scheme=own) == b"plain"
    with pytest.raises(BadSignature, match="X-Token"):
        verify({"X-Token": "other"}, b"plain", "secret", scheme=own)
    for wrong in ("no-such-sender", {"check": {"kind": "token"}}):
        with pytest.raises(ValueError, match=r"^scheme"):
            verify({}, b"", "secret", scheme=wrong)
    asked: list[str] = []

    def fetch(needed: schemes.Needed) -> bytes:
        asked.append(needed.url)
        return b""

    scheme = schemes.named("aws-sns")
    sample = schemes.sample(scheme)
    with pytest.raises(BadSignature) as caught:
        verify(
            sample.headers,
            sample.body.replace(b'"Signature":""', b'"Signature":"AA=="'),
            [],
            scheme="aws-sns",
            settings=SNS_TOPIC,
            fetch=fetch,
            tolerance_seconds=10 * 365 * 86_400,
        )
    assert caught.value.code == "no_key"
    assert asked == ["https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3ecfb72.pem"]


OWN = sign.new_secret(b"x" * 32)
FORGED = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
TWILIO = schemes.sign(schemes.named("twilio"), "secret", schemes.sample(schemes.named("twilio")), 1)
SNS_TOPIC = {"topic_arn": "arn:aws:sns:us-west-2:123456789012:MyTopic"}
SNS = schemes.sample(schemes.named("aws-sns")).body
MISUSES: dict[str, tuple[str, dict[str, Any]]] = {
    "no secret": ("secrets", {"secrets": None}),
    "an empty list of secrets": ("secrets", {"secrets": []}),
    "an empty secret": ("secrets", {"secrets": ""}),
    "a secret of another kind": ("secrets", {"secrets": "sk_live_5"}),
    "a secret in bytes": ("secrets", {"secrets": b"whsec_AAAA"}),
    "no secret of theirs": (
        "secrets",
        {"secrets": [], "scheme": "github", "headers": {"X-Hub-Signature-256": "sha256=0"}},
    ),
    "an empty secret of theirs": ("secrets", {"secrets": [""], "scheme": "stripe"}),
    "parsed JSON": ("body", {"body": {"type": "a"}}),
    "text": ("body", {"body": "{}"}),
    "text, theirs": ("body", {"body": "{}", "scheme": "github"}),
    "a time as text": ("now", {"now": "2026-09-21T14:13:20Z"}),
    "no headers": ("headers", {"headers": None}),
    "an empty scheme": ("scheme, at /check", {"scheme": {}}),
    "no scheme": ("scheme", {"scheme": None}),
    "a scheme that does not exist": ("scheme", {"scheme": "striipe"}),
    "a check that does not exist": ("scheme, at /check/kind", {"scheme": {"check": {"kind": "hmac"}}}),
    "a URL that is an object": ("url", {"scheme": "twilio", "url": object()}),
    "no URL": ("url", {"scheme": "twilio", "secrets": "secret", "headers": TWILIO.headers, "body": TWILIO.body}),
    "no setting": ("settings", {"scheme": "google-pubsub", "secrets": []}),
    "a setting that is a number": ("settings", {"scheme": "github", "settings": {"a": 1}}),
    "a tolerance in text": ("tolerance_seconds", {"tolerance_seconds": "300"}),
    "nothing to fetch keys with": (
        "fetch",
        {
            "scheme": "aws-sns",
            "secrets": [],
            "body": SNS.replace(b'"Signature":""', b'"Signature":"AA=="'),
            "settings": SNS_TOPIC,
        },
    ),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_wrong_call_names_the_argument_and_does_not_look_like_a_forgery(misuse: str) -> None:
    argument, given = MISUSES[misuse]
    call = {"headers": FORGED, "body": b"{}", "secrets": OWN} | given
    with pytest.raises(ValueError) as caught:
        verify(call.pop("headers"), call.pop("body"), call.pop("secrets"), **call)
    assert not isinstance(caught.value, BadSignature)
    assert str(caught.value).startswith(f"{argument}: ")


def test_an_unknown_check_is_refused_with_a_list_of_the_known() -> None:
    with pytest.raises(ValueError, match=r"'hmac' is not allowed here. Allowed: 'signature', 'token', 'basic'"):
        verify({}, b"", "secret", scheme={"check": {"kind": "hmac"}})
    place = {"from": "header:x", "encoding": "b64"}
    own = {"check": [{"kind": "signature", "algorithm": "hmac-sha256", "signed": "{body}", "signature": place}]}
    with pytest.raises(ValueError, match=r"/check/0/signature/encoding: 'b64' .* 'base64', 'base64url', 'hex'"):
        verify({}, b"", "secret", scheme=own)


def test_headers_as_the_standard_library_has_them_are_read() -> None:
    headers = HTTPMessage()
    headers["X-Token"] = "secret"
    assert verify(headers, b"{}", "secret", scheme={"check": {"kind": "token", "from": "header:X-Token"}}) == {}


@pytest.mark.slow
def test_plain_calls_do_not_load_the_schemes_of_other_senders() -> None:
    loaded = "import sys, tidings.client; print(*[name for name in sys.modules if name.startswith('tidings.rules')])"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert "tidings.rules.schemes.standard_verify" in said
    assert "tidings.rules.schemes.catalogue" not in said


MANY_THREADS = """
import sys, threading
sys.setswitchinterval(1e-6)
from tidings.client import BadSignature, verify
barrier, refused = threading.Barrier(24), []
def check():
    barrier.wait()
    try:
        headers = {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
        verify(headers, b"{}", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw")
    except BadSignature:
        refused.append(1)
threads = [threading.Thread(target=check) for _ in range(24)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(refused))
"""


@pytest.mark.slow
def test_the_first_webhooks_may_come_in_many_threads_at_once() -> None:
    """As to a threaded web server that has just been started: the interpreter crashed in half of such starts."""
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", MANY_THREADS], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "24"), done.stderr
