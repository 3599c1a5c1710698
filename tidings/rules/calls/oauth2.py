"""OAuth 2.0 without a person: requests for access tokens, and reading the responses of token endpoints.

Client credentials (RFC 6749, section 4.4), refreshing (section 6), and JWTs (RFC 7523), either as the authorization
grant (section 2.1) or to authenticate the client (section 2.2). JWTs are signed according to RFC 7515 and RFC 7518.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from tidings.model.calls.connection import AccessToken
from tidings.model.moment import SECOND, Micros
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import Refused

GRANTS = ("client_credentials", "refresh_token", "jwt_bearer")
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
PARTS = (
    *("oauth2", "token", "id", "secret", "scope", "refresh_token", "key", "kid", "alg", "audience", "subject"),
    *("assertion", "claims", "client_auth", "params"),
)
SECRETS = ("secret", "refresh_token", "key")
JWT_SECONDS = 300
MARGIN_SECONDS = 60
"""A token is replaced this long before it expires, or after half of its lifetime if that is short."""
LIFE_SECONDS_MAX = 10 * 365 * 24 * 3600
TOKEN_CHARS_MAX = 64 * 1024
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_JWT_CLIENT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SAID_CHARS = 300


class TokenRequest(msgspec.Struct, frozen=True):
    """A request for a token."""

    url: str
    headers: list[str]
    body: bytes


class NoToken(ValueError):
    """The token endpoint returned no token; the message says why."""


def check(auth: dict[str, Any], pointer: str, wrong: Places) -> None:
    """Report what is wrong with a declaration."""
    grant = auth.get("oauth2")
    if grant not in GRANTS:
        wrong.say(f"{pointer}/oauth2", "not_in_enum", f"`oauth2` must be {' or '.join(GRANTS)}, not {shown(grant)}.")
        return
    needed = {"client_credentials": ("secret",), "refresh_token": ("refresh_token",), "jwt_bearer": ("key",)}[grant]
    for name in ("token", "id", *needed):
        if not auth.get(name):
            wrong.say(f"{pointer}/{name}", "missing", f"`{grant}` needs `{name}`.")
    for name in PARTS[1:]:
        value = auth.get(name)
        if name in ("claims", "params"):
            if value is not None and type(value) is not dict:
                wrong.say(f"{pointer}/{name}", "wrong_type", f"`{name}` must be an object, not {shown(value)}.")
        elif value is not None:
            wrong.text(value, f"{pointer}/{name}", TOKEN_CHARS_MAX)
    for name, known in (("client_auth", ("basic", "body")), ("assertion", ("client", "grant")), ("alg", ALGORITHMS)):
        if auth.get(name) is not None and auth[name] not in known:
            wrong.say(f"{pointer}/{name}", "not_in_enum", f"`{name}` must be {' or '.join(known)}.")
    token = auth.get("token")
    if type(token) is str and not token.startswith(("/", "https://", "http://")):
        wrong.say(f"{pointer}/token", "url", "`token` must be a URL, or a path on the host of `base`.")
    if grant == "jwt_bearer" and type(auth.get("key")) is str and not wrong.found:
        try:
            _signed(auth, {})
        except Refused as refused:
            wrong.say(f"{pointer}/key", refused.place.code, refused.detail)


def token_request(
    auth: Mapping[str, Any], base: str, now: Micros, chance: str, refresh_token: str | None
) -> TokenRequest:
    """The request for a token. `chance`: a random text; `refresh_token`: the one received last.

    Raises Refused if the key cannot sign.
    """
    url = auth["token"] if "://" in auth["token"] else _host(base) + auth["token"]
    form: dict[str, str] = {}
    headers = ["Content-Type: application/x-www-form-urlencoded", "Accept: application/json"]
    if auth["oauth2"] == "jwt_bearer":
        form |= _with_jwt(auth, url, now, chance)
    else:
        if auth["oauth2"] == "client_credentials":
            form["grant_type"] = "client_credentials"
        else:
            form |= {"grant_type": "refresh_token", "refresh_token": refresh_token or auth["refresh_token"]}
        secret = auth.get("secret")
        if secret and auth.get("client_auth", "basic") == "basic":
            # RFC 6749, section 2.3.1: both are form-encoded first.
            pair = f"{quote(auth['id'], safe='')}:{quote(secret, safe='')}"
            headers.append("Authorization: Basic " + base64.b64encode(pair.encode()).decode())
        else:
            form |= {"client_id": auth["id"]} | ({"client_secret": secret} if secret else {})
        form |= {name: auth[name] for name in ("scope", "audience") if auth.get(name)}
    form |= {name: str(value) for name, value in auth.get("params", {}).items()}
    return TokenRequest(url, headers, urlencode(form).encode())


def read_token(
    status: int | None, body: bytes, now: Micros, before: str | None, hide: Callable[[str], str] = str
) -> AccessToken:
    """The token in a response. `before`: the refresh token that was used; `hide`: hides secrets. Raises NoToken."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    told = found if type(found) is dict else {}
    if status != 200:
        said = hide(" ".join(str(told[name]) for name in ("error", "error_description") if told.get(name)))
        raise NoToken(f"The token endpoint responded with {status}{': ' + said[:_SAID_CHARS] if said else ''}.")
    text, seconds = told.get("access_token"), told.get("expires_in")
    if type(text) is not str or not 0 < len(text) <= TOKEN_CHARS_MAX or not text.isascii() or not text.isprintable():
        raise NoToken("The token endpoint responded with 200, but without a usable access_token.")
    kind = told.get("token_type")
    if kind is not None and str(kind).lower() != "bearer":
        raise NoToken(
            f"The token endpoint returned a token of the type {hide(str(kind))[:50]}; only bearer tokens are supported."
        )
    life = _seconds(seconds)
    expires = None if life is None else now + round(max(life - MARGIN_SECONDS, life / 2) * SECOND)
    rotated = told.get("refresh_token")
    return AccessToken(access=text, expires=expires, refresh=rotated if type(rotated) is str and rotated else before)


def _seconds(value: Any) -> float | None:
    """A lifetime in seconds, which some services send as text; None if there is none."""
    try:
        found = float(value) if type(value) in (int, float, str) else math.nan
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(found) else min(max(found, 0.0), LIFE_SECONDS_MAX)


def _with_jwt(auth: Mapping[str, Any], url: str, now: Micros, chance: str) -> dict[str, str]:
    seconds = now // SECOND
    claims = {
        "iss": auth["id"],
        "sub": auth.get("subject") or auth["id"],
        "aud": auth.get("audience") or url,
        "iat": seconds,
        "exp": seconds + JWT_SECONDS,
        "jti": chance,
    }
    if auth.get("scope"):
        claims["scope"] = auth["scope"]
    token = _signed(auth, claims | auth.get("claims", {}))
    is_grant = auth.get("assertion") == "grant" or (auth.get("assertion") is None and bool(auth.get("subject")))
    if is_grant:
        return {"grant_type": _JWT_GRANT, "assertion": token}
    return {"grant_type": "client_credentials", "client_assertion_type": _JWT_CLIENT, "client_assertion": token}


def _signed(auth: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    key = _private_key(auth["key"])
    algorithm = auth.get("alg") or _algorithm_of(key)
    head = {"alg": algorithm, "typ": "JWT"} | ({"kid": auth["kid"]} if auth.get("kid") else {})
    text = f"{_piece(msgspec.json.encode(head))}.{_piece(msgspec.json.encode(claims))}"
    return f"{text}.{_piece(_signature(key, algorithm, text.encode()))}"


def _private_key(text: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        detail = "This must be a private key in PEM format (-----BEGIN PRIVATE KEY-----), without a password."
        raise Refused("", "certificate", detail) from None


def _algorithm_of(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ES384" if key.key_size == 384 else "ES256"
    return "EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "RS256"


def _signature(key: Any, algorithm: str, text: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    found: bytes | None = None
    if isinstance(key, rsa.RSAPrivateKey) and algorithm == "RS256":
        found = key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, rsa.RSAPrivateKey) and algorithm == "PS256":
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size)
        found = key.sign(text, pss, hashes.SHA256())
    elif isinstance(key, ed25519.Ed25519PrivateKey) and algorithm == "EdDSA":
        found = key.sign(text)
    elif isinstance(key, ec.EllipticCurvePrivateKey) and algorithm == {256: "ES256", 384: "ES384"}.get(key.key_size):
        size = key.key_size // 8
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256() if size == 32 else hashes.SHA384())))
        found = r.to_bytes(size) + s.to_bytes(size)
    if found is None:
        raise Refused("", "certificate", f"This key cannot sign with {algorithm}.")
    return found


def _piece(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _host(base: str) -> str:
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
