"""An endpoint's TLS options: its own authority, and the certificate that we present; `***` keeps the stored one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidings.model.errors import Place
from tidings.model.link import ClientCertificate, Sealed
from tidings.model.moment import Micros
from tidings.rules.network import certificates
from tidings.rules.reading.refused import Refused

KEPT = "***"


def hidden(sealed: Sealed) -> dict[str, Any]:
    """Both as their owner would write them, with values hidden; a merge patch is applied to this."""
    client = None if sealed.client_certificate is None else {"certificate": KEPT, "key": KEPT}
    return {"ca": None if sealed.ca is None else KEPT, "client_certificate": client}


def check_whole(document: dict[str, Any], patch: dict[str, Any]) -> None:
    """Raise Refused if a merge patch names no part of a client certificate, or one while the other is not stored."""
    if patch.get("client_certificate") == {} and isinstance(document.get("client_certificate"), dict):
        detail = (
            "`client_certificate` contains neither a certificate nor a key. Leave it out to keep the stored one, or "
            "send null to remove it."
        )
        raise Refused("/client_certificate/certificate", "incomplete", detail)
    client = document.get("client_certificate")
    if isinstance(client, dict):
        for name in ("certificate", "key"):
            if name not in client:
                detail = f"The endpoint has no client certificate yet, so `{name}` is required too."
                raise Refused(f"/client_certificate/{name}", "incomplete", detail)


def chosen(
    ca: str | None, client: ClientCertificate | None, present: Sealed | None
) -> tuple[str | None, ClientCertificate | None]:
    """The values to store."""
    stored = None if present is None else present.client_certificate
    if ca == KEPT and present is not None:
        ca = present.ca
    if client is not None and stored is not None:
        client = ClientCertificate(
            certificate=stored.certificate if client.certificate == KEPT else client.certificate,
            key=stored.key if client.key == KEPT else client.key,
        )
    return ca, client


def places(
    url: str, ca: str | None, client: ClientCertificate | None, present: Sealed | None, now: Micros
) -> Iterable[Place]:
    """What is wrong with them. Stored ones are not checked again: otherwise an expired one could not be replaced."""
    wanted = [(name, value) for name, value in (("/ca", ca), ("/client_certificate", client)) if value is not None]
    if url.lower().startswith("http:"):
        for pointer, _ in wanted:
            yield Place(
                pointer=pointer,
                code="not_with_http",
                detail=f"`{pointer[1:]}` requires TLS: use an https:// URL instead of http://.",
            )
        return
    for pointer, value in wanted:
        try:
            if isinstance(value, ClientCertificate):
                if present is None or value != present.client_certificate:
                    certificates.check_client(value.certificate, value.key, now, pointer)
            elif present is None or value != present.ca:
                certificates.check_authorities(value, now, pointer)
        except Refused as wrong:
            yield wrong.place
