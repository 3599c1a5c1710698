"""The senders' own packages verify what we sign, we verify what they sign, and neither takes what is changed."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.oracles.conftest import Judge
from tests.rules.schemes import keys
from tests.rules.schemes.test_changed import whole_body
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Scheme, Verifier, sample, sign

pytestmark = pytest.mark.slow

URL = "https://example.com/in/a"
PYTHON_VERIFIES = [
    "adyen",
    "adyen-banking",
    "box",
    "cloudinary",
    "coinbase-commerce",
    "cronofy",
    "dropbox-sign",
    "easypost",
    "elevenlabs",
    "finch",
    "gocardless",
    "google-pubsub",
    "livekit",
    "messagebird",
    "modern-treasury",
    "onfido",
    "orb",
    "paddle",
    "plivo",
    "pusher",
    "razorpay",
    "sendgrid",
    "sinch",
    "sinch-events",
    "slack",
    "smartcar",
    "square",
    "standard-webhooks",
    "stream",
    "stripe",
    "telnyx",
    "twilio",
    "upstash",
    "vonage",
    "vonage-sms",
    "workos",
]
PYTHON_SIGNS = [
    "adyen",
    "adyen-banking",
    "box",
    "cloudinary",
    "livekit",
    "modern-treasury",
    "paddle",
    "sinch",
    "slack",
    "smartcar",
    "standard-webhooks",
    "stripe",
    "twilio",
    "vonage-sms",
]
NODE_VERIFIES = ["aws-sns", "discord", "github", "line", "linear", "mux", "notion", "sanity", "shopify", "webflow"]
NODE_SIGNS = ["github", "notion", "sanity"]
LARGE = {"dropbox-sign", "finch", "modern-treasury", "onfido", "orb", "sinch", "telnyx"}
"""Their packages take seconds to load."""
VALUES = {
    "adyen": ("1130", "9130"),
    "aws-sns": ("Hello world!", "Hello w0rld!"),
    "dropbox-sign": ("signature_request_sent", "signature_request_viewed"),
    "plivo": ("/in/a", "/in/b"),
    "twilio": ("1234", "1235"),
    "vonage-sms": ("text=hi", "text=ho"),
}
"""What to change where single values are signed, or only the URL."""
SETTINGS = {
    "upstash": {"url": URL},
    "google-pubsub": {"audience": "https://example.com/in", "service_account": "push@p.iam.gserviceaccount.com"},
}


def cases_of(names: list[str]) -> Any:
    """Parameters: all of them, of which large packages are tried if everything is."""
    return [pytest.param(name, marks=pytest.mark.thorough if name in LARGE else ()) for name in names]


def settings_of(scheme: Scheme) -> dict[str, str]:
    return SETTINGS.get(scheme.name, keys.settings(scheme))


def secrets(scheme: Scheme, name: str = "one") -> tuple[str, str, str]:
    """What signs, what we verify with, and what the sender's package takes."""
    private, public = keys.pair(scheme, name)
    match scheme.name:
        case "aws-sns":
            return private, public, certificate()
        case "discord":
            return private, public, keys.ed_key().public_key().public_bytes_raw().hex()
        case "telnyx":
            raw = keys.ed_key().public_key().public_bytes_raw()
            return private, public, base64.b64encode(raw).decode()
        case "sendgrid":
            return private, public, "".join(public.splitlines()[1:-1])
    return private, public, public


def certificate() -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(keys.rsa_key().public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(keys.rsa_key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def bare(scheme: Scheme) -> HookRequest:
    """A request before it is signed, with a body that its sender's package can read."""
    request = sample(scheme, URL)
    match scheme.name:
        case "pusher":
            return request.but(body=request.body.replace(b"1327078148132", str(int(time.time() * 1000)).encode()))
    return request


def both(judge: Judge, scheme: Scheme, request: HookRequest, *, names: str = "one") -> tuple[bool, bool]:
    """What the sender's package finds of a request, and what we do."""
    _, public, theirs = secrets(scheme, names)
    chosen = settings_of(scheme)
    ours = Verifier(scheme, public, settings=chosen).verify(request, time.time())
    return judge.verifies(scheme.name, theirs, request, chosen), ours.ok


def holds(judge: Judge, scheme: Scheme, request: HookRequest) -> None:
    """The request is genuine for both, and for neither once it is changed or the secret is another."""
    assert both(judge, scheme, request) == (True, True)
    for changed in altered(scheme, request):
        assert both(judge, scheme, changed) == (False, False), (changed.url, changed.body)
    if keys.pair(scheme, "two") != keys.pair(scheme):
        assert both(judge, scheme, request, names="two") == (False, False)


def altered(scheme: Scheme, request: HookRequest) -> list[HookRequest]:
    """The request with something else where its sender signs."""
    if scheme.name in VALUES:
        old, new = VALUES[scheme.name]
        changed = request.but(url=request.url.replace(old, new), body=request.body.replace(old.encode(), new.encode()))
        assert (changed.url, changed.body) != (request.url, request.body)
        return [changed]
    found = (
        [request.but(url=request.url + "b")]
        if schemes.signs_url(Verifier(scheme, settings=settings_of(scheme)))
        else []
    )
    if whole_body(scheme):
        at = max(place for place, sign_ in enumerate(request.body) if chr(sign_).isalnum())
        other = b"7" if request.body[at : at + 1] != b"7" else b"8"
        found.append(request.but(body=request.body[:at] + other + request.body[at + 1 :]))
    return found


@pytest.mark.parametrize("name", cases_of(PYTHON_VERIFIES))
def test_a_senders_python_package_verifies_what_we_sign(python_judge: Judge, name: str) -> None:
    scheme = schemes.named(name)
    request = sign(scheme, secrets(scheme)[0], bare(scheme), time.time(), settings=settings_of(scheme))
    holds(python_judge, scheme, request)


@pytest.mark.parametrize("name", cases_of(PYTHON_SIGNS))
def test_we_verify_what_a_senders_python_package_signs(python_judge: Judge, name: str) -> None:
    scheme = schemes.named(name)
    holds(python_judge, scheme, python_judge.signs(name, secrets(scheme)[2], bare(scheme), settings_of(scheme)))


@pytest.mark.thorough
@pytest.mark.parametrize("name", NODE_VERIFIES)
def test_a_senders_javascript_package_verifies_what_we_sign(node_judge: Judge, name: str) -> None:
    scheme = schemes.named(name)
    request = sign(scheme, secrets(scheme)[0], bare(scheme), time.time(), settings=settings_of(scheme))
    holds(node_judge, scheme, request)


@pytest.mark.thorough
@pytest.mark.parametrize("name", NODE_SIGNS)
def test_we_verify_what_a_senders_javascript_package_signs(node_judge: Judge, name: str) -> None:
    scheme = schemes.named(name)
    holds(node_judge, scheme, node_judge.signs(name, secrets(scheme)[2], bare(scheme), settings_of(scheme)))
