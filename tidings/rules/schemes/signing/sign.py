"""The checks run backwards: a request as its sender would have signed it, to try a hook out with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import (
    Basic,
    Certificate,
    ItemSignatures,
    Jwt,
    Scheme,
    SecretForm,
    Signature,
    SortedParameters,
    Token,
)
from tidings.rules.schemes.kinds import certificates, item_signatures, sorted_parameters
from tidings.rules.schemes.kinds.signed import key_bytes, texts
from tidings.rules.schemes.request import HookRequest, compact_json
from tidings.rules.schemes.signing.tokens import sign_jwt
from tidings.rules.schemes.signing.writing import basic, is_at, put, put_query, written
from tidings.rules.schemes.sources import Moment, Template, source
from tidings.rules.schemes.verdict import Unfit
from tidings.rules.schemes.verifier import Verifier

PAYPAL_CERTIFICATE = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-ab47cf2d"


def sample(scheme: Scheme, url: str = "https://example.com/in", event_type: str = "") -> HookRequest:
    """A request of the sender, before it is signed. `event_type` is put where the sender puts it."""
    one = scheme.sample
    body = b""
    if one.body is not None:
        body = one.body.encode() if isinstance(one.body, str) else compact_json(one.body).encode()
    headers = dict(one.headers)
    if one.method != "GET":
        headers.setdefault("Content-Type", one.content_type)
    whole = f"{url}{'&' if '?' in url else '?'}{one.query}" if one.query else url
    request = HookRequest(one.method, whole, headers, body)
    return put(request, scheme.event_type, event_type) if event_type and scheme.event_type else request


def sign(
    scheme: Scheme,
    secrets: str | Sequence[str],
    request: HookRequest,
    now: float,
    *,
    settings: Mapping[str, str] | None = None,
    ident: str = "",
) -> HookRequest:
    """The request with what proves that its sender knows the secrets, at `now` (seconds since 1970).

    For key pairs the secret is the private key: PEM, or the seed of ed25519 written as the public key is. If the scheme
    signs a timestamp or an id, they are written into the request too; `ident` is used if it has no id. If a scheme has
    several checks, the first one that the secret is for applies. Raises Refused for a secret that cannot sign and for a
    request that lacks what is signed.
    """
    all_secrets = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    filled = Verifier(scheme, (), settings=settings).settings
    try:
        return _signed(scheme, all_secrets, request, now, filled, ident or f"msg_{int(now)}")
    except Unfit as unfit:
        raise Refused("/request", "missing", unfit.detail) from None


def _signed(
    scheme: Scheme, secrets: Sequence[str], request: HookRequest, now: float, settings: Mapping[str, str], ident: str
) -> HookRequest:
    if not secrets and not isinstance(scheme.checks[0], Basic | Token):
        raise Refused("/secrets", "missing", "Signing requires a secret.")
    check = scheme.checks[0]
    match check:
        case Signature():
            return _signature(_for(scheme, secrets[0]), secrets, request, now, ident)
        case Token():
            return put(request, _way(check.source, request), check.prefix + secrets[0])
        case Basic():
            return basic(request, secrets[0])
        case SortedParameters():
            return _sorted(check, secrets[0], request, now)
        case Certificate():
            return _certified(check, secrets[0], request, now, settings, ident)
        case Jwt():
            return sign_jwt(check, secrets[0], request, now, settings)
        case ItemSignatures():
            return _items(secrets[0], request)


def _for(scheme: Scheme, secret: str) -> Signature:
    """The check that this secret is for: the one that names its beginning, else the first."""
    signatures = [check for check in scheme.checks if isinstance(check, Signature)]
    named = [check for check in signatures if check.secret.only and secret.startswith(_private_prefix(check))]
    return named[0] if named else signatures[0]


def _private_prefix(check: Signature) -> tuple[str, ...]:
    """Standard Webhooks uses different prefixes for the private half and the public half."""
    only = check.secret.only
    return (only, "whsk_") if only == "whpk_" else (only,)


def _signature(check: Signature, secrets: Sequence[str], request: HookRequest, now: float, ident: str) -> HookRequest:
    stamp = written(now, check.timestamp.unit) if check.timestamp else ""
    if check.timestamp and not check.timestamp.source.startswith("part:"):
        request = put(request, _way(check.timestamp.source, request), stamp)
    for place, wanted in check.requires.items():
        request = put(request, _way(place, request), wanted)
    if check.id and source(check.id).first(request) is None:
        request = put(request, _way(check.id, request), ident)
    given = source(check.id).first(request) if check.id else ""
    template = Template(texts(check.signed)[0])
    parts = [f"{check.timestamp.source[5:]}={stamp}"] if check.timestamp else []
    found = [
        _one(check, secret, template, request, Moment(parts, stamp, given or ""), number)
        for number, secret in enumerate(secrets if check.signature.split else secrets[:1])
    ]
    return put(request, _way(check.signature.source, request), _text(check, stamp, found))


def _one(check: Signature, secret: str, template: Template, request: HookRequest, moment: Moment, number: int) -> str:
    encode = crypto.ENCODE[check.signature.encoding]
    name = check.algorithm
    if name in crypto.PUBLIC:
        bare = secret.removeprefix("whsk_").removeprefix(check.secret.only).removeprefix(check.secret.strip)
        message = template.fill(request, moment)
        return encode(crypto.signature_of(private(bare, name, check.secret.encoding), name, message)).decode()
    key = key_bytes(secret, check.secret, number)
    if name.startswith("hmac-"):
        states = crypto.primed(key, name.removeprefix("hmac-"))
        return encode(crypto.hmac_digest(states, template.fill(request, moment))).decode()
    moment.secret = key
    return encode(crypto.digest(name, template.fill(request, moment))).decode()


def private(text: str, algorithm: str, encoding: str) -> Any:
    """The private key of a secret's text. Raises Refused."""
    try:
        return crypto.private_key(text, algorithm, encoding)
    except ValueError as error:
        raise Refused("/secrets", "secret", f"This key cannot sign with {algorithm}: {error}.") from None


def _text(check: Signature, stamp: str, signatures: Sequence[str]) -> str:
    """The signature's text, with the timestamp if the scheme has it there."""
    place = check.signature
    named = f"key{place.key_end}" if place.key_end else ""
    parts = [place.prefix + named + signature for signature in signatures]
    if check.timestamp and check.timestamp.source.startswith("part:"):
        key = check.timestamp.source[5:]
        parts.insert(0, stamp if key == "0" else f"{key}={stamp}")
    return (place.split or ",").join(parts)


def _way(text: str, request: HookRequest) -> str:
    """The place, of those where a value may be, that suits this request."""
    ways = [part.split(" & ")[0].strip() for part in text.split(" | ")]
    return next((way for way in ways if is_at(way, request)), ways[0])


def _sorted(check: SortedParameters, secret: str, request: HookRequest, now: float) -> HookRequest:
    if check.timestamp:
        request = put(request, _way(check.timestamp.source, request), written(now, check.timestamp.unit))
    if check.style == "url_form" and request.body and not sorted_parameters.fields(request):
        hashed = crypto.digest("sha256", request.body).hex()
        request = put_query(request, sorted_parameters.BODY_HASH, hashed)
    made = sorted_parameters.SortedCheck(check, [(0, secret)])
    mac = made.mac(secret.encode(), made.shown(request))
    text = check.signature.prefix + crypto.ENCODE[check.signature.encoding](mac).decode()
    return put(request, _way(check.signature.source, request), text)


def _certified(
    check: Certificate, secret: str, request: HookRequest, now: float, settings: Mapping[str, str], ident: str
) -> HookRequest:
    key = private(secret, "rsa-sha256", "base64")
    made = certificates.CertificateCheck(check, (), settings)
    if check.style == "paypal":
        says = {
            "PayPal-Transmission-Id": ident,
            "PayPal-Transmission-Time": written(now, "iso"),
            "PayPal-Transmission-Sig": "-",
            "PayPal-Cert-Url": PAYPAL_CERTIFICATE,
            "PayPal-Auth-Algo": "SHA256withRSA",
        }
        request = request.but(headers={**request.headers, **{name.lower(): value for name, value in says.items()}})
        raw = crypto.signature_of(key, "rsa-sha256", made.shown(request))
        return put(request, "header:PayPal-Transmission-Sig", crypto.text_of(raw))
    value = _object(request)
    moment = datetime.fromtimestamp(now, UTC)
    value["Timestamp"] = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    value["Signature"], value["TopicArn"] = "-", settings["topic_arn"]
    request = request.but(body=compact_json(value).encode())
    algorithm = "rsa-sha1" if str(value.get("SignatureVersion")) == "1" else "rsa-sha256"
    raw = crypto.signature_of(key, algorithm, made.shown(request))
    return put(request, "json:Signature", crypto.text_of(raw))


def _object(request: HookRequest) -> dict[str, Any]:
    try:
        value = json.loads(request.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Unfit("bad_body", "The body must be a JSON object to be signed by this scheme.")
    return value


def _items(secret: str, request: HookRequest) -> HookRequest:
    item_signatures.items(request)
    states = crypto.primed(key_bytes(secret, SecretForm(encoding="hex")), "sha256")
    value = _object(request)
    for each in value["notificationItems"]:
        item = each["NotificationRequestItem"]
        mac = crypto.hmac_digest(states, item_signatures.signed_text(item))
        item["additionalData"] = {**(item.get("additionalData") or {}), "hmacSignature": crypto.text_of(mac)}
    return request.but(body=compact_json(value).encode())
