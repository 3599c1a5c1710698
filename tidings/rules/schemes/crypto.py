"""The algorithms and encodings of signature schemes. Text that is not in its canonical form never decodes."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from hashlib import _Hash

Algorithm = Literal[
    "hmac-sha256",
    "hmac-sha1",
    "hmac-sha384",
    "hmac-sha512",
    "hmac-md5",
    "sha256",
    "sha1",
    "sha384",
    "sha512",
    "md5",
    "ed25519",
    "ecdsa-p256-sha256",
    "rsa-sha256",
    "rsa-sha1",
]
Encoding = Literal["hex", "base64", "base64url"]
PUBLIC: tuple[Algorithm, ...] = ("ed25519", "ecdsa-p256-sha256", "rsa-sha256", "rsa-sha1")
"""The algorithms whose signatures are verified with a public key."""

SEED_BYTES = 32
PRIVATE_KEYS = 16
"""How many parsed private keys are kept. Parsing an RSA key takes a hundred times as long as signing."""
Primed = tuple["_Hash", "_Hash"]

_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def primed(key: bytes, hash_name: str) -> Primed:
    """The two half-fed states of an HMAC (RFC 2104), to be copied for each message.

    Written by hand, because copying two primed states takes half the time of hmac.new or hmac.digest.
    """
    if len(key) > hashlib.new(hash_name, usedforsecurity=False).block_size:
        key = hashlib.new(hash_name, key, usedforsecurity=False).digest()
    block = key.ljust(hashlib.new(hash_name, usedforsecurity=False).block_size, b"\0")
    return (
        hashlib.new(hash_name, block.translate(_INNER), usedforsecurity=False),
        hashlib.new(hash_name, block.translate(_OUTER), usedforsecurity=False),
    )


def hmac_digest(states: Primed, message: bytes) -> bytes:
    """The HMAC of a message with a primed key."""
    inner, outer = states[0].copy(), states[1].copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.digest()


def digest(hash_name: str, message: bytes) -> bytes:
    """A plain hash."""
    return hashlib.new(hash_name, message, usedforsecurity=False).digest()


def _base64(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False)


def _base64url(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_URL)


_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")

ENCODE: dict[str, Callable[[bytes], bytes]] = {"hex": binascii.hexlify, "base64": _base64, "base64url": _base64url}
"""From bytes to text; base64url is written without padding, as in JWTs."""


ALPHABETS: dict[str, bytes] = {
    "hex": b"0123456789abcdef",
    "base64": _LETTERS + b"+/=",
    "base64url": _LETTERS + b"-_",
}
"""The characters that `ENCODE` uses."""


def text_length(encoding: str, size: int) -> int:
    """The length of the text that `ENCODE` writes for this many bytes."""
    return len(ENCODE[encoding](bytes(size)))


def decode(text: bytes, encoding: str) -> bytes | None:
    """The bytes of a text, or None unless it is exactly what `ENCODE` would write for them."""
    try:
        if encoding == "hex":
            raw = binascii.unhexlify(text)
        elif encoding == "base64":
            raw = b64decode(text, validate=True)
        else:
            raw = b64decode(text.translate(_FROM_URL) + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if ENCODE[encoding](raw) == text else None


def loosely(text: str, encoding: str) -> bytes | None:
    """The bytes of a copied secret: in either base64 alphabet, padded or not, hex in either case, with line breaks."""
    try:
        if encoding == "utf8":
            return text.encode()
        text = "".join(text.split())
        if encoding == "hex":
            return binascii.unhexlify(text)
        plain = text.encode("ascii").translate(_FROM_URL).rstrip(b"=")
        return b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def public_key(text: str, algorithm: str, encoding: str) -> Any:
    """The key to verify with, from PEM (key or certificate), SPKI in DER, or the 32 bytes of ed25519.

    Raises ValueError if it is malformed or belongs to another algorithm.
    """
    with reading_a_key():
        key = _loaded(text, algorithm, encoding)
    check_kind(key, algorithm)
    return key


@contextmanager
def reading_a_key() -> Iterator[None]:
    """Turns what `cryptography` raises for keys that it cannot use into ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except UnsupportedAlgorithm:
        raise ValueError("it is of an unknown kind") from None
    except TypeError:
        raise ValueError("it is encrypted") from None


def _loaded(text: str, algorithm: str, encoding: str) -> Any:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.x509 import load_pem_x509_certificate

    if text.lstrip().startswith("-----BEGIN CERTIFICATE"):
        return load_pem_x509_certificate(text.strip().encode()).public_key()
    if text.lstrip().startswith("-----BEGIN"):
        return serialization.load_pem_public_key(text.strip().encode())
    raw = loosely(text.strip(), encoding)
    if raw is None:
        raise ValueError(f"it is not {encoding}")
    if algorithm == "ed25519" and len(raw) == SEED_BYTES:
        return Ed25519PublicKey.from_public_bytes(raw)
    return serialization.load_der_public_key(raw)


def check_kind(key: Any, algorithm: str) -> None:
    """Raise ValueError unless a public key is one of this algorithm."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if algorithm == "ed25519":
        fits = isinstance(key, ed25519.Ed25519PublicKey)
        if fits and _y_of(key.public_bytes_raw()) in _SMALL_ORDER:
            raise ValueError("it is a point of small order, for which anybody can forge signatures")
    elif algorithm.startswith("ecdsa"):
        fits = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    else:
        fits = isinstance(key, rsa.RSAPublicKey) and key.key_size >= RSA_BITS_MIN
    if not fits:
        raise ValueError(f"it is not a key for {algorithm}")


RSA_BITS_MIN = 1_024
_FIELD = 2**255 - 19
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _Y_OF_ORDER_8, _FIELD - _Y_OF_ORDER_8})
"""The second coordinates of all eight points of ed25519 whose order is small."""


def _y_of(raw: bytes) -> int:
    return (int.from_bytes(raw, "little") & (2**255 - 1)) % _FIELD


def is_signed(key: Any, algorithm: str, signature: bytes, message: bytes) -> bool:
    """Whether a signature is that of a public key; ECDSA signatures are in DER."""
    arguments, errors = _verifying(algorithm)
    try:
        key.verify(signature, message, *arguments)
    except errors:
        return False
    return True


@cache
def _verifying(algorithm: str) -> tuple[tuple[Any, ...], tuple[type[Exception], ...]]:
    """The further arguments of a key's `verify`, after signature and message, and the exceptions that it raises."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding

    arguments: tuple[Any, ...] = ()
    if algorithm.startswith("ecdsa"):
        arguments = (ec.ECDSA(hashes.SHA256()),)
    elif algorithm.startswith("rsa"):
        arguments = (padding.PKCS1v15(), _hash(algorithm))
    return arguments, (InvalidSignature, ValueError)


@lru_cache(maxsize=PRIVATE_KEYS)
def private_key(text: str, algorithm: str, encoding: str) -> Any:
    """The key to sign with, from PEM, or for ed25519 its seed (with or without the public half).

    Raises ValueError if it is malformed.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if text.lstrip().startswith("-----BEGIN"):
        with reading_a_key():
            key: Any = serialization.load_pem_private_key(text.strip().encode(), None)
        check_kind(key.public_key(), algorithm)
        return key
    raw = loosely(text.strip(), encoding)
    if algorithm == "ed25519" and raw is not None and len(raw) in (SEED_BYTES, 2 * SEED_BYTES):
        return Ed25519PrivateKey.from_private_bytes(raw[:SEED_BYTES])
    raise ValueError("it is neither a private key in PEM format nor an ed25519 seed")


def signature_of(key: Any, algorithm: str, message: bytes) -> bytes:
    """Sign with a private key."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding

    if algorithm == "ed25519":
        return bytes(key.sign(message))
    if algorithm.startswith("ecdsa"):
        return bytes(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return bytes(key.sign(message, padding.PKCS1v15(), _hash(algorithm)))


def _hash(algorithm: str) -> Any:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA1() if algorithm == "rsa-sha1" else hashes.SHA256()  # noqa: S303 - SNS's first version has it


def text_of(raw: bytes) -> str:
    """Bytes as base64 text."""
    return b64encode(raw).decode()
