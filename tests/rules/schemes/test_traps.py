"""What went wrong in other receivers: each is a request that must come out right here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from typing import Any

import pytest

from tests.rules.schemes import keys
from tests.rules.schemes.test_attacks import certificate
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, Verifier, sample, sign
from tidings.rules.schemes.kinds import jwks
from tidings.rules.schemes.sources import source

NOW = 1_790_000_000.0


def made(name: str, secret: str = "secret", **settings: str) -> Verifier:
    return Verifier(schemes.named(name), secret, settings=settings)


def hex_of(body: bytes, secret: str = "secret") -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def stripe(header: str, body: bytes = b"{}") -> schemes.Verdict:
    return made("stripe").verify(HookRequest("POST", "", {"Stripe-Signature": header}, body), NOW)


GOOD = hex_of(b"1790000000.{}")


def test_one_header_can_hold_several_signatures_and_versions() -> None:
    assert stripe(f"t=1790000000,v1={'0' * 64},v1={GOOD}").ok
    assert stripe(f"t=1790000000,v1={GOOD},v0=abc").ok
    assert stripe(f"v1={GOOD}, t=1790000000").ok
    assert stripe(f"t=1790000000,v0={GOOD}").reason == "unsupported_version"
    assert stripe(f"t=1790000000,v1={'0' * 64},v0={GOOD}").reason == "no_match"


def test_a_signature_of_the_wrong_length_or_without_a_comma_is_refused_and_said_to_be_malformed() -> None:
    for text in (GOOD, f"t=1790000000 v1={GOOD}", "t=1790000000,v1=", "é", "\ud800", ",,,", "t=,v1=x"):
        assert stripe(text).reason in ("malformed_header", "unsupported_version", "missing_header", "bad_timestamp")
    for text in (GOOD[:-1], GOOD + "0", GOOD.upper(), f" {GOOD}0", "é" * 64, "\ud800", "v" * 100_000):
        assert stripe(f"t=1790000000,v1={text}").reason == "malformed_header"
    assert stripe("").reason == "missing_header"
    assert made("stripe").verify(HookRequest(), NOW).reason == "missing_header"


def test_timestamps_that_only_look_like_numbers_are_refused() -> None:
    for text in ("Infinity", "nan", "1e9", "-1", "1.5", "٣", "+1790000000", "0x1", "9" * 400):
        assert stripe(f"t={text},v1={GOOD}").reason == "bad_timestamp"


def test_an_altered_last_character_of_base64_is_refused() -> None:
    body = b'{"a":1}'
    text = base64.b64encode(hmac.new(b"secret", body, "sha256").digest()).decode()
    altered = text[:-2] + chr(ord(text[-2]) + 1) + "="
    assert base64.b64decode(altered) == base64.b64decode(text)
    verifier = made("shopify")
    assert verifier.verify(HookRequest("POST", "", {"X-Shopify-Hmac-Sha256": text}, body), NOW).ok
    assert not verifier.verify(HookRequest("POST", "", {"X-Shopify-Hmac-Sha256": altered}, body), NOW).ok


def test_bytes_are_signed_not_what_json_makes_of_them() -> None:
    body = b'{"a": 1.0,\r\n "b": "\\u00e9"}\r\n'
    right = {"X-Hub-Signature-256": f"sha256={hex_of(body)}"}
    assert made("github").verify(HookRequest("POST", "", right, body), NOW).ok
    again = json.dumps(json.loads(body)).encode()
    assert made("github").verify(HookRequest("POST", "", right, again), NOW).reason == "no_match"


@pytest.mark.parametrize(("name", "key"), [("sendgrid", keys.ec_key), ("wise", keys.rsa_key)])
def test_a_signature_of_any_length_is_malformed_if_it_is_not_base64(name: str, key: Any) -> None:
    scheme = schemes.named(name)
    request = sign(scheme, keys.pem(key()), sample(scheme), NOW)
    verifier = Verifier(scheme, keys.public_pem(key()))
    (place,) = {name for name, value in request.headers.items() if len(value) > 80}
    for cut, reason in ((5, "malformed_header"), (4, "no_match")):
        text = request.headers[place][:-cut]
        short = request.but(headers={**request.headers, place: text[: len(text) // 4 * 4] if cut == 4 else text})
        assert verifier.verify(short, NOW).reason == reason


def test_a_body_that_ends_in_crlf_is_signed_with_it() -> None:
    scheme = schemes.named("sendgrid")
    body = b'[{"event":"delivered"}]\r\n'
    request = sign(scheme, keys.pem(keys.ec_key()), sample(scheme).but(body=body), NOW)
    verifier = Verifier(scheme, keys.public_pem(keys.ec_key()))
    assert verifier.verify(request, NOW).ok
    assert verifier.verify(request.but(body=body.rstrip()), NOW).reason == "no_match"
    assert schemes.explain(verifier, request.but(body=body.rstrip()), NOW).reason == "changed_body"


def test_boxs_body_may_be_signed_in_ascii() -> None:
    body = '{"name":"スクリーン 😀","path":"a/b"}'.encode()
    ascii_ = body.decode().encode("ascii", "backslashreplace")
    assert b"\\U0001f600" in ascii_
    pair = ascii_.replace(b"\\U0001f600", b"\\ud83d\\ude00")
    head = {"BOX-SIGNATURE-VERSION": "1", "BOX-SIGNATURE-ALGORITHM": "HmacSHA256"}
    head["BOX-DELIVERY-TIMESTAMP"] = "2026-09-21T07:13:20-07:00"
    for signed in (body, pair, pair.replace(b"/", b"\\/")):
        mac = hmac.new(b"secret", signed + head["BOX-DELIVERY-TIMESTAMP"].encode(), "sha256").digest()
        request = HookRequest("POST", "", {**head, "BOX-SIGNATURE-SECONDARY": base64.b64encode(mac).decode()}, body)
        assert made("box").verify(request, NOW).ok
        future = made("box").verify(request, NOW - 1)
        assert future.reason == "too_new"
    request = request.but(headers={**request.headers, "box-signature-version": "2"})
    assert made("box").verify(request, NOW).reason == "unsupported_version"


def test_each_of_docusigns_headers_counts() -> None:
    mac = base64.b64encode(hmac.new(b"secret", b"{}", "sha256").digest()).decode()
    other = base64.b64encode(bytes(32)).decode()
    head = {"X-DocuSign-Signature-1": other, "X-DocuSign-Signature-2": mac}
    assert made("docusign").verify(HookRequest("POST", "", head, b"{}"), NOW).ok


def test_a_flood_of_signatures_is_not_checked() -> None:
    head = {f"X-DocuSign-Signature-{number}": "x" for number in range(10_000)}
    assert not made("docusign").verify(HookRequest("POST", "", head, b"{}"), NOW).ok
    assert stripe("t=1790000000," + ",".join(["v1=" + "0" * 64] * 100 + ["v1=" + GOOD])).reason == "no_match"


def test_basic_credentials_are_cut_at_the_first_colon() -> None:
    def code(text: str, secret: str = "ann:a:b") -> str:
        head = {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}
        return made("basic", secret).verify(HookRequest("POST", "", head), NOW).reason

    assert code("ann:a:b") == "genuine"
    for wrong in ("ann:a", "ann:a:b:", "ann:", ":a:b", "ann:a:B"):
        assert code(wrong) == "wrong_secret"
    assert code("ann") == "malformed_header"
    with pytest.raises(Refused, match="user:password"):
        made("basic", "ann")


def test_grafanas_time_is_signed_if_the_contact_point_names_the_header() -> None:
    body, stamp = b'{"status":"firing"}', "1790000000"
    head = {"X-Grafana-Alerting-Signature": hex_of(body)}
    assert made("grafana").verify(HookRequest("POST", "", head, body), NOW).ok
    timed = {"X-Grafana-Alerting-Signature": hex_of(f"{stamp}:".encode() + body)}
    timed["X-Grafana-Alerting-Signature-Timestamp"] = stamp
    assert made("grafana").verify(HookRequest("POST", "", timed, body), NOW).ok
    assert made("grafana").verify(HookRequest("POST", "", timed, body), NOW + 301).reason == "too_old"
    assert not made("grafana").verify(HookRequest("POST", "", {**timed, **head}, body + b" "), NOW).ok


def test_ghosts_time_follows_its_signature() -> None:
    body, stamp = b'{"post":{}}', "1790000000000"
    head = {"X-Ghost-Signature": f"sha256={hex_of(body + stamp.encode())}, t={stamp}"}
    assert made("ghost").verify(HookRequest("POST", "", head, body), NOW).ok
    later = {"X-Ghost-Signature": head["X-Ghost-Signature"][:-1] + "1"}
    assert made("ghost").verify(HookRequest("POST", "", later, body), NOW).reason == "no_match"


def test_twilio_signs_the_public_url_with_or_without_its_port() -> None:
    scheme = schemes.named("twilio")
    request = sign(scheme, "secret", sample(scheme, "https://example.com/in?x=1"), NOW)
    for url, right in (
        ("https://example.com:443/in?x=1", True),
        ("https://example.com/in?x=1", True),
        ("http://example.com/in?x=1", False),
        ("https://example.com:8443/in?x=1", True),
        ("https://example.com/in", False),
    ):
        assert made("twilio").verify(request.but(url=url), NOW).ok is right, url


def test_twilios_json_body_is_covered_by_a_hash_in_the_url() -> None:
    scheme = schemes.named("twilio")
    plain = HookRequest("POST", "https://example.com/in", {"Content-Type": "application/json"}, b'{"a":1}')
    request = sign(scheme, "secret", plain, NOW)
    assert "bodySHA256=" in request.url
    assert made("twilio").verify(request, NOW).ok
    assert made("twilio").verify(request.but(body=b'{"a":2}'), NOW).reason == "changed_body"
    form = sign(scheme, "secret", sample(scheme, "https://example.com/in").but(body=b""), NOW)
    sneaked = form.but(body=b'{"a":1}', headers={**form.headers, "content-type": "application/json"})
    assert made("twilio").verify(sneaked, NOW).reason == "missing_header"


def test_every_item_of_adyen_must_be_genuine() -> None:
    scheme = schemes.named("adyen")
    body = json.loads(sample(scheme).body)
    body["notificationItems"] *= 2
    secret = "ab" * 32
    request = sign(scheme, secret, sample(scheme).but(body=json.dumps(body).encode()), NOW)
    assert Verifier(scheme, secret).verify(request, NOW).ok
    value: dict[str, Any] = json.loads(request.body)
    value["notificationItems"][1]["NotificationRequestItem"]["success"] = "false"
    verdict = Verifier(scheme, secret).verify(request.but(body=json.dumps(value).encode()), NOW)
    assert (verdict.reason, "item 1" in verdict.detail) == ("no_match", True)
    assert Verifier(scheme, secret).verify(request.but(body=b'{"notificationItems":[]}'), NOW).reason == "bad_body"


def test_every_notice_of_graph_must_have_the_secret() -> None:
    def reason(*states: str | None) -> str:
        value = [{"clientState": state} if state is not None else {} for state in states]
        body = json.dumps({"value": value}).encode()
        return made("microsoft-graph").verify(HookRequest("POST", "", {}, body), NOW).reason

    assert reason("secret", "secret") == "genuine"
    assert reason("secret", "wrong") == "wrong_secret"
    assert reason("secret", None) == "wrong_secret"
    assert reason(None) == reason() == "missing_header"


# --- certificates and keys by URL ------------------------------------------------------------------------------------

BAD_URLS = [
    "http://sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com.evil.example/a.pem",
    "https://evil.example/sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com@evil.example/a.pem",
    "https://evil.example#sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com:8443/a.pem",
    "https://xsns.us-east-1.amazonaws.com/a.pem",
    "https://sns..amazonaws.com/a.pem",
    "https://127.0.0.1/a.pem",
    "https://[::1]/a.pem",
    "https://[/a.pem",
    "https://evil.example\\.sns.us-east-1.amazonaws.com/a.pem",
    "https://sns.us-east-1.amazonaws.com/a.txt",
    "https://sns.us-east-1.amazonaws.com\n.evil.example/a.pem",
    "file:///etc/passwd",
    "",
]


TOPIC = {"topic_arn": "arn:aws:sns:us-west-2:123456789012:MyTopic"}


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_certificate_is_only_fetched_from_hosts_of_its_sender(url: str) -> None:
    scheme = schemes.named("aws-sns")
    signed = sign(scheme, keys.pem(keys.rsa_key()), sample(scheme), NOW, settings=TOPIC)
    value = json.loads(signed.body)
    value["SigningCertURL"] = url
    request = signed.but(body=json.dumps(value).encode())
    verifier = Verifier(scheme, settings=TOPIC)
    assert verifier.needs(request) == ()
    assert verifier.verify(request, NOW).reason in ("untrusted_url", "missing_header")


def test_a_certificate_that_is_trusted_is_asked_for_and_used() -> None:
    scheme = schemes.named("aws-sns")
    request = sign(scheme, keys.pem(keys.rsa_key()), sample(scheme), NOW, settings=TOPIC)
    verifier = Verifier(scheme, settings=TOPIC)
    (needed,) = verifier.needs(request)
    assert (needed.method, needed.url.startswith("https://sns.us-west-2.amazonaws.com/")) == ("GET", True)
    assert verifier.verify(request, NOW).reason == "no_key"
    for junk in (b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"):
        assert verifier.verify(request, NOW, {needed.key: junk}).reason == "no_key"
    pem = certificate()
    assert verifier.verify(request, NOW, {needed.key: pem}).ok
    year = verifier.but(tolerance_seconds=365 * 86_400)
    assert year.verify(request, NOW + 40 * 86_400, {needed.key: pem}).reason == "no_key"
    version_1 = json.loads(sample(scheme).body) | {"SignatureVersion": "1"}
    old = sign(
        scheme, keys.pem(keys.rsa_key()), sample(scheme).but(body=json.dumps(version_1).encode()), NOW, settings=TOPIC
    )
    assert verifier.verify(old, NOW, {needed.key: pem}).ok
    version_3 = old.body.replace(b'"SignatureVersion":"1"', b'"SignatureVersion":"3"')
    assert verifier.verify(old.but(body=version_3), NOW, {needed.key: pem}).reason == "unsupported_version"


def test_paypal_signs_the_checksum_of_the_body_and_the_webhooks_id() -> None:
    scheme = schemes.named("paypal")
    request = sign(scheme, keys.pem(keys.rsa_key()), sample(scheme), NOW, settings={"webhook_id": "WH1"}, ident="t1")
    verifier = Verifier(scheme, settings={"webhook_id": "WH1"})
    (needed,) = verifier.needs(request)
    fetched = {needed.key: certificate("messageverificationcerts.paypal.com")}
    assert verifier.verify(request, NOW, fetched).ok
    shown = verifier.shown(request)
    assert shown == f"t1|2026-09-21T14:13:20Z|WH1|{zlib.crc32(request.body)}".encode()
    other = Verifier(scheme, settings={"webhook_id": "WH2"})
    assert other.verify(request, NOW, fetched).reason == "no_match"
    with pytest.raises(Refused) as caught:
        Verifier(scheme)
    assert caught.value.pointer == "/settings/webhook_id"
    elsewhere = {**request.headers, "paypal-cert-url": "https://paypal.com.evil.example/c"}
    assert verifier.verify(request.but(headers=elsewhere), NOW, fetched).reason == "untrusted_url"


def test_plaids_key_is_asked_for_with_the_credentials() -> None:
    scheme = schemes.named("plaid")
    request = sign(scheme, keys.pem(keys.ec_key()), sample(scheme), NOW)
    verifier = Verifier(scheme, "client:secret", settings={"environment": "sandbox"})
    (needed,) = verifier.needs(request)
    assert (needed.method, needed.url) == ("POST", "https://sandbox.plaid.com/webhook_verification_key/get")
    assert json.loads(needed.body) == {"client_id": "client", "secret": "secret", "key_id": "tidings"}
    assert verifier.verify(request, NOW).reason == "no_key"
    answer = json.dumps({"key": keys.jwk(keys.ec_key()), "request_id": "x"}).encode()
    assert verifier.verify(request, NOW, {needed.key: answer}).ok
    other = json.dumps({"key": keys.jwk(keys.ec_key(), "other")}).encode()
    assert verifier.verify(request, NOW, {needed.key: other}).reason == "no_key"
    for environment in ("evil.example/", "sandbox.plaid.com@evil", "x"):
        strange = Verifier(scheme, "client:secret", settings={"environment": environment})
        assert strange.needs(request) == ()
        assert strange.verify(request, NOW).reason == "untrusted_url"


def test_googles_token_must_be_for_us_and_of_our_account() -> None:
    scheme = schemes.named("google-pubsub")
    settings = {"audience": "https://example.com/in", "service_account": "push@p.iam.gserviceaccount.com"}
    request = sign(scheme, keys.pem(keys.rsa_key()), sample(scheme), NOW, settings=settings)
    verifier = Verifier(scheme, settings=settings)
    (needed,) = verifier.needs(request)
    fetched = {needed.key: json.dumps({"keys": [keys.jwk(keys.rsa_key())]}).encode()}
    assert needed.url == "https://www.googleapis.com/oauth2/v3/certs"
    assert verifier.verify(request, NOW, fetched).ok
    assert verifier.verify(request, NOW + 306, fetched).reason == "too_old"
    for name in settings:
        other = Verifier(scheme, settings={**settings, name: "other"})
        assert other.verify(request, NOW, fetched).reason == "wrong_claim"
    with pytest.raises(Refused):
        Verifier(scheme, settings={"audience": "https://example.com/in"})


def test_a_token_without_a_signature_or_with_another_algorithm_is_refused() -> None:
    def token(head: dict[str, str], signed: bool = True) -> str:
        text = keys.urlsafe(json.dumps(head).encode()) + "." + keys.urlsafe(b'{"iss":"netlify"}')
        mac = hmac.new(b"secret", text.encode(), "sha256").digest()
        return text + "." + (keys.urlsafe(mac) if signed else "")

    def reason(text: str) -> str:
        return made("netlify").verify(HookRequest("POST", "", {"X-Webhook-Signature": text}, b""), NOW).reason

    assert reason(token({"alg": "HS256"})) == "changed_body"  # signed, without the hash of a body
    assert reason(token({"alg": "none"}, signed=False)) == "unsupported_version"
    for algorithm in ("none", "None", "HS512", "RS256", "ES256", ""):
        assert reason(token({"alg": algorithm})) == "unsupported_version"
    assert reason(token({"alg": "HS256", "crit": "x"})) == "unsupported_version"
    for text in ("a.b.c", "..", "a", "." * 10_000, token({"alg": "HS256"}) + "=", token({"alg": "HS256"}) + ".x"):
        assert reason(text) == "malformed_header"
    assert reason(token({"alg": "HS256"})[:-4] + "AAAA") == "wrong_secret"


def test_a_genuine_token_whose_times_are_no_moments_is_refused_as_malformed() -> None:
    def reason(name: str, digits: str) -> str:
        claims = f'{{"iss":"netlify","sha256":"{hashlib.sha256(b"{}").hexdigest()}","{name}":{digits}}}'.encode()
        text = keys.urlsafe(b'{"alg":"HS256"}') + "." + keys.urlsafe(claims)
        text += "." + keys.urlsafe(hmac.new(b"secret", text.encode(), "sha256").digest())
        return made("netlify").verify(HookRequest("POST", "", {"X-Webhook-Signature": text}, b"{}"), NOW).reason

    assert reason("exp", str(int(NOW) + 60)) == "genuine"
    for name in ("exp", "iat", "nbf"):
        for digits in ("9" * 400, "-" + "9" * 400, "1e999", "-1e999", "1e20", "9" * 5_000, "true", '"1"'):
            assert reason(name, digits) == "malformed_header", (name, digits[:10])


def test_a_place_in_a_list_beyond_every_list_is_empty() -> None:
    request = HookRequest("POST", "", {}, b'{"a":[1]}')
    for place in (f"json:a.{'9' * 30}", f"json:a.{'9' * 5_000}"):
        assert source(place).first(request) is None
    assert source(f"part:{'9' * 5_000}").first(request, ["a"]) is None


def test_the_rsa_keys_of_a_set_are_not_hmac_secrets() -> None:
    with pytest.raises(Refused, match="not both"):
        schemes.read({"check": {"kind": "jwt", "from": "header:a", "algorithms": ["HS256", "RS256"]}})


def test_an_empty_key_set_has_no_key() -> None:
    needed = jwks.Needed("u", "u")
    for junk in (b"", b"[]", b"{}", b"null", b'{"keys":5}', b"\xff"):
        assert reason_of(needed, junk) == "no_key"
    weak = {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}
    found = jwks.key_set(needed, {"u": json.dumps(weak).encode()})
    assert found.public("rsa-sha256") == found.public("ecdsa-p256-sha256") == []


def reason_of(needed: jwks.Needed, raw: bytes) -> str:
    from tidings.rules.schemes.verdict import Unfit

    with pytest.raises(Unfit) as caught:
        jwks.key_set(needed, {"u": raw})
    return caught.value.reason


def test_a_digest_is_compared_whatever_its_case_only_where_the_sender_does() -> None:
    scheme = schemes.named("vonage-sms")
    request = sign(scheme, "secret", sample(scheme), NOW)
    text = request.url.rpartition("sig=")[2]
    upper = request.but(url=request.url.replace(text, text.upper()))
    assert Verifier(scheme, "secret").verify(upper, NOW).ok
    parameters = dict(
        pair.split("=") for pair in request.url.partition("?")[2].split("&") if not pair.startswith("sig")
    )
    plain = "".join(f"&{name}={parameters[name]}" for name in sorted(parameters)) + "secret"
    hashed = hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()
    assert Verifier(scheme, "secret").verify(request.but(url=request.url.replace(text, hashed)), NOW).ok
