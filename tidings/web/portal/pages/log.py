"""The pages of deliveries: the log, and one delivery with its attempts."""

from __future__ import annotations

from typing import Any

from tidings.model import moment
from tidings.model.errors import NotFound
from tidings.rules.deliver.lifecycle import STATES
from tidings.views.deliveries import DeliveryDetail
from tidings.web.pages.turning import page_links
from tidings.web.portal.visits import Next, PortalPage, PortalView, PortalVisit

NAV = "Log"
PER_PAGE, ENDPOINTS_SHOWN = 30, 1000
FILTERS = ("state", "endpoint", "type", "status")


async def log(visit: PortalVisit) -> PortalView:
    """Deliveries, newest first, filtered by the URL."""
    asked: dict[str, Any] = {name: visit.query[name].strip() for name in FILTERS if visit.query.get(name, "").strip()}
    page = await visit.ask("list_deliveries", limit=PER_PAGE, cursor=visit.query.get("cursor"), **asked)
    endpoints = (await visit.ask("list_endpoints", limit=ENDPOINTS_SHOWN))["data"]
    urls = {each.id: each.url for each in endpoints}
    # Deliveries of the operator's links with this tenant are the operator's business.
    rows = [_row(each, urls) for each in page["data"] if each.link is None]
    sentence = "Everything that was sent to you, newest first."
    if asked:
        sentence = "The deliveries that match, newest first." if rows else "No deliveries on this page match."
    values = {
        "deliveries": rows,
        "endpoints": endpoints,
        "states": STATES,
        "query": {name: asked.get(name, "") for name in FILTERS},
        "pages": page_links(visit.to("log"), asked, visit.query, page["next_cursor"], is_by_time=True),
    }
    return PortalView("log", "Log", sentence, "", NAV, values)


async def delivery(visit: PortalVisit) -> PortalView:
    """One delivery: the event, and every attempt with its response."""
    found = await _own(visit)
    event = url = None
    if found.event_id is not None:
        try:
            event = (await visit.ask("get_event", {"event": found.event_id})).data
        except NotFound:
            pass
    if found.endpoint_id is not None:
        try:
            url = (await visit.ask("get_endpoint", {"id": found.endpoint_id})).url
        except NotFound:
            pass
    state = {"delivered": "ok", "waiting": "attention", "dead": "trouble"}.get(found.state, "")
    values = {
        "delivery": found,
        "event": event,
        "url": url,
        "here": visit.to("log", found.id),
        "is_due": found.due is not None and moment.from_text(found.due) <= visit.parts.clock.now(),
        "is_moving": found.state == "waiting" and len(found.attempts) < 1,
    }
    return PortalView("delivery", found.event_type or "Delivery", _sentence(found), state, NAV, values)


async def retry(visit: PortalVisit) -> Next:
    """Send a delivery again."""
    await _own(visit)
    await visit.do("retry_delivery", visit.path)
    return Next(f"/log/{visit.path['id']}", "It is being sent again.")


async def cancel(visit: PortalVisit) -> Next:
    """Cancel a delivery."""
    await _own(visit)
    await visit.do("cancel_delivery", visit.path)
    return Next(f"/log/{visit.path['id']}", "It has been cancelled.")


async def _own(visit: PortalVisit) -> DeliveryDetail:
    """The delivery, if it goes to an endpoint. Raises NotFound."""
    found: DeliveryDetail = await visit.ask("get_delivery", visit.path)
    if found.link is not None:
        raise NotFound("None of your endpoints has such a delivery.")
    return found


def _row(each: Any, urls: dict[str, str]) -> dict[str, Any]:
    names = ("id", "event_type", "state", "last", "attempts", "created")
    return {name: getattr(each, name) for name in names} | {"url": urls.get(each.endpoint_id, "deleted")}


def _sentence(found: DeliveryDetail) -> str:
    tries = len(found.attempts)
    times = "the first attempt" if tries == 1 else f"{tries} attempts"
    if found.state == "delivered":
        return f"It was delivered after {times}."
    if found.state == "waiting":
        reason = f": {found.attempts[-1].reason}" if found.attempts else "."
        return (
            f"It is waiting for its next attempt; {tries} failed so far{reason}" if tries else "It is about to be sent."
        )
    if found.state == "dead":
        why = found.attempts[-1].reason if found.attempts else ""
        return f"It failed for good after {times}. {why or ''}".strip()
    return f"It is {found.state}."


PAGES = (
    PortalPage("/log", log),
    PortalPage("/log/{id}", delivery),
    PortalPage("/log/{id}/retry", retry, is_action=True),
    PortalPage("/log/{id}/cancel", cancel, is_action=True),
)
