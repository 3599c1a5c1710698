"""The one table of the console's pages. A new list of pages is added with one line."""

from __future__ import annotations

from tidings.web.console.pages import (
    access,
    bulk,
    declared,
    deliveries,
    endpoint_actions,
    endpoints,
    events,
    find,
    items,
    links,
    now,
    receiving,
)
from tidings.web.console.pages.service import acts, jobs, server
from tidings.web.console.visit import PageRow

PAGES: tuple[PageRow, ...] = (
    *now.PAGES,
    *endpoints.PAGES,
    *endpoint_actions.PAGES,
    *bulk.PAGES,
    *deliveries.PAGES,
    *events.PAGES,
    *links.PAGES,
    *receiving.PAGES,
    *items.PAGES,
    *declared.PAGES,
    *access.PAGES,
    *jobs.PAGES,
    *server.PAGES,
    *acts.PAGES,
    *find.PAGES,
)
