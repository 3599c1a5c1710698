"""Secrets to sign samples with, if none is given."""

from __future__ import annotations

from base64 import b64encode

from tidings.rules.schemes.crypto import PUBLIC
from tidings.rules.schemes.form import Basic, Certificate, ItemSignatures, Jwt, Scheme, Signature

EXAMPLE_SECRET = "example secret, 32 bytes long..."  # noqa: S105 - not a real one


def example_secret(scheme: Scheme) -> str:
    """The example secret as this scheme writes secrets; an empty text if a key pair signs."""
    check = scheme.checks[0]
    match check:
        case Basic():
            return f"ann:{EXAMPLE_SECRET}"
        case Certificate():
            return ""
        case ItemSignatures():
            return EXAMPLE_SECRET.encode().hex()
        case Jwt() if not check.algorithms[0].startswith("HS"):
            return ""
        case Signature() if check.algorithm in PUBLIC:
            return ""
        case Signature(secret=form) if form.encoding == "hex":
            return EXAMPLE_SECRET.encode().hex()
        case Signature(secret=form) if form.encoding != "utf8":
            return form.strip + b64encode(EXAMPLE_SECRET.encode()).decode()
    return EXAMPLE_SECRET
