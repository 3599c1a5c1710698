"""A scheme that a user declares: what it may say, and what is refused with its place."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from tests.rules.schemes.keys import pem, public_pem, rsa_key
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, Verifier, read, sign

NOW = 1_790_000_000.0
GOOD: dict[str, Any] = {
    "kind": "signature",
    "algorithm": "hmac-sha256",
    "signed": "{timestamp}.{body}",
    "signature": {"from": "header:X-Sig"},
    "timestamp": {"from": "header:X-Time", "tolerance_seconds": 60},
}


def own(**changed: Any) -> dict[str, Any]:
    return {"check": {**GOOD, **changed}}


def test_a_scheme_of_ones_own_checks_and_signs() -> None:
    scheme = read(own(algorithm="hmac-sha384", signed="{method} {path} {query} {header:X-Nonce} {timestamp}\n{body}"))
    request = HookRequest("PUT", "https://a.example/p/q?x=%20y", {"X-Nonce": "n"}, b"\xff\x00")
    signed = sign(scheme, "secret", request, NOW)
    message = b"PUT /p/q x=%20y n 1790000000\n\xff\x00"
    assert signed.headers["x-sig"] == hmac.new(b"secret", message, "sha384").hexdigest()
    assert Verifier(scheme, "secret").verify(signed, NOW).ok
    assert not Verifier(scheme, "secret").verify(signed.but(method="POST"), NOW).ok
    without = signed.but(headers={name: value for name, value in signed.headers.items() if name != "x-nonce"})
    verdict = Verifier(scheme, "secret").verify(without, NOW)
    assert (verdict.reason, "X-Nonce" in verdict.detail) == ("missing_header", True)


@pytest.mark.parametrize("algorithm", ["hmac-md5", "hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"])
@pytest.mark.parametrize("size", [1, 20, 64, 65, 128, 129, 300])
def test_our_hmac_is_that_of_the_standard_library(algorithm: str, size: int) -> None:
    scheme = read({"check": {**GOOD, "algorithm": algorithm, "signed": "{body}", "timestamp": None}})
    secret = "k" * size
    signed = sign(scheme, secret, HookRequest(body=b"x" * 500), NOW)
    assert signed.headers["x-sig"] == hmac.new(secret.encode(), b"x" * 500, algorithm[5:]).hexdigest()


def test_a_plain_hash_has_the_secret_inside() -> None:
    scheme = read(
        {
            "check": {
                "kind": "signature",
                "algorithm": "sha512",
                "signed": "{secret}:{body}",
                "signature": {"from": "query:s"},
            }
        }
    )
    signed = sign(scheme, "x", HookRequest("POST", "https://a.example/", {}, b""), NOW)
    assert signed.url == "https://a.example/?s=" + hashlib.sha512(b"x:").hexdigest()
    assert Verifier(scheme, ["y", "x"]).verify(signed, NOW).secret == 1


@pytest.mark.parametrize(
    ("scheme", "pointer"),
    [
        ({}, "/check"),
        ({"check": {"kind": "magic"}}, "/check/kind"),
        ({"check": []}, "/check"),
        ({**own(), "extra": 1}, "/extra"),
        (own(extra=1), "/check/extra"),
        (own(signature={"from": "header:X", "a/b": 1}), "/check/signature/a~1b"),
        (own(signature={"from": "X-Sig"}), "/check/signature/from"),
        (own(signature={"from": "header:X", "encoding": "rot13"}), "/check/signature/encoding"),
        (own(signature={"from": "header:X", "skip": 1}), "/check/signature/skip"),
        (own(algorithm="hmac-crc32"), "/check/algorithm"),
        (own(signed="{nothing}"), "/check/signed"),
        (own(signed="{body"), "/check/signed"),
        (own(signed="constant", timestamp=None), "/check/signed"),
        (own(signed=[]), "/check/signed"),
        (own(signed="{secret}{timestamp}{body}"), "/check/signed"),
        (own(algorithm="sha256"), "/check/signed"),
        (own(signed="{body}"), "/check/signed"),
        (own(timestamp=None), "/check/timestamp"),
        (own(timestamp={"from": "header:T", "tolerance_seconds": -1}), "/check/timestamp/tolerance_seconds"),
        (own(signed="{id}{timestamp}{body}"), "/check/id"),
        (own(keys={"url": "https://a.example/jwks"}), "/check/keys"),
        ({"check": [GOOD, {"kind": "token", "from": "nowhere:x"}]}, "/check/1/from"),
        ({"check": {"kind": "certificate", "style": "sns", "hosts": []}}, "/check/hosts"),
        ({"check": {"kind": "certificate", "style": "sns", "hosts": ["("]}}, "/check/hosts/0"),
        ({"check": {"kind": "certificate", "style": "sns", "hosts": ["a"]}}, "/settings/topic_arn"),
        ({**own(), "delivery_id": "x"}, "/delivery_id"),
        ({**own(), "accepted": {"status": 99}}, "/accepted/status"),
    ],
)
def test_a_contradictory_scheme_is_refused_with_its_location(scheme: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Refused) as caught:
        read(scheme)
    assert caught.value.pointer == pointer
    assert caught.value.detail.endswith(".")


def test_an_unusable_secret_of_a_plain_hash_is_named_by_its_location() -> None:
    scheme = read(own(algorithm="sha256", signed="{secret}{timestamp}{body}", secret={"encoding": "hex"}))
    with pytest.raises(Refused) as caught:
        Verifier(scheme, ["00", "ff", "not hex"])
    assert caught.value.pointer == "/secrets/2"


def test_a_timestamp_in_a_signed_body_is_signed() -> None:
    read(own(signed="{body}", timestamp={"from": "json:at", "unit": "ms", "tolerance_seconds": 5}))
    with pytest.raises(Refused, match="not signed"):
        read(own(signed="{header:X-Id}", timestamp={"from": "json:at", "tolerance_seconds": 5}))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("github", ""),
        ("adyen-banking", "xyz"),
        ("adyen", "abc"),
        ("standard-webhooks", "whsec_###"),
        ("discord", "abcd"),
        ("discord", "-----BEGIN PUBLIC KEY-----"),
        ("sendgrid", "AAAA"),
        ("aws-sns", "secret"),
        ("plaid", "secret"),
        ("google-pubsub", "{}"),
        ("basic", "ann"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_and_never_repeated(name: str, secret: str) -> None:
    scheme = schemes.named(name)
    settings = dict.fromkeys(scheme.settings, "x")
    with pytest.raises(Refused) as caught:
        Verifier(scheme, ["ann:good" if name == "basic" else "", secret][-1:], settings=settings)
    assert caught.value.pointer == "/secrets/0"
    assert len(secret) < 4 or secret not in caught.value.detail or secret in ("secret", "ann")


def test_a_key_pair_that_cannot_be_used_is_refused_whatever_is_wrong_with_it() -> None:
    from cryptography.hazmat.primitives import serialization

    locked = rsa_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    unknown = public_pem(rsa_key()).replace("MIIBIjANBgkqhkiG", "MIIBIjANBgk0hkiG")
    for text in (locked.decode(), unknown, pem(rsa_key())):
        with pytest.raises(Refused) as caught:
            Verifier(schemes.named("wise"), text)
        assert caught.value.pointer == "/secrets/0"
    for text in (locked.decode(), unknown):
        with pytest.raises(Refused):
            sign(schemes.named("wise"), text, HookRequest(body=b"{}"), NOW)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        Verifier(schemes.named("github"), "x", settings={"topic": "y"})
    assert caught.value.pointer == "/settings/topic"


def test_a_scheme_has_a_json_schema_and_survives_json() -> None:
    assert schemes.schema()["$defs"]["Signature"]
    for scheme in schemes.schemes():
        assert read(msgspec.json.decode(msgspec.json.encode(scheme))) == scheme


def test_a_body_that_cannot_be_signed_is_refused() -> None:
    for name, secret in (("adyen", "ab"), ("aws-sns", pem(rsa_key())), ("linear", "x"), ("mailgun", "x")):
        for body in (b"", b"no", b"[1]", b"{}", b"5"):
            try:
                sign(schemes.named(name), secret, HookRequest("POST", "https://a.example/", {}, body), NOW)
            except Refused as refused:
                assert refused.detail.endswith(".")


def test_the_name_of_a_key_may_stand_before_each_signature() -> None:
    place = {"from": "header:X-Sig", "prefix": "v1=", "split": ",", "key_end": ":"}
    scheme = read(own(signature=place, timestamp={"from": "part:t"}))
    signed = sign(scheme, "secret", HookRequest("POST", "", {}, b"{}"), NOW)
    mac = hmac.new(b"secret", b"%d.{}" % NOW, "sha256").hexdigest()
    assert signed.headers["x-sig"] == f"t={NOW:.0f},v1=key:{mac}"
    verifier = Verifier(scheme, "secret")
    for text, ok in (
        (f"t={NOW:.0f},v1=one:{'0' * 64},v1=two:{mac}", True),
        (f"t={NOW:.0f}, v1=:{mac}", True),
        (f"t={NOW:.0f},v1={mac}", False),
        (f"t={NOW:.0f},v0=key:{mac}", False),
        (f"t={NOW + 1:.0f},v1=key:{mac}", False),
        (f"t={NOW:.0f},v1=key:{mac}:{mac}", False),
    ):
        assert verifier.verify(signed.but(headers={"x-sig": text}), NOW).ok is ok, text


@pytest.mark.parametrize("name", ["X-Paystack-Signature", "X-Paystack-Signature-V1"])
def test_paystacks_newer_signature_with_a_time_and_the_name_of_a_key_is_genuine(name: str) -> None:
    body = b'{"event":"charge.success"}'
    mac = hmac.new(b"sk_live", b"%d." % NOW + body, "sha512").hexdigest()
    request = HookRequest("POST", "", {name: f"t={NOW:.0f},v1=live_1:{mac}"}, body)
    verifier = Verifier(schemes.named("paystack"), "sk_live")
    assert verifier.verify(request, NOW).ok
    assert not verifier.verify(request, NOW + 301).ok
    assert not verifier.verify(request.but(body=body + b" "), NOW).ok
