"""Actions on an endpoint: register, pause, resume, probe, test, edit, show and rotate its secret, replay."""

from __future__ import annotations

from typing import Any

from tidings.web.console import kept
from tidings.web.console.lists import button
from tidings.web.console.pages.endpoints import endpoint
from tidings.web.console.visit import Done, PageVisit, View, action, to


async def create(visit: PageVisit) -> Done:
    """Register an endpoint."""
    given = visit.posted
    body: dict[str, Any] = {name: given[name] for name in ("url", "description", "tenant") if given.get(name)}
    body["events"] = _list(given.get("events", "*"))
    made = await visit.do("create_endpoint", None, body)
    return Done(to("endpoints", made.id), "The endpoint is registered.")


async def pause(visit: PageVisit) -> Done:
    """Pause it."""
    await visit.do("pause_endpoint", visit.path, {"reason": visit.posted.get("reason") or None})
    return Done(to("endpoints", visit.path["id"]), "Paused: new events will wait until the endpoint is resumed.")


async def resume(visit: PageVisit) -> Done:
    """Resume it."""
    missed = "cancel" if visit.posted.get("missed") == "cancel" else "send"
    standing = await visit.maybe("list_link_tallies", endpoint=visit.path["id"]) if missed == "cancel" else None
    tally = standing["data"][0] if standing and standing["data"] else None
    await visit.do("resume_endpoint", visit.path, {"missed": missed})
    said = "Resumed: the waiting deliveries are being sent."
    if missed == "cancel":
        many = f" ({tally.waiting:,}{'+' if tally.waiting_is_more else ''})" if tally else ""
        said = (
            f"Resumed: the waiting deliveries{many} were cancelled. They are listed under Cancelled, and can "
            "be retried there."
        )
    return Done(to("endpoints", visit.path["id"]), said)


async def probe(visit: PageVisit) -> Done:
    """Try the oldest waiting delivery now."""
    found = await visit.get("list_deliveries", endpoint=visit.path["id"], state="waiting", limit=1, sort="created")
    if not found["data"]:
        return Done(
            to("endpoints", visit.path["id"]),
            ("No deliveries are waiting for this endpoint. Send a test event to see whether it responds."),
        )
    await visit.do("retry_delivery", {"id": found["data"][0].id})
    return Done(to("endpoints", visit.path["id"]), "The oldest waiting delivery is being sent now.")


async def test(visit: PageVisit) -> Done:
    """Send a test event."""
    made = await visit.do("test_endpoint", visit.path)
    where = to("deliveries", made.delivery) if made.delivery else to("events", made.event_id)
    return Done(where, "A test event is on its way.")


async def edit(visit: PageVisit) -> Done:
    """Change its settings."""
    given = visit.posted
    body: dict[str, Any] = {name: given[name] for name in ("url", "description") if name in given}
    body["events"] = _list(given.get("events", "*"))
    body["rate"] = _number(given.get("rate", ""))
    if given.get("timeout_seconds"):
        body["timeout_seconds"] = _number(given["timeout_seconds"])
    await visit.do("edit_endpoint", visit.path, body)
    return Done(to("endpoints", visit.path["id"]), "Saved. The change takes effect with the next attempt.")


async def secret(visit: PageVisit) -> View:
    """Show the secret on request."""
    found = await visit.get("get_endpoint_secret", visit.path)
    return await _with_secret(
        visit, found.secret, "The signing secret", "Anyone who has this secret can sign as this server."
    )


async def rotate(visit: PageVisit) -> View:
    """Make a new secret; the old one also signs for a while."""
    hours = _number(visit.posted.get("hours", "24"))
    seconds = round(hours * 3600) if isinstance(hours, int | float) else hours
    found = await visit.do("rotate_endpoint_secret", visit.path, {"overlap_seconds": seconds})
    ends = found.previous[0].expires if found.previous else None
    note = (
        f"Until {ends[:16].replace('T', ' ')} UTC, webhooks are also signed with the previous secret." if ends else ""
    )
    return await _with_secret(visit, found.secret, "The new secret", note)


async def _with_secret(visit: PageVisit, text_: str, title: str, note: str) -> View:
    shown = await endpoint(visit)
    secret = {"title": title, "text": text_, "note": note}
    return View(shown.template, shown.title, shown.sentence, {**shown.values, "secret": secret}, shown.state)


async def replay(visit: PageVisit) -> View | Done:
    """Count what would be sent again, then ask."""
    given = {name: visit.posted[name] for name in ("since", "until", "which") if visit.posted.get(name)}
    body = {"endpoint_id": visit.path["id"], **given}
    if visit.posted.get("sure"):
        made = await visit.do("create_replay", None, body)
        return Done(to("jobs", made.id), "The replay has started.")
    found = await visit.do("create_replay", None, {**body, "dry_run": True})
    where = f"{to('endpoints', visit.path['id'])}/replay"
    shown = await endpoint(visit)
    shown = kept.refilled(shown, where, visit.posted) or shown
    actions = [button(where, f"Send {found.would_send:,} again", "main", fields={**given, "sure": "1"})]
    events = f"{found.total:,} event{'' if found.total == 1 else 's'}"
    said = f"{found.would_send:,} of {events} would be sent again."
    if not found.would_send:
        actions = []
        said = f'None of {events} would be sent again. To send events again, choose other times or "all" below.'
    return View(shown.template, shown.title, said, {**shown.values, "actions": actions}, "attention")


def _list(given: str) -> list[str]:
    return [each.strip() for each in given.split(",") if each.strip()]


def _number(given: str) -> float | str | None:
    """A number; other texts are passed on unchanged, so that the API reports what is wrong with them."""
    try:
        return float(given) if given.strip() else None
    except ValueError:
        return given


PAGES = (
    action("/endpoints", create, "endpoints"),
    action("/endpoints/{id}/pause", pause, "endpoints"),
    action("/endpoints/{id}/resume", resume, "endpoints"),
    action("/endpoints/{id}/probe", probe, "endpoints"),
    action("/endpoints/{id}/test", test, "endpoints"),
    action("/endpoints/{id}/edit", edit, "endpoints"),
    action("/endpoints/{id}/secret", secret, "endpoints"),
    action("/endpoints/{id}/rotate", rotate, "endpoints"),
    action("/endpoints/{id}/replay", replay, "endpoints"),
)
