"""Who may do what: keys with scopes and call limits, and tenants."""

from __future__ import annotations

import msgspec

from tidings.model.moment import Micros

EVERYTHING = "*"

SCOPES: tuple[str, ...] = (
    "events:write",
    "events:read",
    "event-types:read",
    "event-types:write",
    "endpoints:read",
    "endpoints:write",
    "deliveries:read",
    "deliveries:write",
    "replays:read",
    "replays:write",
    "tenants:read",
    "tenants:write",
    "keys:read",
    "keys:write",
    "metrics:read",
    EVERYTHING,
)


class CallLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `calls` in each window of `seconds`, windows counted from the epoch."""

    calls: int
    seconds: int


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A credential. Its text is never kept, only the SHA-256 of it."""

    id: str
    hash: str
    name: str
    scopes: tuple[str, ...]
    tenant: str | None = None
    limits: tuple[CallLimit, ...] = ()
    expires: Micros | None = None
    created: Micros = 0
    revoked: Micros | None = None

    def permits(self, scope: str) -> bool:
        """Whether this key has the scope."""
        return scope in self.scopes or EVERYTHING in self.scopes


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the operator's customers."""

    id: str
    name: str = ""
    revision: int = 1
    created: Micros = 0
    updated: Micros = 0
