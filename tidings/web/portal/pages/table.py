"""The portal's table of pages and actions."""

from __future__ import annotations

from tidings.web.portal.pages import changing, endpoints, log, types, verify
from tidings.web.portal.visits import PortalPage

PAGES: tuple[PortalPage, ...] = (*endpoints.PAGES, *changing.PAGES, *log.PAGES, *types.PAGES, *verify.PAGES)
