"""The pages of event types: which types there are, and what their data looks like."""

from __future__ import annotations

from tidings.views.event_types import EventTypeView
from tidings.web.pages.turning import page_links
from tidings.web.portal.visits import PortalPage, PortalView, PortalVisit

NAV = "Event types"
PER_PAGE = 200


async def types(visit: PortalVisit) -> PortalView:
    """All of them, by name."""
    page = await visit.ask("list_event_types", limit=PER_PAGE, cursor=visit.query.get("cursor"))
    turns = page_links(visit.to("types"), {}, visit.query, page["next_cursor"])
    sentence = "What can happen, and what your endpoints get when it does."
    return PortalView("types", "Event types", sentence, "", NAV, {"types": page["data"], "pages": turns})


async def one_type(visit: PortalVisit) -> PortalView:
    """One of them, with its schema and an example."""
    found: EventTypeView = await visit.ask("get_event_type", visit.path)
    return PortalView("type", found.name, "", "", NAV, {"type": found})


PAGES = (PortalPage("/types", types), PortalPage("/types/{name}", one_type))
