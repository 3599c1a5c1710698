"""Certificates and keys that the command line reads from files."""

from __future__ import annotations

import re
from pathlib import Path

from tidings.client.client import Json

_CONVERT = {"--ca": "x509", "--client-certificate": "x509", "--client-key": "pkey"}
"""For each option, the openssl command that converts its file to PEM."""
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def options(ca: Path | None, certificate: Path | None, key: Path | None) -> Json:
    """The options for these files in the form of the API. Raises ValueError if one is unreadable."""
    found: Json = {}
    if ca is not None:
        found["ca"] = _text(ca, "--ca")
    if certificate is None and key is None:
        return found
    client: Json = {}
    if certificate is not None:
        text = _text(certificate, "--client-certificate")
        keys, others = _parted(text)
        if not others:
            raise ValueError(f"--client-certificate {certificate} contains no certificate in PEM format.")
        client["certificate"] = others
        if keys and key is None:
            client["key"] = keys
    if key is not None:
        client["key"] = _text(key, "--client-key")
    found["client_certificate"] = client
    return found


def check_pair(options: Json) -> None:
    """Raise ValueError if a new endpoint would have a client certificate without its key, or a key without one."""
    client = options.get("client_certificate")
    if client is None or len(client) == 2:
        return
    missing = "--client-certificate" if "key" in client else "--client-key"
    raise ValueError(f"A client certificate and its key are needed together: also pass {missing} FILE.")


def shown(options: Json) -> Json:
    """How an endpoint with these options shows them. Raises ValueError if they are not certificates."""
    from tidings.rules.network import certificates
    from tidings.rules.reading.refused import Refused

    def summary(text: str) -> list[Json]:
        return [
            {"subject": each.subject, "fingerprint": each.fingerprint, "expires": each.expires}
            for each in certificates.summaries(text)
        ]

    try:
        found: Json = {"ca": summary(options["ca"])} if "ca" in options else {}
        if (client := options.get("client_certificate")) is not None:
            found["client_certificate"] = summary(client["certificate"])[0] if "certificate" in client else None
    except Refused as wrong:
        raise ValueError(wrong.detail) from wrong
    return found


def _text(file: Path, option: str) -> str:
    try:
        return file.read_text("ascii")
    except OSError as wrong:
        raise ValueError(f"{option} {file} cannot be read: {wrong.strerror}.") from wrong
    except UnicodeError as wrong:
        raise ValueError(
            f"{option} {file} is not in PEM format; convert it: openssl {_CONVERT[option]} -inform der -in {file}"
        ) from wrong


def _parted(text: str) -> tuple[str, str]:
    """The private keys, and everything else."""
    blocks = [(found[1], found[0]) for found in _BLOCK.finditer(text)]
    keys = [block for label, block in blocks if label.endswith("PRIVATE KEY")]
    others = [block for label, block in blocks if not label.endswith("PRIVATE KEY")]
    return tuple("".join(f"{block}\n" for block in each) for each in (keys, others))  # type: ignore[return-value]
