"""What an attacker tries who knows a hook's URL and the scheme, but not the secret."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.rules.schemes import keys
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, Verifier, before, sample, sign

NOW = 1_790_000_000
URL = "https://example.com/in"
TOPIC = {"topic_arn": "arn:aws:sns:us-west-2:123456789012:MyTopic"}
WEBHOOK = {"webhook_id": "WH1"}
BODY_SIGNED: dict[str, Any] = {
    "kind": "signature",
    "algorithm": "hmac-sha256",
    "signed": "{body}",
    "signature": {"from": "header:X-Signature"},
}


def asked(scheme: schemes.Scheme, token: str) -> str:
    """The HMAC that anybody is given for a token, or an empty text."""
    answer = before(Verifier(scheme, "secret"), HookRequest("GET", f"{URL}?crc_token={quoted(token)}", {}))
    value = json.loads(answer.body) if answer is not None and answer.status == 200 else {}
    return str(next(iter(value.values()), ""))


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


@pytest.mark.parametrize(
    "text", ['{"tweet_create_events":[]}', "[1]", "a=b", "true", "12", "abc", "abc=", "a/b", "<x>"]
)
def test_no_answer_to_an_unsigned_question_is_the_signature_of_a_body(text: str) -> None:
    for scheme in (schemes.named("x"), own_question()):
        signature = asked(scheme, text)
        name = "x-twitter-webhooks-signature" if scheme.name == "x" else "x-signature"
        forged = HookRequest("POST", URL, {name: signature}, text.encode())
        assert not Verifier(scheme, "secret").verify(forged, NOW).ok


@pytest.mark.parametrize("signed", ["{header:X-Nonce}", "{header:X-Nonce}{header:X-More}", ["{body}.", "{body}"]])
def test_no_template_accepts_what_a_question_has_signed(signed: Any) -> None:
    """Not the body alone: whatever of a request is signed could have been asked for."""
    scheme = own_question(signed=signed)
    forged = HookRequest("POST", URL, {"x-signature": asked(scheme, "abc"), "x-nonce": "ab", "x-more": "c"}, b"abc")
    assert not Verifier(scheme, "secret").verify(forged, NOW).ok
    forged = forged.but(headers={**forged.headers, "x-nonce": "abc", "x-more": ""})
    assert not Verifier(scheme, "secret").verify(forged, NOW).ok


def own_question(**check: Any) -> schemes.Scheme:
    question = {
        "name": "crc",
        "when": {"method": ["GET"], "present": ["query:crc_token"]},
        "reply": {"json": {"token": "{hmac-sha256:hex:query:crc_token}"}},
    }
    return schemes.read({"check": BODY_SIGNED | check, "handshakes": [question]})


@pytest.mark.parametrize("reply", ["accepted", "refused"])
def test_only_handshakes_sign(reply: str) -> None:
    """A refusal is answered to anybody: an HMAC in it would sign whatever is asked for."""
    with pytest.raises(Refused, match="handshake") as caught:
        schemes.read({"check": BODY_SIGNED, reply: {"text": "{hmac-sha256:hex:query:a}"}})
    assert caught.value.pointer == f"/{reply}/text"


def sns_request(url: str = "", **members: Any) -> HookRequest:
    scheme = schemes.named("aws-sns")
    value = json.loads(sample(scheme).body) | members
    if url:
        value["SigningCertURL"] = url
    bare = sample(scheme).but(body=json.dumps(value).encode())
    return sign(scheme, keys.pem(keys.rsa_key()), bare, NOW, settings=TOPIC)


def test_an_sns_message_of_another_topic_is_refused_and_nothing_is_fetched_for_it() -> None:
    scheme = schemes.named("aws-sns")
    mine = sns_request()
    public = keys.public_pem(keys.rsa_key())
    assert Verifier(scheme, public, settings=TOPIC).verify(mine, NOW).ok
    other = {"topic_arn": "arn:aws:sns:us-west-2:999999999999:Evil"}
    assert Verifier(scheme, public, settings=other).verify(mine, NOW).reason == "wrong_claim"
    assert Verifier(scheme, settings=other).needs(mine) == ()
    with pytest.raises(Refused) as caught:
        Verifier(scheme, public)
    assert caught.value.pointer == "/settings/topic_arn"


def test_another_accounts_topic_is_not_confirmed() -> None:
    scheme, public = schemes.named("aws-sns"), keys.public_pem(keys.rsa_key())
    url = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    request = sns_request(Type="SubscriptionConfirmation", Token="t", SubscribeURL=url)
    answer = schemes.handshake(scheme, request, public, NOW, settings=TOPIC)
    assert answer is not None and answer.fetch == url
    assert schemes.handshake(scheme, request, public, NOW, settings={"topic_arn": "arn:other"}) is None


def test_an_sns_message_of_any_age_is_genuine_unless_the_hook_sets_a_limit() -> None:
    scheme, public = schemes.named("aws-sns"), keys.public_pem(keys.rsa_key())
    verifier = Verifier(scheme, public, settings=TOPIC)
    assert verifier.verify(sns_request(), NOW + 400 * 86_400).ok
    limited = verifier.but(tolerance_seconds=3_600)
    assert limited.verify(sns_request(), NOW + 3_600).ok
    assert limited.verify(sns_request(), NOW + 3_602).reason == "too_old"


SNS_PLACES = [
    "https://sns.us-east-1.amazonaws.com/x.pem?Action=GetEndpointAttributes&EndpointArn=x",
    "https://sns.us-east-1.amazonaws.com/#.pem",
    "https://sns.us-east-1.amazonaws.com/x.pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem?Action=x",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem#",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem?",
    "https://sns.us-east-1.amazonaws.com/a/SimpleNotificationService-ab.pem",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem/",
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-..%2fx.pem",
    "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-ab.pem",
    "https://sns.s3-website-us-west-2.amazonaws.com/SimpleNotificationService-ab.pem",
    "https://sns.execute-api.amazonaws.com/SimpleNotificationService-ab.pem",
]


@pytest.mark.parametrize("url", SNS_PLACES)
def test_a_certificate_is_only_trusted_where_sns_has_its_own(url: str) -> None:
    request = sns_request(url)
    verifier = Verifier(schemes.named("aws-sns"), settings=TOPIC)
    assert verifier.needs(request) == ()
    assert verifier.verify(request, NOW, {url: certificate()}).reason == "untrusted_url"


PAYPAL_PLACES = [
    "https://www.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/invoicing/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/CERT-1?redirect=x",
    "https://api.paypal.com/v1/notifications/certs/../x",
    "https://api.paypal.com/v1/notifications/certs/CERT-1#x",
]


@pytest.mark.parametrize("url", PAYPAL_PLACES)
def test_a_certificate_is_only_trusted_where_paypal_has_its_own(url: str) -> None:
    scheme = schemes.named("paypal")
    request = sign(scheme, keys.pem(keys.rsa_key()), sample(scheme), NOW, settings=WEBHOOK)
    moved = request.but(headers={**request.headers, "paypal-cert-url": url})
    verifier = Verifier(scheme, settings=WEBHOOK)
    assert verifier.needs(moved) == ()
    fetched = {url: certificate("messageverificationcerts.paypal.com")}
    assert verifier.verify(moved, NOW, fetched).reason == "untrusted_url"


def test_what_is_fetched_is_a_certificate_of_the_sender_and_nothing_else() -> None:
    verifier, request = Verifier(schemes.named("aws-sns"), settings=TOPIC), sns_request()
    (needed,) = verifier.needs(request)
    good = certificate()
    assert verifier.verify(request, NOW, {needed.key: good}).ok
    assert verifier.verify(request, NOW, {needed.key: b"\n" + good + b"\n"}).ok
    for bad in (
        b"<Error><Message>" + good + b"</Message></Error>",
        b"x\n" + good,
        good + b"<x>",
        good + b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
        certificate("evil.example"),
        certificate("sns.amazonaws.com.evil.example"),
        certificate(issuer="sns.amazonaws.com"),
        keys.public_pem(keys.rsa_key()).encode(),
    ):
        assert verifier.verify(request, NOW, {needed.key: bad}).reason == "no_key", bad


@pytest.mark.parametrize(("style", "setting"), [("sns", "topic_arn"), ("paypal", "webhook_id")])
def test_a_scheme_with_certificates_must_ask_whose_messages_are_meant(style: str, setting: str) -> None:
    check = {"kind": "certificate", "style": style, "hosts": [r"sns\.us-east-1\.amazonaws\.com"]}
    for settings in ({}, {setting: {"help": "."}}):
        with pytest.raises(Refused) as caught:
            schemes.read({"check": check, "settings": settings})
        assert caught.value.pointer == f"/settings/{setting}"
    schemes.read({"check": check, "settings": {setting: {"help": ".", "required": True}}})


@pytest.mark.parametrize(
    "pattern", ["sns.us-east-1.amazonaws.com", ".*", r"sns\..+\.amazonaws\.com", "[^/]*", r"\S+", r"([a-z-]+\.)*[a-z]+"]
)
def test_a_host_is_never_any_host(pattern: str) -> None:
    check = {"kind": "certificate", "style": "paypal", "hosts": [pattern]}
    with pytest.raises(Refused) as caught:
        schemes.read({"check": check, "settings": {"webhook_id": {"help": ".", "required": True}}})
    assert caught.value.pointer == "/check/hosts/0"


@pytest.mark.parametrize("scheme", schemes.schemes(), ids=lambda scheme: scheme.name)
def test_a_replay_is_refused_if_the_sender_sets_a_limit_and_other_schemes_say_so(scheme: schemes.Scheme) -> None:
    private, public = keys.pair(scheme)
    request = sign(scheme, private, sample(scheme), NOW, settings=keys.settings(scheme))
    verifier = Verifier(scheme, public, settings=keys.settings(scheme))
    assert verifier.verify(request, NOW).ok
    later = verifier.verify(request, NOW + 365 * 86_400)
    said = schemes.replays_in_words(scheme)
    # Their tokens need no exp, though ours have one.
    assert scheme.name in ("netlify", "vonage") or later.ok is said.startswith("No time limit"), said
    timed: list[Any] = [getattr(check, "timestamp", None) for check in scheme.checks]
    if any(timed) and all(timed):
        names_no_limit = timed[0].tolerance_seconds is None
        assert (later.reason, "`tolerance_seconds` sets one" in said) == (
            ("genuine", True) if names_no_limit else ("too_old", False)
        )
        strict = verifier.but(tolerance_seconds=600)
        assert strict.verify(request, NOW + 601.1).reason == "too_old"
        assert strict.verify(request, NOW - 601.1).reason == "too_new"


def test_a_time_that_is_signed_limits_the_age_unless_a_scheme_says_otherwise() -> None:
    scheme = schemes.read(
        {"check": BODY_SIGNED | {"signed": "{timestamp}{body}", "timestamp": {"from": "header:X-At"}}}
    )
    request = sign(scheme, "secret", HookRequest("POST", URL, {}, b"{}"), NOW)
    assert Verifier(scheme, "secret").verify(request, NOW + 300).ok
    assert Verifier(scheme, "secret").verify(request, NOW + 301).reason == "too_old"


def test_schemes_say_what_of_the_body_is_not_covered() -> None:
    open_ = {one.name for one in schemes.schemes() if schemes.body_in_words(one)}
    assert {"dropbox-sign", "mailgun", "plivo", "paypal", "google-pubsub", "bearer", "basic"} <= open_
    assert open_.isdisjoint({"github", "stripe", "aws-sns", "twilio", "adyen", "plaid", "livekit"})


def small_order_points() -> list[bytes]:
    """Every spelling of the eight points of small order: both signs, and coordinates beyond the field."""
    field = 2**255 - 19
    eighth = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
    ys = [0, 1, field - 1, field, field + 1, eighth, field - eighth]
    return [(y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1)]


@pytest.mark.parametrize("raw", small_order_points(), ids=lambda raw: raw.hex()[:8] + raw.hex()[-2:])
def test_a_public_key_with_which_anybody_signs_is_refused(raw: bytes) -> None:
    from tidings.client import verify
    from tidings.rules.schemes.kinds.jwks import public_of

    text = base64.b64encode(raw).decode()
    for name, secret in (("standard-webhooks", f"whpk_{text}"), ("discord", raw.hex()), ("telnyx", text)):
        with pytest.raises(Refused) as caught:
            Verifier(schemes.named(name), secret)
        assert caught.value.pointer == "/secrets/0"
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).decode()}
    assert public_of(jwk, "ed25519") is None
    signature = base64.b64encode(b"\x01" + bytes(63)).decode()
    headers = {"webhook-id": "a", "webhook-timestamp": str(NOW), "webhook-signature": f"v1a,{signature}"}
    with pytest.raises(ValueError, match=r"^secrets: "):
        verify(headers, b"{}", f"whpk_{text}", now=lambda: NOW)


def test_the_points_that_are_refused_are_those_of_small_order() -> None:
    """A signature of zeros verifies with the identity, which is why they must be."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    identity = Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))
    identity.verify(b"\x01" + bytes(63), b"anything")
    public = keys.ed_key().public_key().public_bytes_raw()
    Verifier(schemes.named("discord"), public.hex())


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("basic", ":"),
        ("basic", "u:"),
        ("basic", "u: "),
        ("github", " "),
        ("github", "\n"),
        ("gitlab-token", " "),
        ("netlify", "\t"),
        ("bearer", " "),
        ("standard-webhooks", "whsec_AA=="),
        ("standard-webhooks", "whsec_" + base64.b64encode(bytes(23)).decode()),
        ("gitlab", "whsec_AA=="),
        ("gitlab", "AA=="),
        ("plaid", ":secret"),
        ("plaid", "client:"),
    ],
)
def test_an_empty_secret_is_refused(name: str, secret: str) -> None:
    with pytest.raises(Refused) as caught:
        Verifier(schemes.named(name), secret)
    assert caught.value.pointer == "/secrets/0"


def test_a_sender_without_a_user_has_a_password() -> None:
    Verifier(schemes.named("basic"), ":password")


@pytest.mark.parametrize("name", ["standard-webhooks", "gitlab", "finch"])
def test_a_part_of_the_body_does_not_pass_for_the_id(name: str) -> None:
    """Signed: `id.T.BODY`. Sent: the id `id.T`, a new time, and the rest of a body that begins with that time."""
    scheme = schemes.named(name)
    private, public = keys.pair(scheme)
    body = b'%d.{"evil":1}' % NOW
    old = sign(scheme, private, sample(scheme).but(body=body), NOW - 10_000_000)
    id_, at = ("finch-event-id", "finch-timestamp") if name == "finch" else ("webhook-id", "webhook-timestamp")
    moved = {**old.headers, id_: f"{old.headers[id_]}.{old.headers[at]}", at: str(NOW)}
    forged = old.but(headers=moved, body=b'{"evil":1}')
    verdict = Verifier(scheme, public).verify(forged, NOW)
    assert verdict.reason == "malformed_header" and "cannot be distinguished" in verdict.detail
    longer = old.but(headers={**moved, id_: f"{moved[id_]}.text"})
    assert Verifier(scheme, public).verify(longer, NOW).reason == "malformed_header"
    dotted = sign(scheme, private, sample(scheme).but(headers={**sample(scheme).headers, id_: "orders.7"}), NOW)
    assert Verifier(scheme, public).verify(dotted, NOW).ok


def test_a_part_of_the_body_does_not_pass_for_the_id_without_a_separator() -> None:
    scheme = schemes.named("twitch")
    stamp = f"{datetime.fromtimestamp(NOW, UTC):%Y-%m-%dT%H:%M:%SZ}"
    old = sign(scheme, "secret", sample(scheme).but(body=f'{stamp}{{"evil":1}}'.encode()), NOW - 10_000_000)
    id_, at = "twitch-eventsub-message-id", "twitch-eventsub-message-timestamp"
    forged = old.but(headers={**old.headers, id_: old.headers[id_] + old.headers[at], at: stamp}, body=b'{"evil":1}')
    assert Verifier(scheme, "secret").verify(forged, NOW).reason == "malformed_header"


def test_a_part_of_the_body_does_not_pass_for_a_nonce_behind_it() -> None:
    check = BODY_SIGNED | {"signed": "{body}.{header:X-Nonce}"}
    scheme = schemes.read({"check": check})
    old = sign(scheme, "secret", HookRequest("POST", URL, {"X-Nonce": "n"}, b'{"good":1}.{"more":2}'), NOW)
    forged = old.but(headers={**old.headers, "x-nonce": '{"more":2}.n'}, body=b'{"good":1}')
    assert Verifier(scheme, "secret").verify(forged, NOW).reason == "malformed_header"


def certificate(name: str = "sns.amazonaws.com", issuer: str = "Amazon RSA 2048 M01", days: int = 30) -> bytes:
    begins = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(keys.rsa_key().public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=1 + days))
        .sign(keys.rsa_key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
