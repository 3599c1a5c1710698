"""Keys and certificates that are fetched by URL: what is needed, and what was fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import PublishedKeys
from tidings.rules.schemes.verdict import Unfit

KEYS_MAX = 50
"""Only this many keys of one set are read."""
TRIED_MAX = 8
"""A token is checked with at most this many keys: each check takes as long as ten HMACs."""


class Needed(msgspec.Struct, frozen=True):
    """Something to fetch before a request can be checked; pass the body of the response as `fetched[needed.key]`.

    Its host is one that the scheme trusts. It may be kept for hours; if a check then returns `no_key`, fetch it again.
    """

    key: str
    url: str
    method: str = "GET"
    body: bytes = b""


class JwkSet:
    """Where a set of keys is published, with the hook's settings filled in. Raises Unfit for an untrusted host."""

    __slots__ = ("needed",)

    def __init__(self, form: PublishedKeys, settings: Mapping[str, str]) -> None:
        url = form.url
        for name, value in settings.items():
            url = url.replace(f"{{{name}}}", value)
        trusted(url, form.hosts or (re.escape(urlsplit(form.url).hostname or ""),), with_query="?" in form.url)
        self.needed = Needed(url, url)


def trusted(url: str, hosts: tuple[str, ...], path: re.Pattern[str] | None = None, *, with_query: bool = False) -> None:
    """Raise Unfit unless a URL is https on the usual port, and its whole host fits one of the patterns.

    `path` is a pattern for its whole path. It has a query only if that is permitted, and never a fragment.
    """
    try:
        split = urlsplit(url)
        plain = split.scheme == "https" and split.port in (None, 443) and "@" not in split.netloc
        host = split.hostname or ""
    except ValueError:
        plain, host = False, ""
    ordinary = not re.search(r"[\s\\#\x00-\x1f\x7f-\U0010ffff]", url) and (with_query or "?" not in url)
    if not (plain and ordinary and any(re.fullmatch(pattern, host) for pattern in hosts)):
        raise Unfit("untrusted_url", f"{url[:200]!r} is not an https URL on a host that this scheme trusts.")
    if path is not None and not path.fullmatch(split.path):
        raise Unfit("untrusted_url", f"{url[:200]!r} is not where this sender publishes its certificates.")


class KeySet:
    """The public keys of a JWK set."""

    def __init__(self, keys: list[dict[str, Any]]) -> None:
        self.keys = keys[:KEYS_MAX]

    def public(self, algorithm: str) -> list[Any]:
        """Every key that fits an algorithm."""
        return [key for jwk in self.keys if (key := public_of(jwk, algorithm)) is not None]

    def by_id(self, kid: str | None) -> list[dict[str, Any]]:
        """The keys of this `kid`; if the token names none, the first few."""
        return self.keys[:TRIED_MAX] if kid is None else [jwk for jwk in self.keys if jwk.get("kid") == kid][:TRIED_MAX]


def key_set(needed: Needed, fetched: Mapping[str, bytes]) -> KeySet:
    """The fetched set. Raises Unfit if it was not fetched, or is not a set of keys."""
    raw = fetched.get(needed.key)
    if raw is None:
        raise Unfit("no_key", f"The keys at {needed.url} could not be fetched.")
    try:
        return read_keys(msgspec.json.decode(raw))
    except (msgspec.DecodeError, ValueError):
        raise Unfit("no_key", f"The response from {needed.url} is not a set of keys.") from None


def read_keys(value: Any) -> KeySet:
    """A JWK set, one JWK, or a JWK under `key`. Raises ValueError for anything else."""
    if isinstance(value, dict):
        keys = value.get("keys")
        if isinstance(keys, list):
            return KeySet([key for key in keys if isinstance(key, dict)])
        if isinstance(value.get("key"), dict):
            return KeySet([value["key"]])
        if "kty" in value:
            return KeySet([value])
    raise ValueError("it is not a JWK set")


def public_of(jwk: Mapping[str, Any], algorithm: str) -> Any:
    """The public key of a JWK, or None if it is not one for this algorithm."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        key: Any
        if algorithm == "ed25519" and jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            key = ed25519.Ed25519PublicKey.from_public_bytes(_raw(jwk, "x"))
            crypto.check_kind(key, algorithm)
            return key
        if algorithm.startswith("ecdsa") and jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
            x, y = _number(jwk, "x"), _number(jwk, "y")
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        if algorithm.startswith("rsa") and jwk.get("kty") == "RSA":
            key = rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
            crypto.check_kind(key, algorithm)
            return key
    except (ValueError, TypeError):
        return None
    return None


def _raw(jwk: Mapping[str, Any], name: str) -> bytes:
    raw = crypto.loosely(str(jwk.get(name, "")), "base64url")
    if not raw:
        raise ValueError(f"{name} is missing")
    return raw


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_raw(jwk, name))
