"""Keys as answers and pages show them, without their text."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.keys import MadeKey
from tidings.model import moment
from tidings.model.access import CallLimit, Key, Permit


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its text."""

    id: str
    name: str
    scopes: tuple[str, ...]
    permits: tuple[Permit, ...]
    tenant: str | None
    limits: tuple[CallLimit, ...]
    expires: str | None
    created: str
    revoked: str | None
    cors_origins: tuple[str, ...]


class CreatedKey(KeyView, frozen=True, kw_only=True):
    """A new key. `key` is its text, which is shown only this once."""

    key: str


def key_view(key: Key) -> KeyView:
    """A key as lists show it."""
    return KeyView(**_fields(key))


def created_key(made: MadeKey) -> CreatedKey:
    """A key, as it is shown only once."""
    return CreatedKey(**_fields(made.key), key=made.text)


def _fields(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "permits": key.permits,
        "tenant": key.tenant,
        "limits": key.limits,
        "expires": None if key.expires is None else moment.to_text(key.expires),
        "created": moment.to_text(key.created),
        "cors_origins": key.cors_origins,
        "revoked": None if key.revoked is None else moment.to_text(key.revoked),
    }
