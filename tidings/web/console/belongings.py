"""What belongs to an endpoint or a link: the lists that its page leads to, how many became dead, and retrying them."""

from __future__ import annotations

from typing import Any

from tidings.model.link import ALL_TENANTS
from tidings.web.console.lists import button, number
from tidings.web.console.visit import PageVisit
from tidings.web.pages.templates import url

DEAD_SHOWN = 100
"""Dead deliveries are counted only up to this many, because the page is redrawn every second."""


async def dead_of(visit: PageVisit, kind: str, name: str) -> str:
    """How many deliveries of an `endpoint` or `link` became dead: `12`, or `100+`; empty if none did."""
    found = await visit.maybe("list_deliveries", **{kind: name}, state="dead", limit=DEAD_SHOWN)
    if not found or not found["data"]:
        return ""
    count: str = number(len(found["data"]), found["next_cursor"] is not None)["value"]
    return count


def waiting_of(tally: Any, dead: str) -> str:
    """How many became dead and how many wait, as the end of a page's sentence."""
    said = f" {dead} became dead." if dead else ""
    if tally is None or not tally.waiting:
        return said
    is_one = tally.waiting == 1 and not tally.waiting_is_more
    many = f"{tally.waiting:,}{'+' if tally.waiting_is_more else ''}"
    return f"{said} {many} {'delivery is' if is_one else 'deliveries are'} waiting."


def because(reason: str | None) -> str:
    """A reason as the end of a sentence, with its full stop."""
    if not reason:
        return "."
    return f": {reason}" if reason.endswith((".", "!", "?")) else f": {reason}."


def tabs(visit: PageVisit, kind: str, name: str, tenant: str | None, dead: str) -> list[dict[str, str]]:
    """The lists of its belongings that the key may read."""
    given, found = {kind: name}, []
    if visit.may("list_deliveries"):
        found += [
            _tab("All deliveries", url("/deliveries", **given)),
            _tab("Waiting", url("/deliveries", **given, state="waiting")),
            _tab(f"Became dead{f' ({dead})' if dead else ''}", url("/deliveries", **given, state="dead")),
            _tab("Cancelled", url("/deliveries", **given, state="cancelled")),
        ]
    tenant = None if tenant == ALL_TENANTS else tenant
    if visit.may("list_events"):
        found.append(_tab("Events" + (f" of {tenant}" if tenant else ""), url("/events", tenant=tenant)))
    if visit.may("list_acts"):
        found.append(_tab("Acts", url("/acts", about=name)))
    return found


def retries(visit: PageVisit, kind: str, name: str, dead: str, waits: int | None) -> list[dict[str, Any]]:
    """Buttons that retry dead and waiting deliveries (None: it is not enabled); both count first."""
    if not visit.may("retry_deliveries"):
        return []
    found = []
    if dead:
        found.append(button("/deliveries/retry", f"Retry the {dead} dead …", fields={kind: name, "state": "dead"}))
    if waits:
        found.append(button("/deliveries/retry", "Retry the waiting ones …", fields={kind: name, "state": "waiting"}))
    return found


def _tab(said: str, where: str) -> dict[str, str]:
    return {"text": said, "to": where}
