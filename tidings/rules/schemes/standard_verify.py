"""Verifying a webhook after Standard Webhooks 1.0, for those who receive ours; in constant time.

The encoded text of a signature is what is compared, so that an altered last character of the base64 is no match.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Literal

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import standard as sign

TOLERANCE_SECONDS = 300
CANDIDATES_MAX = 32
"""More signatures than this in one header are not looked at: a sender has a few secrets, a flood has many."""

Code = Literal["missing_header", "bad_timestamp", "too_old", "too_new", "no_match", "bad_secret", "bad_body"]

_SECONDS = re.compile(r"[0-9]{1,12}")


class BadSignature(ValueError):
    """The webhook is not from whom it says, or too old. `code` says which check failed, `detail` is a sentence."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    now: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> str:
    """The id of a genuine webhook, the same in every try, so that repeats can be dropped.

    `headers` in any case; `body` the bytes as they came; `secrets` one or several of `whsec_`, `whpk_` and `whsk_`;
    `now` in seconds since the epoch. Raises BadSignature, and nothing else.
    """
    named = {str(name).lower(): value for name, value in headers.items()}
    msg_id, timestamp, candidates = (_header(named, name) for name in ("id", "timestamp", "signature"))
    if not isinstance(body, bytes):
        raise BadSignature("bad_body", "The body must be the raw bytes, before any parsing.")
    hmac_keys, public_keys = _keys([secrets] if isinstance(secrets, str) else secrets)
    _check_time(timestamp, now, tolerance_seconds)
    signed = f"{msg_id}.{timestamp}.".encode(errors="surrogatepass") + body
    expected = [b"v1," + b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in hmac_keys]
    for text in candidates.split(" ", CANDIDATES_MAX)[:CANDIDATES_MAX]:
        given = text.encode(errors="surrogatepass")
        if any(hmac.compare_digest(given, right) for right in expected):
            return msg_id
        if given.startswith(b"v1a,") and any(_is_signed(key, given[4:], signed) for key in public_keys):
            return msg_id
    raise BadSignature("no_match", "No signature in webhook-signature matches the body and a secret.")


def _header(named: Mapping[str, str], name: str) -> str:
    value = named.get(f"webhook-{name}")
    if not isinstance(value, str) or not value:
        raise BadSignature("missing_header", f"The header webhook-{name} is missing.")
    return value


def _check_time(timestamp: str, now: float, tolerance_seconds: float) -> None:
    if not _SECONDS.fullmatch(timestamp):
        raise BadSignature("bad_timestamp", "The header webhook-timestamp is not a number of seconds.")
    age = now - int(timestamp)
    if not age <= tolerance_seconds:
        raise BadSignature("too_old", f"The webhook was signed more than {tolerance_seconds:g} seconds ago.")
    if not age >= -tolerance_seconds:
        raise BadSignature("too_new", f"The webhook was signed more than {tolerance_seconds:g} seconds in the future.")


def _keys(secrets: Sequence[str]) -> tuple[list[bytes], list[bytes]]:
    """The HMAC keys and the raw public keys of a list of secrets."""
    hmac_keys, public_keys = [], []
    try:
        for text in secrets:
            if text.startswith(sign.PUBLIC_KEY):
                public_keys.append(b64decode(text[len(sign.PUBLIC_KEY) :], validate=True))
            elif text.startswith(sign.SIGNING_KEY):
                public_keys.append(b64decode(sign.public_key(text)[len(sign.PUBLIC_KEY) :]))
            else:
                hmac_keys.append(sign.secret_key(text))
    except (Refused, ValueError, TypeError, AttributeError) as error:
        raise BadSignature("bad_secret", f"A secret to verify with is malformed: {error}") from None
    if not hmac_keys and not public_keys:
        raise BadSignature("bad_secret", "At least one secret is needed for verification.")
    if any(len(key) != sign.SEED_BYTES for key in public_keys):
        raise BadSignature("bad_secret", "A whpk_ key has 32 bytes.")
    return hmac_keys, public_keys


def _is_signed(key: bytes, encoded: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        signature = b64decode(encoded, validate=True)
        if b64encode(signature) != encoded:
            return False
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
