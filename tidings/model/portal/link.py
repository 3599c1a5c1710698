"""A portal link: lets a tenant's people look after their own endpoints, once opened, for a day at most."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.model.access import SharedLimit
from tidings.model.moment import Micros

PREFIX = "ptl"

May = Literal["change", "read"]
"""What people may do on the portal's pages: everything, or only read."""
Mode = Literal["auto", "light", "dark"]
Font = Literal["system", "humanist", "rounded", "serif", "mono"]
"""Fonts that computers already have, so that none has to be downloaded."""

READING: tuple[str, ...] = ("endpoints:read", "deliveries:read", "events:read", "event-types:read", "replays:read")
CHANGING: tuple[str, ...] = (*READING, "endpoints:write", "deliveries:write", "replays:write")
SCOPES: dict[May, tuple[str, ...]] = {"read": READING, "change": CHANGING}
"""By `may`, the scopes of the session's key."""


class EmptyTexts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What pages show if there are no entries; if a text is empty, they show our own."""

    endpoints: str = ""
    deliveries: str = ""
    event_types: str = ""


class Theme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the portal looks. `accent` is a colour such as `#0a7cff`. `logo` is a `data:` URL with a PNG, JPEG, GIF,
    WebP or SVG image of at most 64 KiB. `radius` is that of corners, in pixels. `empty` has the texts of empty pages.
    """

    product: str = ""
    accent: str = ""
    mode: Mode = "auto"
    radius: int = 10
    font: Font = "system"
    logo: str = ""
    empty: EmptyTexts = EmptyTexts()


class PortalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What its maker chose, and what its maker's key passes on."""

    may: May
    frame_origins: tuple[str, ...] = ()
    """The origins whose pages may show the portal in a frame."""
    theme: Theme = Theme()
    """The theme of the pages. Its `logo` is the hash of a stored image."""
    return_url: str = ""
    maker: str = ""
    """The id of the key that created the link."""
    shared_limits: tuple[SharedLimit, ...] = ()
    session_until: Micros | None = None
    """When the creator's key expires. The session ends no later than that."""


class PortalLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link. Its token is never kept, only the SHA-256 of it."""

    id: str
    tenant: str
    hash: str
    options: PortalOptions
    created: Micros
    expires: Micros
    """The time until which the link can be opened."""
    opened: Micros | None = None
    session: str | None = None
    """The id of the session's key, once the link has been opened."""
    session_expires: Micros | None = None
    revoked: Micros | None = None


class Logo(msgspec.Struct, frozen=True):
    """An image. `hash`: the SHA-256 of its content, in hex."""

    hash: str
    media: str
    content: bytes
