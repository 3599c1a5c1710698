"""The pages of endpoints: all of them; one, with its health, secret and deliveries; and actions on it."""

from __future__ import annotations

from typing import Any

from tidings.control.endpoints.edit import OVERLAP_SECONDS
from tidings.model import moment
from tidings.model.digits import index_of
from tidings.model.moment import HOUR, SECOND, Micros
from tidings.rules.deliver.reasons import readable
from tidings.views.endpoints import EndpointView
from tidings.views.standing.sentences import refused_in_words
from tidings.views.standing.tallies import LinkTally
from tidings.web.pages.turning import page_links
from tidings.web.portal.visits import Next, PortalPage, PortalView, PortalVisit

NAV = "Endpoints"
PER_PAGE, EVENTS_SHOWN, DELIVERIES_SHOWN, REASONS_SHOWN, REPLAYS_SHOWN = 100, 4, 10, 5, 3
SPANS = ((1, "the last hour"), (6, "the last 6 hours"), (24, "the last day"), (168, "the last week"))
"""Hours to look back, in words."""
COUNTED_AFTER = 10 * SECOND
"""Attempts are counted a few seconds after they are made; until then, the page of a replay is redrawn."""


async def endpoints(visit: PortalVisit) -> PortalView:
    """All endpoints, and whether one of them needs attention."""
    page = await visit.ask("list_endpoints", limit=PER_PAGE, cursor=visit.query.get("cursor"))
    found: list[EndpointView] = page["data"]
    rows = [_row(each) for each in found]
    bad = [row for row in rows if row["mood"] in ("failing", "disabled", "refusing")]
    count = f"{len(rows)}{'+' if page['next_cursor'] else ''}"
    if not rows:
        sentence, state = "Add an endpoint, and your events will be sent there.", ""
    elif bad:
        sentence, state = _needs(bad, count), "trouble"
    else:
        sentence = "Your endpoint is working." if count == "1" else f"All {count} endpoints are working."
        state = "ok"
    turns = page_links(visit.root, {}, visit.query, page["next_cursor"])
    return PortalView("endpoints", "Endpoints", sentence, state, NAV, {"endpoints": rows, "pages": turns})


async def endpoint(visit: PortalVisit) -> PortalView:
    """One endpoint."""
    return await _endpoint(visit)


async def show_secret(visit: PortalVisit) -> PortalView:
    """The endpoint's page, with its secret."""
    return await _endpoint(visit, secret=await visit.ask("get_endpoint_secret", visit.path))


async def rotate(visit: PortalVisit) -> PortalView:
    """The endpoint's page, with its new secret."""
    overlap = index_of(visit.field("overlap"))
    body = {"overlap_seconds": OVERLAP_SECONDS if overlap is None else overlap}
    return await _endpoint(visit, secret=await visit.do("rotate_endpoint_secret", visit.path, body))


async def count_missed(visit: PortalVisit) -> PortalView:
    """The endpoint's page, with how many events of a time would be sent again."""
    hours = index_of(visit.field("hours"))
    until = visit.parts.clock.now()
    since: Micros = until - (hours if hours is not None and hours <= SPANS[-1][0] else 1) * HOUR
    counted = await visit.do("create_replay", body=_range(visit, since, until, dry_run=True))
    return await _endpoint(visit, counted=counted)


async def replay(visit: PortalVisit) -> Next:
    """Send again what was counted."""
    body = {name: visit.field(name) for name in ("since", "until", "which")}
    await visit.do("create_replay", body={"endpoint_id": visit.path["id"], **body})
    return _back(visit, "What you missed is being sent again.")


async def test(visit: PortalVisit) -> Next:
    """Send a test event."""
    tested = await visit.do("test_endpoint", visit.path)
    if tested.delivery is None:
        return _back(visit, "A test was sent.")
    return Next(f"/log/{tested.delivery}", "A test was sent; this is its delivery.")


async def pause(visit: PortalVisit) -> Next:
    """Send nothing for now."""
    await visit.do("pause_endpoint", visit.path, {"reason": "Paused in the portal."})
    return _back(visit, "The endpoint is paused. New events will wait.")


async def resume(visit: PortalVisit) -> Next:
    """Send again."""
    await visit.do("resume_endpoint", visit.path, {"missed": "send"})
    return _back(visit, "The endpoint gets events again, starting with those that were waiting.")


async def delete(visit: PortalVisit) -> Next:
    """Delete it."""
    await visit.do("delete_endpoint", visit.path)
    return Next("", "The endpoint has been deleted.")


async def _endpoint(visit: PortalVisit, *, secret: Any = None, counted: Any = None) -> PortalView:
    ident = visit.path["id"]
    found: EndpointView = await visit.ask("get_endpoint", visit.path)
    tally: LinkTally = (await visit.ask("list_link_tallies", endpoint=ident))["data"][0]
    latest = await visit.ask("list_deliveries", endpoint=ident, limit=DELIVERIES_SHOWN)
    reasons = await visit.ask("list_failure_reasons", endpoint=ident)
    replays = await visit.ask("list_replays", endpoint=ident, limit=REPLAYS_SHOWN)
    row = _row(found)
    sentence = _sentence(found, row, tally)
    counted_by = visit.parts.clock.now() - COUNTED_AFTER
    is_moving = any(each.state == "running" or moment.from_text(each.updated) > counted_by for each in replays["data"])
    old = await visit.ask("get_endpoint_secret", visit.path) if secret is None and visit.may_change else secret
    values = {
        "endpoint": found,
        "tally": tally,
        "waiting": f"{tally.waiting:,}{'+' if tally.waiting_is_more else ''}",
        "success": None if tally.total.success_rate is None else _percent(tally.total.success_rate),
        "here": visit.to("endpoints", ident),
        "deliveries": latest["data"],
        "reasons": [
            {
                "count": each.count,
                "reason": readable(each.reason) or each.outcome,
                "last": each.last,
                "example": each.example,
            }
            for each in reasons.reasons[:REASONS_SHOWN]
        ],
        "replays": replays["data"],
        "secret": secret,
        "old_secrets": [] if old is None else old.previous,
        "counted": counted,
        "spans": SPANS,
        "is_moving": is_moving and secret is None and counted is None,
    }
    mood = "attention" if row["mood"] == "ok" and refused_in_words(found, tally) else row["mood"]
    return PortalView("endpoint", found.url, sentence, mood, NAV, values)


def _needs(bad: list[dict[str, Any]], count: str) -> str:
    if len(bad) == 1:
        since = bad[0]["since"]
        says = f"has been failing since {_utc(since)}" if since else bad[0]["says"]
        whose = "Your endpoint needs attention" if count == "1" else f"1 of {count} endpoints needs attention"
        return f"{whose}: it {says}."
    failing = [row["since"] for row in bad if row["since"]]
    since = f" The first of these endpoints began to fail at {_utc(min(failing))}." if failing else ""
    return f"{len(bad)} of {count} endpoints need attention.{since}"


def _utc(text: str) -> str:
    return f"{text[:10]} {text[11:16]} UTC"


def _row(each: EndpointView) -> dict[str, Any]:
    health, since = each.health, None
    mood: str
    if each.state != "enabled":
        mood, says = each.state, "is paused" if each.state == "paused" else "was disabled"
    elif health.failing_since is not None:
        mood, says, since = "failing", "began to fail", health.failing_since
    elif isinstance(health.held_until, str):
        mood, says, since = "attention", "asked us to wait; the wait ends", health.held_until
    elif health.fails > 1:
        mood, says = "refusing", f"refused the last {health.fails:,} events"
    else:
        mood, says = "ok", "is working"
    shown = {"id": each.id, "url": each.url, "description": each.description, "mood": mood, "says": says}
    names = ["all events" if name == "*" else name for name in each.events]
    more = max(0, len(names) - EVENTS_SHOWN)
    return shown | {"since": since, "events": names[:EVENTS_SHOWN], "more_events": more}


def _percent(rate: float) -> str:
    """`99.9%`; 100 only if nothing failed."""
    return "100%" if rate == 1 else f"{min(rate * 100, 99.9):.1f}%"


def _sentence(found: EndpointView, row: dict[str, Any], tally: LinkTally) -> str:
    count = f"{tally.waiting:,}{'+' if tally.waiting_is_more else ''}"
    waits = f" {count} {'event is' if tally.waiting == 1 else 'events are'} waiting." if tally.waiting else ""
    if row["mood"] == "failing":
        probe = f" The next attempt is at {tally.next_attempt[11:16]} UTC." if tally.next_attempt else ""
        return f"It has been failing since {_utc(row['since'])}.{waits}{probe}"
    if row["mood"] == "attention":
        return f"It asked us to wait until {_utc(row['since'])}.{waits}"
    if row["mood"] in ("ok", "refusing"):
        refused = refused_in_words(found, tally)
        return f"{refused or 'It is working.'}{waits}" if waits or refused else "It is working; nothing is waiting."
    return f"It {row['says']}.{waits}"


def _range(visit: PortalVisit, since: Micros, until: Micros, *, dry_run: bool) -> dict[str, Any]:
    which = "all" if visit.field("which") == "all" else "failed"
    times = {"since": moment.to_text(since), "until": moment.to_text(until)}
    return {"endpoint_id": visit.path["id"], "which": which, "dry_run": dry_run, **times}


def _back(visit: PortalVisit, notice: str) -> Next:
    return Next(f"/endpoints/{visit.path['id']}", notice)


_ONE = "/endpoints/{id}"
PAGES = (
    PortalPage("", endpoints),
    PortalPage(_ONE, endpoint),
    PortalPage(f"{_ONE}/secret", show_secret, is_action=True),
    PortalPage(f"{_ONE}/rotate", rotate, is_action=True),
    PortalPage(f"{_ONE}/missed", count_missed, is_action=True),
    PortalPage(f"{_ONE}/replay", replay, is_action=True),
    PortalPage(f"{_ONE}/test", test, is_action=True),
    PortalPage(f"{_ONE}/pause", pause, is_action=True),
    PortalPage(f"{_ONE}/resume", resume, is_action=True),
    PortalPage(f"{_ONE}/delete", delete, is_action=True),
)
