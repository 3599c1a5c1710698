"""Portal links as answers and pages show them, without their tokens."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.control.portal.links import MadeLink
from tidings.model import moment
from tidings.model.moment import Micros
from tidings.model.portal.link import May, PortalLink, Theme
from tidings.rules.portal.theme import notes
from tidings.views.times import time_text

PortalState = Literal["ready", "open", "expired", "revoked"]


class PortalLinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A portal link, without its token. `state`: `ready` until it is opened, `open` while its session lasts. The `logo`
    of `theme` is only the SHA-256 of the image. `notes` lists what the pages show differently from the theme.
    """

    id: str
    tenant: str
    may: May
    frame_origins: tuple[str, ...]
    theme: Theme
    return_url: str
    state: PortalState
    created: str
    expires: str
    opened: str | None
    session_expires: str | None
    revoked: str | None
    notes: list[str]


class CreatedPortalLink(PortalLinkView, frozen=True, kw_only=True):
    """A new portal link. `url` contains its token, which is shown only this once."""

    url: str


class RevokedLinks(msgspec.Struct, frozen=True, kw_only=True):
    """How many links of a tenant were revoked, together with their sessions."""

    revoked: int


def link_view(link: PortalLink, now: Micros) -> PortalLinkView:
    """A link as lists show it."""
    return PortalLinkView(**_fields(link, now))


def created_link(made: MadeLink, base: str) -> CreatedPortalLink:
    """A link, as it is shown only once. `base`: the server's public URL without a trailing slash; empty if none."""
    url = f"{base}/portal/{made.link.id}#{made.token}"
    return CreatedPortalLink(**_fields(made.link, made.link.created), url=url)


def state_of(link: PortalLink, now: Micros) -> PortalState:
    """Whether a link can be opened, or its session lasts."""
    if link.revoked is not None:
        return "revoked"
    if link.session_expires is not None:
        return "open" if link.session_expires > now else "expired"
    return "ready" if link.expires > now else "expired"


def _fields(link: PortalLink, now: Micros) -> dict[str, Any]:
    options = link.options
    return {
        "id": link.id,
        "tenant": link.tenant,
        "may": options.may,
        "frame_origins": options.frame_origins,
        "theme": options.theme,
        "return_url": options.return_url,
        "state": state_of(link, now),
        "created": moment.to_text(link.created),
        "expires": moment.to_text(link.expires),
        "opened": time_text(link.opened),
        "session_expires": time_text(link.session_expires),
        "revoked": time_text(link.revoked),
        "notes": notes(options.theme),
    }
