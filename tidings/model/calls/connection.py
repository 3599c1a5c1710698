"""Connections: how we reach other systems, with one rate and one pause for all links that use one."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.link import ClientCertificate
from tidings.model.moment import Micros

MASK = "***"
"""The mask that is shown instead of a secret. A declaration that contains it keeps the stored secret."""
TIMEOUT_SECONDS = 15.0


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts of a connection that an operator chooses and that are not secret. Stored as one JSON text."""

    base: str
    """The URL to which paths are appended, without a trailing `/`; smtp:// or smtps:// for mail."""
    sender: str = ""
    """The sender of mails, if the connection is for mail."""
    description: str = ""
    rate: float | None = None
    """Requests per second."""
    max_in_flight: int | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    private: tuple[str, ...] = ()
    """Ranges of addresses, such as 10.0.0.0/8, that this connection may call although others may not."""

    @property
    def is_mail(self) -> bool:
        """Whether it reaches a mail server."""
        return self.base.startswith("smtp")


class ConnectionSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts encrypted at rest. `auth`: how it authenticates, as it was declared (rules/calls/authentication.py)."""

    auth: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    ca: str | None = None
    client_certificate: ClientCertificate | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How another system is reached."""

    id: str
    name: str
    options: ConnectionOptions
    secrets: ConnectionSecrets
    revision: int
    created: Micros
    updated: Micros


class AccessToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access token from a token endpoint. `expires`: when to replace it; None if unknown. Sealed at rest."""

    access: str
    expires: Micros | None = None
    refresh: str | None = None
    """The refresh token with which to get the next access token."""


class StoredToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and a hash of the credentials that it was issued for: it must not be used with others."""

    token: AccessToken
    credentials: str
