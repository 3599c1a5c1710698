"""Secrets and key pairs for each scheme: what its sender signs with, and what a receiver verifies with."""

from __future__ import annotations

import base64
import json
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tidings.rules.schemes import Scheme
from tidings.rules.schemes.form import Basic, Certificate, ItemSignatures, Jwt, Signature

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: Key) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def public_pem(key: Key) -> str:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()


def jwk(key: Key, kid: str = "tidings") -> dict[str, str]:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "kid": kid, "n": urlsafe(numbers.n.to_bytes(256)), "e": urlsafe(numbers.e.to_bytes(3))}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        x, y = urlsafe(point.x.to_bytes(32)), urlsafe(point.y.to_bytes(32))
        return {"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y}
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": urlsafe(key.public_key().public_bytes_raw())}


def urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def pair(scheme: Scheme, name: str = "one") -> tuple[str, str]:
    """What signs and what verifies."""
    text = f"a secret named {name}"
    raw = text.encode().ljust(32, b".")
    match scheme.checks[0]:
        case Basic():
            return f"ann:{text}", f"ann:{text}"
        case Certificate():
            return pem(rsa_key()), public_pem(rsa_key())
        case ItemSignatures():
            return raw.hex(), raw.hex()
        case Jwt(algorithms=("ES256", *_)):
            return pem(ec_key()), json.dumps(jwk(ec_key()))
        case Jwt(algorithms=("RS256", *_)):
            return pem(rsa_key()), json.dumps({"keys": [jwk(rsa_key())]})
        case Signature(algorithm="ed25519"):
            return pem(ed_key()), public_pem(ed_key())
        case Signature(algorithm="ecdsa-p256-sha256"):
            return pem(ec_key()), public_pem(ec_key())
        case Signature(algorithm="rsa-sha256"):
            return pem(rsa_key()), public_pem(rsa_key())
        case Signature(secret=form) if form.encoding == "hex":
            return raw.hex(), raw.hex()
        case Signature(secret=form) if form.encoding != "utf8":
            encoded = form.strip + base64.b64encode(raw).decode()
            return encoded, encoded
    return text, text


def settings(scheme: Scheme) -> dict[str, str]:
    return {name: one.default or f"the {name}" for name, one in scheme.settings.items()}
