"""Signatures of webhooks after Standard Webhooks 1.0: `v1,` is HMAC-SHA256, `v1a,` is ed25519.

A secret is text: `whsec_` and base64 of 24 to 64 bytes, or `whsk_` and base64 of an ed25519 key (the 32-byte seed,
or seed and public key together). Receivers of `v1a` are given the public half: `whpk_` and base64 of 32 bytes.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.crypto import SEED_BYTES, hmac_digest, primed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET, SIGNING_KEY, PUBLIC_KEY = "whsec_", "whsk_", "whpk_"
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64


class Signer:
    """Signs with one or more secrets; during a rotation both the old and the new one sign.

    The keys are prepared once. Safe to share between threads. Raises Refused for a malformed secret.
    """

    __slots__ = ("_hmacs", "_keys")

    def __init__(self, secrets: str | Sequence[str]) -> None:
        texts = [secrets] if isinstance(secrets, str) else list(secrets)
        if not texts:
            raise Refused("", "secret", "A signer needs at least one secret.")
        self._hmacs = tuple(primed(secret_key(text), "sha256") for text in texts if not text.startswith(SIGNING_KEY))
        self._keys = tuple(signing_key(text) for text in texts if text.startswith(SIGNING_KEY))

    def sign(self, msg_id: str, timestamp: int, body: bytes) -> str:
        """The value of the `webhook-signature` header; `timestamp` is in seconds since the epoch."""
        signed = f"{msg_id}.{timestamp}.".encode() + body
        hmacs = self._hmacs
        if len(hmacs) == 1 and not self._keys:
            # hmac_digest without the call: nearly every endpoint has one secret, and each delivery is signed.
            inner, outer = hmacs[0]
            inner = inner.copy()
            inner.update(signed)
            outer = outer.copy()
            outer.update(inner.digest())
            return "v1," + binascii.b2a_base64(outer.digest(), newline=False).decode()
        found = ["v1," + b64encode(hmac_digest(states, signed)).decode() for states in hmacs]
        found += ["v1a," + b64encode(key.sign(signed)).decode() for key in self._keys]
        return " ".join(found)


def new_secret(random_bytes: bytes) -> str:
    """A `whsec_` secret made of 24 to 64 random bytes; 32 is usual."""
    text = SECRET + b64encode(random_bytes).decode()
    secret_key(text)
    return text


def new_signing_key(random_bytes: bytes) -> str:
    """A `whsk_` key made of 32 random bytes; it holds seed and public key, as Standard Webhooks writes it."""
    public = _public_bytes(_from_seed(random_bytes))
    return SIGNING_KEY + b64encode(random_bytes + public).decode()


def public_key(text: str) -> str:
    """The `whpk_` text of a `whsk_` key: what a receiver needs to verify `v1a`."""
    return PUBLIC_KEY + b64encode(_public_bytes(signing_key(text))).decode()


def check_secret(text: str, pointer: str = "") -> None:
    """Raise Refused if the text is neither a `whsec_` nor a `whsk_` secret."""
    try:
        if text.startswith(SIGNING_KEY):
            signing_key(text)
        else:
            secret_key(text)
    except Refused as refused:
        raise refused.under(pointer) from None


def secret_key(text: str) -> bytes:
    """The bytes of a `whsec_` secret. Raises Refused."""
    key = _decoded(text, SECRET)
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise Refused(
            "", "secret", f"A secret must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes; this one has {len(key)}."
        )
    return key


def signing_key(text: str) -> Ed25519PrivateKey:
    """The private key of a `whsk_` text. Raises Refused, also if its two halves do not belong together."""
    key = _decoded(text, SIGNING_KEY)
    if len(key) not in (SEED_BYTES, 2 * SEED_BYTES):
        raise Refused("", "secret", f"A whsk_ key must have 32 or 64 bytes; this one has {len(key)}.")
    private = _from_seed(key[:SEED_BYTES])
    if len(key) > SEED_BYTES and _public_bytes(private) != key[SEED_BYTES:]:
        raise Refused("", "secret_halves", "The public half of this whsk_ key does not belong to its private half.")
    return private


def _decoded(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        raise Refused("", "secret", f"A secret must begin with {SECRET} or {SIGNING_KEY}.")
    encoded = text[len(prefix) :]
    try:
        return b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise Refused("", "secret", f"{prefix} must be followed by base64.") from None


def _from_seed(seed: bytes) -> Ed25519PrivateKey:
    # Imported here: loading it takes longer than all the rest of a start, and most endpoints never need it.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(seed) != SEED_BYTES:
        raise Refused("", "secret", f"An ed25519 key needs {SEED_BYTES} random bytes, not {len(seed)}.")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()
