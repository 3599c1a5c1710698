"""Certificates that endpoints bring: what is refused, and in which words."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.net.certificates import Authority
from tidings.model.moment import DAY
from tidings.rules.network import certificates
from tidings.rules.reading.refused import Refused

NOW = time.time_ns() // 1_000
AUTHORITY = Authority()
GOOD, OTHER, OLD = AUTHORITY.issue("client"), AUTHORITY.issue("other"), AUTHORITY.issue("old", days=-1)


LOCKED = GOOD.private.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
).decode()


def test_good_certificates_are_accepted_and_shown_without_keys() -> None:
    certificates.check_authorities(AUTHORITY.pem + AUTHORITY.pem, NOW)
    certificates.check_client(GOOD.certificate + AUTHORITY.pem, GOOD.key, NOW)
    [shown] = certificates.summaries(GOOD.certificate)
    assert shown.subject == "CN=client"
    assert len(shown.fingerprint) == 64 and shown.expires.endswith("Z")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a certificate in PEM format"),
        ("nonsense", "not a certificate in PEM format"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate in PEM format"),
        (AUTHORITY.pem + GOOD.key, "private key"),
        (OLD.certificate, "CN=old expired on"),
        (AUTHORITY.pem * 21, "at most 20"),
        ("x" * 70_000, "65,536 characters"),
    ],
)
def test_a_certificate_that_is_not_a_ca_is_refused(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        certificates.check_authorities(text, NOW)


def test_a_certificate_that_is_not_valid_yet_is_refused() -> None:
    with pytest.raises(Refused, match="is not valid before"):
        certificates.check_authorities(AUTHORITY.pem, NOW - 60 * DAY)


@pytest.mark.parametrize(
    ("certificate", "key", "pointer", "words"),
    [
        (GOOD.certificate, OTHER.key, "/key", "does not belong to the certificate CN=client"),
        (AUTHORITY.pem + GOOD.certificate, GOOD.key, "/certificate", "must come first"),
        (GOOD.certificate, "nonsense", "/key", "not a private key"),
        (GOOD.certificate, GOOD.certificate, "/key", "not a private key"),
        (GOOD.certificate, LOCKED, "/key", "has a password"),
        (OLD.certificate, OLD.key, "/certificate", "expired"),
        (GOOD.key, GOOD.key, "/certificate", "private key"),
    ],
)
def test_a_mismatched_pair_is_refused_with_its_location(certificate: str, key: str, pointer: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        certificates.check_client(certificate, key, NOW)
    assert refused.value.pointer == pointer


def test_keys_that_tls_would_refuse_are_refused() -> None:
    weak = AUTHORITY.issue("weak", key=rsa.generate_private_key(65_537, 1_024))
    with pytest.raises(Refused, match="1024 bits"):
        certificates.check_client(weak.certificate, weak.key, NOW)
    server_only = AUTHORITY.issue("server", for_servers=True)
    with pytest.raises(Refused, match="clientAuth"):
        certificates.check_client(server_only.certificate, server_only.key, NOW)
