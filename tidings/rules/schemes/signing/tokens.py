"""Tokens made as their senders make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import Hash, Jwt
from tidings.rules.schemes.kinds.jwt import PUBLIC_ALGORITHMS, SECRET_HASHES
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.signing.writing import put
from tidings.rules.schemes.sources import encoded

LIFE_SECONDS = 300
KID = "tidings"


def sign_jwt(form: Jwt, secret: str, request: HookRequest, now: float, settings: Mapping[str, str]) -> HookRequest:
    """The request with a token of the first algorithm of the form. Raises Refused for a secret that cannot sign."""
    algorithm = form.algorithms[0]
    head: dict[str, Any] = {"alg": algorithm, "typ": "JWT"}
    if algorithm not in SECRET_HASHES:
        head["kid"] = KID
    signed = _piece(head) + b"." + _piece(claims(form, request, now, settings))
    token = signed + b"." + crypto.ENCODE["base64url"](_signature(algorithm, secret, signed))
    return put(request, form.source, form.prefix + token.decode())


def claims(form: Jwt, request: HookRequest, now: float, settings: Mapping[str, str]) -> dict[str, Any]:
    """The token's claims: who, when, and the hashes of the body and URL."""
    says: dict[str, Any] = {"iat": int(now), "nbf": int(now), "exp": int(now) + LIFE_SECONDS}
    for name, claim in form.claims.items():
        value = settings.get(claim.setting) if claim.setting else claim.values[0]
        if value is not None and value != "":
            says[name.partition(" | ")[0]] = value
    if form.url_hash:
        says[form.url_hash.claim] = _hash(form.url_hash, encoded(request.url))
    if form.body_hash and (request.body or not form.body_hash.optional):
        says[form.body_hash.claim] = _hash(form.body_hash, request.body)
    return says


def _signature(algorithm: str, secret: str, signed: bytes) -> bytes:
    if algorithm in SECRET_HASHES:
        return crypto.hmac_digest(crypto.primed(secret.encode(), SECRET_HASHES[algorithm]), signed)
    name = PUBLIC_ALGORITHMS[algorithm]
    try:
        raw = crypto.signature_of(crypto.private_key(secret, name, "base64"), name, signed)
    except ValueError as error:
        raise Refused("/secrets", "secret", f"This key cannot sign with {algorithm}: {error}.") from None
    return _as_pair(raw) if algorithm == "ES256" else raw


def _as_pair(der: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(der)
    return r.to_bytes(32) + s.to_bytes(32)


def _piece(value: dict[str, Any]) -> bytes:
    return crypto.ENCODE["base64url"](msgspec.json.encode(value))


def _hash(form: Hash, raw: bytes) -> str:
    return crypto.ENCODE[form.encoding](crypto.digest("sha256", raw)).decode()
