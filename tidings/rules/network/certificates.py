"""Certificates of an endpoint: its own authority to trust, and the certificate that we present to it (mTLS)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from tidings.model.moment import Micros
from tidings.rules.reading.refused import Refused

if TYPE_CHECKING:
    from cryptography import x509

PEM_CHARS_MAX = 64 * 1024
CERTIFICATES_MAX = 20
RSA_BITS_MIN = 2_048
SUBJECT_CHARS_MAX = 500
CODE = "certificate"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as shown to callers. `fingerprint` is the SHA-256 of its DER form in hex, `expires` RFC 3339."""

    subject: str
    fingerprint: str
    expires: str


def check_authorities(text: str, now: Micros, pointer: str = "") -> None:
    """Raise Refused unless these are certificates (PEM), all of them valid at this moment."""
    for certificate in _certificates(text, pointer):
        _check_time(certificate, now, pointer)


def check_client(certificate: str, key: str, now: Micros, pointer: str = "") -> None:
    """Raise Refused unless this is a certificate (its chain behind it) with its private key, to be used as a client."""
    first, *chain = _certificates(certificate, f"{pointer}/certificate")
    for each in (first, *chain):
        _check_time(each, now, f"{pointer}/certificate")
    _check_use(first, f"{pointer}/certificate")
    public = _public_bytes(_key(key, f"{pointer}/key").public_key())
    if public == _public_bytes(first.public_key()):
        return
    if any(public == _public_bytes(each.public_key()) for each in chain):
        raise Refused(f"{pointer}/certificate", CODE, "The key's certificate must come first, followed by its chain.")
    raise Refused(f"{pointer}/key", CODE, f"This key does not belong to the certificate {_subject(first)}.")


@lru_cache(maxsize=1_024)
def summaries(text: str) -> tuple[Summary, ...]:
    """Certificates that were checked, as shown to callers."""
    return tuple(_summary(each) for each in _certificates(text, ""))


def _summary(certificate: x509.Certificate) -> Summary:
    from cryptography.hazmat.primitives import hashes

    expires = certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Summary(
        subject=_subject(certificate), fingerprint=certificate.fingerprint(hashes.SHA256()).hex(), expires=expires
    )


def _certificates(text: str, pointer: str) -> list[x509.Certificate]:
    from cryptography import x509

    if len(text) > PEM_CHARS_MAX:
        raise Refused(pointer, "too_long", f"Certificates can be at most {PEM_CHARS_MAX:,} characters long in total.")
    if "PRIVATE KEY-----" in text:
        raise Refused(pointer, CODE, "This contains a private key; send only certificates here.")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        for each in found:
            # A certificate that could not be read later is refused now.
            _subject(each)
            each.public_key()
    except Exception as wrong:
        detail = "This is not a certificate in PEM format, which begins with -----BEGIN CERTIFICATE-----."
        raise Refused(pointer, CODE, detail) from wrong
    if len(found) > CERTIFICATES_MAX:
        raise Refused(pointer, "too_many", f"There may be at most {CERTIFICATES_MAX} certificates, not {len(found)}.")
    return found


def _check_time(certificate: x509.Certificate, now: Micros, pointer: str) -> None:
    at = datetime.fromtimestamp(now / 1_000_000, UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= at:
        raise Refused(
            pointer, CODE, f"The certificate {_subject(certificate)} expired on {ends:%Y-%m-%d}; send a valid one."
        )
    if begins > at:
        raise Refused(pointer, CODE, f"The certificate {_subject(certificate)} is not valid before {begins:%Y-%m-%d}.")


def _check_use(certificate: x509.Certificate, pointer: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509.oid import ExtendedKeyUsageOID

    public = certificate.public_key()
    if isinstance(public, RSAPublicKey) and public.key_size < RSA_BITS_MIN:
        raise Refused(
            pointer, CODE, f"The certificate's RSA key has {public.key_size} bits; the minimum is {RSA_BITS_MIN}."
        )
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    except ValueError as wrong:
        raise Refused(pointer, CODE, "The certificate's extensions cannot be read.") from wrong
    if not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(uses):
        raise Refused(pointer, CODE, "The certificate is not for clients: its extended key usage lacks clientAuth.")


def _key(text: str, pointer: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if len(text) > PEM_CHARS_MAX:
        raise Refused(pointer, "too_long", f"A key can be at most {PEM_CHARS_MAX:,} characters long.")
    try:
        return serialization.load_pem_private_key(text.encode(), None)
    except TypeError as wrong:
        raise Refused(
            pointer, CODE, "The key has a password; remove it first: openssl pkey -in KEY -out PLAIN."
        ) from wrong
    except (ValueError, UnsupportedAlgorithm) as wrong:
        detail = "This is not a private key in PEM format, which begins with -----BEGIN PRIVATE KEY-----."
        raise Refused(pointer, CODE, detail) from wrong


def _public_bytes(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def _subject(certificate: x509.Certificate) -> str:
    name = certificate.subject.rfc4514_string() or f"with serial number {certificate.serial_number:x}"
    # It may contain anything.
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in name[:SUBJECT_CHARS_MAX])
