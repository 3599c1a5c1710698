"""Now: is anything stuck, since when, for whom, why, and what to do about it; and why deliveries failed lately."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from tidings.model.errors import TidingsError
from tidings.rules.deliver.reasons import readable
from tidings.views.health.report import HealthProblem, HealthReport
from tidings.views.health.words import age, at_least
from tidings.web.console.charts import charts
from tidings.web.console.lists import button, result
from tidings.web.console.visit import PageVisit, View, page, to

REASONS_MAX = 12
ENDPOINTS, FAILING, DISABLED = "/endpoints", "/endpoints?state=failing", "/endpoints?state=disabled"
RATE_MINUTES = 5
_COMMAND = re.compile(r"[^.:]*: tidings [^.]*\.?$")
"""The command at the end of a piece of advice; the page has buttons instead."""
SECOND = 1_000_000


async def now(visit: PageVisit) -> View:
    """Show the state of everything."""
    report, reasons, tallies = await asyncio.gather(
        visit.maybe("get_health"), visit.maybe("list_failure_reasons"), visit.maybe("get_tallies")
    )
    named = {} if report is None else await names(visit, {each.endpoint_id for each in report.problems})
    values = {"charts": charts(tallies), "reasons": None if reasons is None else reason_rows(reasons)}
    if report is None:
        return await _now_of_tenant(visit, values)
    return View(
        "now.html",
        "Now",
        _named(report.sentence, named),
        values
        | {
            "tiles": [*_flow(tallies), *_tiles(report)],
            "problems": [_problem(visit, each, named) for each in report.problems],
        },
        report.state,
    )


def reason_rows(found: Any, **narrowed: str) -> list[dict[str, Any]]:
    """Groups of failures as the template shows them. `narrowed`: the filters of the lists that they lead to."""
    rows = []
    for each in found.reasons[:REASONS_MAX]:
        query = {"outcome": each.outcome, "status": each.status or "", **narrowed}
        text = urlencode({name: value for name, value in query.items() if value})
        rows.append(
            {
                "what": result(each.outcome, each.status),
                "reason": readable(each.reason),
                "count": each.count,
                "waiting": each.waiting,
                "dead": each.dead,
                "last": each.last,
                "example": each.example,
                "to": f"/deliveries?{text}",
            }
        )
    return rows


async def _now_of_tenant(visit: PageVisit, values: dict[str, Any]) -> View:
    """The page for a key that may not read the server's health: its own endpoints."""
    found = await visit.maybe("list_endpoints", limit=200)
    failing = [] if found is None else [each for each in found["data"] if each.health.failing_since is not None]
    stopped = [] if found is None else [each for each in found["data"] if each.state == "disabled"]
    problems = [_endpoint_problem(each) for each in (*failing, *stopped)]
    some = "1 endpoint needs" if len(problems) == 1 else f"{len(problems):,} endpoints need"
    sentence = f"{some} attention." if problems else "All is well: no endpoint is failing."
    if found is None:
        sentence = "This key may not read endpoints; choose another page from the menu."
    tiles = [
        _tile(
            "Endpoints",
            at_least(len(found["data"]) if found else 0, bool(found and found["next_cursor"])),
            to=ENDPOINTS,
        ),
        _tile("Failing", f"{len(failing):,}", mood="bad" if failing else "", to=FAILING),
        _tile("Disabled", f"{len(stopped):,}", mood="bad" if stopped else "", to=DISABLED),
    ]
    state = "attention" if problems else "ok"
    return View("now.html", "Now", sentence, values | {"tiles": tiles, "problems": problems}, state)


def _flow(tallies: Any) -> list[dict[str, str]]:
    """How much came in and went out in the last whole minutes."""
    if tallies is None:
        return []
    accepted = sum(each.accepted or 0 for each in tallies.points[-RATE_MINUTES:])
    total = tallies.total
    rate = "no attempts" if total.success_rate is None else f"{total.success_rate:.1%} of attempts succeeded"
    return [
        _tile(
            "Events, last hour",
            f"{total.accepted or 0:,}",
            f"{accepted / RATE_MINUTES / 60:,.1f} a second lately",
            to="/events",
        ),
        _tile("Delivered, last hour", f"{total.delivered:,}", rate, to="/deliveries?state=delivered"),
    ]


def _tiles(report: HealthReport) -> list[dict[str, str]]:
    oldest, stages = report.oldest_waiting, report.stages
    ends, store = report.endpoints, report.store
    behind = 0 if stages is None else stages.unrouted_events + stages.unseen_deliveries
    free = "" if store.free_bytes is None else f"{store.free_bytes / 1e9:,.0f} GB free"
    return [
        _tile(
            "Oldest waiting",
            "none" if oldest is None else age(oldest.age_seconds * SECOND),
            "" if oldest is None else (oldest.link or oldest.tenant or ""),
            "bad" if oldest is not None and oldest.age_seconds >= 3600 else "",
            "/deliveries?state=waiting" if oldest is None else to("deliveries", oldest.delivery_id),
        ),
        _tile(
            "Failing endpoints",
            f"{ends.failing:,}",
            f"of {ends.enabled:,} enabled",
            "bad" if ends.failing and report.state != "ok" else "",
            FAILING,
        ),
        _tile("Disabled", f"{ends.disabled:,}", f"{ends.paused:,} paused", "bad" if ends.disabled else "", DISABLED),
        _tile(
            "Became dead, last hour",
            at_least(report.dead_last_hour, report.dead_is_more),
            mood="bad" if report.dead_last_hour else "",
            to="/deliveries?state=dead",
        ),
        _tile("On its way", f"{behind:,}", "not routed or sent yet", to="/server"),
        _tile(
            "Store", "ok" if store.accepts_writes else "refuses", free, "" if store.accepts_writes else "bad", "/server"
        ),
    ]


def _tile(label: str, value: str, note: str = "", mood: str = "", to: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "mood": mood, "to": to}


def _named(text: str, named: Mapping[str, str]) -> str:
    """A sentence with URLs in place of the endpoints' ids."""
    for ident, name in named.items():
        text = text.replace(ident, name)
    return text


async def names(visit: PageVisit, idents: Iterable[str | None]) -> dict[str, str]:
    """The URLs of endpoints, by id, without their schemes; those that are gone are left out."""
    wanted = sorted({ident for ident in idents if ident})
    found = await asyncio.gather(*(_endpoint_name(visit, ident) for ident in wanted))
    return {ident: name for ident, name in zip(wanted, found, strict=True) if name}


async def _endpoint_name(visit: PageVisit, ident: str) -> str:
    try:
        endpoint = await visit.maybe("get_endpoint", {"id": ident})
    except TidingsError:
        return ""
    return "" if endpoint is None else short(endpoint.url)


def short(url: str) -> str:
    """A URL without its scheme."""
    return url.partition("://")[2] or url


def _problem(visit: PageVisit, each: HealthProblem, named: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "state": "trouble" if _is_disabled(each) else each.state,
        "sentence": _named(each.sentence, named),
        "reason": each.reason,
        "advice": _COMMAND.sub("", each.advice),
        "since": each.since,
        "to": "",
        "actions": [],
    }
    if each.endpoint_id is not None:
        where = to("endpoints", each.endpoint_id)
        found["to"] = where
        if visit.may("pause_endpoint") and each.what == "endpoint":
            found["actions"] = _actions(where, each)
    elif each.link is not None:
        found["to"] = to("links", each.link)
    elif each.hook_id is not None:
        found["to"] = to("hooks", each.hook_id)
    if each.what == "dead" and visit.may("retry_deliveries"):
        about = {"endpoint": each.endpoint_id, "link": each.link}
        fields = {"state": "dead"} | {name: value for name, value in about.items() if value}
        found["advice"] = "Once the cause is fixed, retry the dead deliveries."
        found["actions"] = [button("/deliveries/retry", "Retry …", fields=fields)]
    return found


def _is_disabled(each: HealthProblem) -> bool:
    return "disabled" in each.sentence


def _actions(where: str, each: HealthProblem) -> list[dict[str, Any]]:
    if _is_disabled(each):
        return [button(f"{where}/resume", "Resume")]
    probe = [button(f"{where}/probe", "Probe")] if each.waiting else []
    return [*probe, button(f"{where}/pause", "Pause")]


def _endpoint_problem(each: Any) -> dict[str, Any]:
    return {
        "state": "trouble" if each.state == "disabled" else "attention",
        "sentence": f"{each.url} is {'disabled' if each.state == 'disabled' else 'failing'}.",
        "reason": each.reason,
        "advice": "",
        "since": each.health.failing_since,
        "to": to("endpoints", each.id),
        "actions": [],
    }


PAGES = (page("", now, "now", live=True),)
