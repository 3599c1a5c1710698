"""JSON Web Tokens (RFC 7519) that come with a request: Plaid, Google, MessageBird, LiveKit, Vonage, Graph."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import jiter
import msgspec

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import crypto
from tidings.rules.schemes.form import Claim, Hash, Jwt
from tidings.rules.schemes.kinds.jwks import JwkSet, KeySet, Needed, key_set, public_of, read_keys, trusted
from tidings.rules.schemes.kinds.signed import check_age
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import Source, encoded
from tidings.rules.schemes.verdict import Unfit

TOKEN_CHARS_MAX = 16_384
TOKENS_MAX = 32
TIME_MAX = 253_402_300_799
"""The last second of the year 9999. A token that claims a later one would never expire."""
SECRET_HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
PUBLIC_ALGORITHMS = {"RS256": "rsa-sha256", "ES256": "ecdsa-p256-sha256"}
PLAID_HOSTS = (r"(production|sandbox|development)\.plaid\.com",)
PLAID_URL = "https://{environment}.plaid.com/webhook_verification_key/get"


class Read(msgspec.Struct, frozen=True):
    """The parts of a token."""

    algorithm: str
    kid: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


class JwtCheck:
    """A compiled `Jwt`. Secrets are HMAC keys or, if keys are fetched, a JWK (set) to be used instead."""

    def __init__(
        self,
        form: Jwt,
        secrets: Sequence[tuple[int, str]],
        settings: Mapping[str, str],
        tolerance_seconds: float | None = None,
    ) -> None:
        self._form, self._settings, self._source = form, settings, Source(form.source)
        self._age = form.age_seconds if tolerance_seconds is None else tolerance_seconds
        self._by_secret = form.algorithms[0] in SECRET_HASHES
        self._secrets, self._pinned, self._credentials = [], KeySet([]), ("", "")
        for index, text in secrets:
            if self._by_secret:
                if not text:
                    raise Refused(f"/{index}", "secret", "This secret is empty.")
                self._secrets.append((index, _primed(text.encode(), form)))
            else:
                self._pin(index, text)
        self._set = JwkSet(form.keys, settings) if form.keys and not self._pinned.keys else None

    def _pin(self, index: int, text: str) -> None:
        if self._form.plaid and not text.lstrip().startswith("{"):
            client, _, secret = text.partition(":")
            if not client.strip() or not secret.strip():
                raise Refused(f"/{index}", "secret", "This secret must be client_id:secret, or a key as a JWK.")
            self._credentials = (client, secret)
            return
        try:
            self._pinned = KeySet(self._pinned.keys + read_keys(msgspec.json.decode(text)).keys)
        except (msgspec.DecodeError, ValueError):
            raise Refused(
                f"/{index}", "secret", "This scheme has no secrets; you can give a JWK set instead."
            ) from None

    def __call__(self, request: HookRequest, now: float, fetched: Mapping[str, bytes]) -> int | None:
        """The index of the secret that fits, None for a public key. Raises Unfit."""
        index = None
        for token in self._tokens(request):
            index = self._genuine(token, fetched)
            self._check_times(token.claims, now)
            self._check_claims(token.claims)
            self._check_hashes(token.claims, request)
        return index

    def needs(self, request: HookRequest) -> tuple[Needed, ...]:
        """The keys to fetch. Raises Unfit if the request holds no token."""
        if self._by_secret or self._pinned.keys:
            return ()
        found = {}
        for token in self._tokens(request):
            needed = self._needed(token)
            found[needed.key] = needed
        return tuple(found.values())

    def _tokens(self, request: HookRequest) -> list[Read]:
        texts, prefix = self._source.all(request, ()), self._form.prefix
        if not any(texts):
            raise Unfit("missing_header", f"{self._source.said()} is missing.")
        if len(texts) > TOKENS_MAX:
            raise Unfit("malformed_header", f"There are more than {TOKENS_MAX} tokens.")
        if any(text[: len(prefix)].lower() != prefix.lower() for text in texts):
            raise Unfit("malformed_header", f"{self._source.said()} does not begin with {prefix.strip()!r}.")
        return [self._read(text[len(prefix) :]) for text in texts]

    def _read(self, text: str) -> Read:
        head, claims, signature = (None, None, None)
        pieces = encoded(text).split(b".") if len(text) <= TOKEN_CHARS_MAX else []
        if len(pieces) == 3:
            head, claims, signature = _object(pieces[0]), _object(pieces[1]), crypto.decode(pieces[2], "base64url")
        if head is None or claims is None or signature is None:
            raise Unfit("malformed_header", f"{self._source.said()} is not a JSON Web Token.")
        if head.get("alg") not in self._form.algorithms or "crit" in head:
            accepted = " or ".join(self._form.algorithms)
            raise Unfit("unsupported_version", f"The token's algorithm must be {accepted}.")
        kid = head.get("kid")
        kid = kid if isinstance(kid, str) else None
        return Read(str(head["alg"]), kid, claims, pieces[0] + b"." + pieces[1], signature)

    def _genuine(self, token: Read, fetched: Mapping[str, bytes]) -> int | None:
        if self._by_secret:
            if not self._secrets:
                raise Unfit("bad_secret", "There is no secret yet, so nothing can be verified.")
            for index, key in self._secrets:
                right = crypto.hmac_digest(key[token.algorithm], token.signed)
                if hmac.compare_digest(token.signature, right):
                    return index
            raise Unfit("wrong_secret", "The token is not signed with any of the secrets.")
        algorithm = PUBLIC_ALGORITHMS[token.algorithm]
        keys = self._pinned if self._pinned.keys else key_set(self._needed(token), fetched)
        found = [key for jwk in keys.by_id(token.kid) if (key := public_of(jwk, algorithm)) is not None]
        if not found:
            raise Unfit("no_key", f"The published keys include no key named {token.kid!r} for {token.algorithm}.")
        signature = _as_der(token.signature) if token.algorithm == "ES256" else token.signature
        if not any(crypto.is_signed(key, algorithm, signature, token.signed) for key in found):
            raise Unfit("no_match", "The token is not signed with the key that it names.")
        return None

    def _needed(self, token: Read) -> Needed:
        if self._set is not None:
            return self._set.needed
        if not self._form.plaid or not token.kid:
            raise Unfit("no_key", "The token names no key.")
        url = PLAID_URL.replace("{environment}", self._settings.get("environment", "production"))
        trusted(url, PLAID_HOSTS)
        client, secret = self._credentials
        body = msgspec.json.encode({"client_id": client, "secret": secret, "key_id": token.kid})
        return Needed(f"{url}#{token.kid}", url, "POST", body)

    def _check_times(self, claims: Mapping[str, Any], now: float) -> None:
        leeway = self._form.leeway_seconds
        expires, begins, issued = (_time(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is None and self._form.needs_exp:
            raise Unfit("wrong_claim", "The token has no exp.")
        if expires is not None and now > expires + leeway:
            raise Unfit("too_old", f"The token expired {now - expires:,.0f} seconds ago.")
        if begins is not None and now < begins - leeway:
            raise Unfit(
                "too_new",
                f"The token is not valid yet: it becomes valid in {begins - now:,.0f} seconds. The sender's clock or "
                "this server's clock is wrong.",
            )
        if self._age is not None:
            if issued is None:
                raise Unfit("wrong_claim", "The token has no iat, the time at which it was issued.")
            check_age(now - issued, self._age, self._age)

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        for name, claim in self._form.claims.items():
            wanted = _wanted(claim, self._settings)
            if wanted is None:
                continue
            has = next((claims[each] for each in name.split(" | ") if each in claims), None)
            given = has if isinstance(has, list) else [has]
            if not any(type(one) is type(right) and one == right for one in given for right in wanted):
                words = " or ".join(repr(right) for right in wanted)
                raise Unfit("wrong_claim", f"The claim {name} is {str(has)[:100]!r}, not {words}.")

    def _check_hashes(self, claims: Mapping[str, Any], request: HookRequest) -> None:
        body, url = self._form.body_hash, self._form.url_hash
        if url is not None:
            if not request.url:
                raise Unfit("wrong_url", "The sender signs the URL, but this hook's public URL is not known.")
            if not _is_hash(claims, url, encoded(request.url)):
                raise Unfit("wrong_url", f"The token is genuine, but was issued for a URL other than {request.url}.")
        if body is None or (body.optional and body.claim not in claims and not request.body):
            return
        if body.optional and body.claim in claims and not request.body:
            raise Unfit("changed_body", "The token is genuine and covers a body, but the request has none.")
        if body.claim not in claims:
            raise Unfit("changed_body", "The token is genuine, but covers no body, although the request has one.")
        if not _is_hash(claims, body, request.body):
            raise Unfit("changed_body", f"The token is genuine, but the body does not match its {body.claim}.")


def _primed(key: bytes, form: Jwt) -> dict[str, crypto.Primed]:
    return {name: crypto.primed(key, SECRET_HASHES[name]) for name in form.algorithms}


def _wanted(claim: Claim, settings: Mapping[str, str]) -> Sequence[Any] | None:
    if claim.setting:
        value = settings.get(claim.setting, "")
        return [value] if value else None
    return claim.values


def _is_hash(claims: Mapping[str, Any], form: Hash, raw: bytes) -> bool:
    given = claims.get(form.claim)
    if form.encoding == "base64url" and isinstance(given, str):
        given = given.rstrip("=")  # some senders pad it, though tokens are unpadded
    right = crypto.ENCODE[form.encoding](crypto.digest("sha256", raw))
    return isinstance(given, str) and hmac.compare_digest(encoded(given), right)


def _object(piece: bytes) -> dict[str, Any] | None:
    raw = crypto.decode(piece, "base64url")
    try:
        value = None if raw is None else jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not abs(value) <= TIME_MAX:
        raise Unfit("malformed_header", f"The token's {name} is not a number of seconds since 1970.")
    return float(value)


def _as_der(signature: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if len(signature) != 64:
        return b""
    return encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
