"""Certificates for tests: an authority, and what it issues."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem_of(key: PrivateKey) -> str:
    """A key without a password."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class Issued:
    """A certificate and its key, as PEM."""

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        self.made = certificate
        self.private = key
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.key = pem_of(key)


class Authority:
    """A certificate authority of its own."""

    def __init__(self, name: str = "Test Authority", days: int = 10) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._build(name, key, name, key, days, ca=True)
        self.own = Issued(made, key)
        self._name = name

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self.own.certificate

    def issue(
        self,
        name: str = "localhost",
        days: int = 10,
        key: PrivateKey | None = None,
        *,
        for_servers: bool = False,
        here: bool = True,
    ) -> Issued:
        """A certificate for a name and 127.0.0.1, or if not `here`, another address. `days` below 0: it has expired."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        made = self._build(name, key, self._name, self.own.private, days, ca=False, for_servers=for_servers, here=here)
        return Issued(made, key)

    def server(
        self,
        *,
        wants: Authority | None = None,
        highest: ssl.TLSVersion | None = None,
        days: int = 10,
        issued: Issued | None = None,
    ) -> ssl.SSLContext:
        """What a server on localhost uses. `wants`: it requires a client certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued = issued or self.issue(days=days)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "server.pem"
            file.write_text(issued.certificate + issued.key)
            context.load_cert_chain(file)
        if wants is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=wants.pem)
        if highest is not None:
            context.maximum_version = highest
        return context

    @staticmethod
    def _build(
        name: str,
        key: PrivateKey,
        issuer: str,
        issuer_key: PrivateKey,
        days: int,
        *,
        ca: bool,
        for_servers: bool = False,
        here: bool = True,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1" if here else "192.0.2.1"))
            names = [x509.DNSName(name), address]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if for_servers:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())
