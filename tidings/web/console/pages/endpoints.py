"""Endpoints: which fail and how they have been doing; one endpoint, with what failed, why, and what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, get_args

from tidings.model import moment
from tidings.model.moment import Micros
from tidings.model.replay import Which
from tidings.views.standing.sentences import endpoint_in_words, refused_in_words
from tidings.web.console.belongings import dead_of, retries, tabs
from tidings.web.console.charts import charts, durations
from tidings.web.console.lists import (
    button,
    chosen,
    fact,
    field,
    filled,
    number,
    pages,
    result,
    row,
    spark,
    state,
    table,
    text,
    when,
)
from tidings.web.console.pages.now import reason_rows, short
from tidings.web.console.pages.service.acts import last_act
from tidings.web.console.visit import PageVisit, View, page, to
from tidings.web.pages.templates import url
from tidings.web.pages.turning import PageLinks

LIMIT = 30
FAILING_LIMIT = 1_000
TALLIES_LIMIT = 60
HEADINGS = ("Endpoint", "State", "Failing since", "Waiting", "Oldest", "24 hours", "p95")
STATES = ("enabled", "failing", "paused", "disabled")
FILTERS = ("state", "tenant", "url")


async def endpoints(visit: PageVisit) -> View:
    """The list, newest first."""
    given = visit.filters(*FILTERS)
    is_failing = given.get("state") == "failing"
    asked = {**given, "state": "enabled"} if is_failing else given
    limit = FAILING_LIMIT if is_failing else LIMIT
    found = await visit.get("list_endpoints", **asked, limit=limit, cursor=visit.query.get("cursor"), sort="-created")
    shown = [each for each in found["data"] if not is_failing or each.health.failing_since is not None][:LIMIT]
    tallies = await tallies_of(visit, "endpoint", [each.id for each in shown], given.get("tenant"))
    rows = [_row(each, tallies.get(each.id), visit.parts.clock.now()) for each in shown]
    failing = sum(each.health.failing_since is not None for each in shown)
    stopped = sum(each.state == "disabled" for each in shown)
    return View(
        "list.html",
        "Endpoints",
        _sentence(len(shown), failing, stopped, is_more=found["next_cursor"] is not None, is_narrowed=bool(given)),
        {
            "path": "/endpoints",
            "fields": [
                chosen("state", "State", given.get("state", ""), STATES),
                filled("tenant", "Tenant", given.get("tenant", "")),
                filled("url", "Exact URL", given.get("url", ""), "wide"),
            ],
            "tables": [table(HEADINGS, rows, _nothing(given))],
            "pages": PageLinks() if is_failing else pages(visit, "/endpoints", found, *FILTERS, is_by_time=True),
            "new": _new(visit),
        },
        "attention" if failing or stopped else "ok",
    )


async def tallies_of(visit: PageVisit, kind: str, wanted: Sequence[str], tenant: str | None = None) -> dict[str, Any]:
    """How endpoints (by id) or links (by name) are doing.

    The newest are read together, which is cheaper; others one by one.
    """
    newest = await visit.maybe("list_link_tallies", tenant=tenant, sort="-created", limit=TALLIES_LIMIT)
    if newest is None:
        return {}
    found = {each.endpoint_id if kind == "endpoint" else each.link: each for each in newest["data"]}
    others = [name for name in wanted if name not in found]
    more = await asyncio.gather(*(visit.get("list_link_tallies", **{kind: name}) for name in others))
    return found | {name: each["data"][0] for name, each in zip(others, more, strict=True) if each["data"]}


def _sentence(count: int, failing: int, stopped: int, *, is_more: bool, is_narrowed: bool) -> str:
    many = f"{count:,}{'+' if is_more else ''} endpoint{'' if count == 1 and not is_more else 's'}"
    if not count:
        return "No endpoints match this filter." if is_narrowed else "There are no endpoints yet."
    told = [f"{failing:,} failing" if failing else "", f"{stopped:,} disabled" if stopped else ""]
    said = " and ".join(each for each in told if each)
    return f"{many}: {said}." if said else f"{many}, none of them failing."


def _nothing(given: dict[str, str]) -> str:
    return (
        "No endpoints match this filter."
        if given
        else "An endpoint is a URL that gets events. Register the first one below."
    )


def _new(visit: PageVisit) -> dict[str, Any] | None:
    if not visit.may("create_endpoint"):
        return None
    fields = [
        field("url", "URL", "", required=True),
        field("events", "Event types, separated by commas", "*"),
        field("description", "Description", ""),
    ]
    if visit.key.tenant is None:
        fields.append(field("tenant", "Tenant", visit.query.get("tenant", "")))
    return {"title": "Register an endpoint", "to": "/endpoints", "text": "Register", "fields": fields, "open": False}


def _row(each: Any, tally: Any, now: Micros) -> dict[str, Any]:
    shown = "failing" if each.health.failing_since and each.state == "enabled" else each.state
    p95 = None if tally is None else tally.total.p95_ms
    return row(
        to("endpoints", each.id),
        text(short(each.url), " · ".join(filter(None, (each.tenant, each.description)))),
        state(shown),
        when(each.health.failing_since),
        number(tally.waiting if tally else None, bool(tally and tally.waiting_is_more)),
        when(tally.oldest_waiting_since if tally else None),
        spark(tally.hours if tally else (), now),
        number(p95) if p95 is None else {**number(0), "value": f"{p95:,} ms"},
    )


async def endpoint(visit: PageVisit) -> View:
    """One endpoint."""
    ident = visit.path["id"]
    found, report, reasons, recent, standing, dead, act = await asyncio.gather(
        visit.get("get_endpoint", {"id": ident}),
        visit.maybe("get_tallies", endpoint=ident, step=visit.query.get("step", "minute")),
        visit.maybe("list_failure_reasons", endpoint=ident),
        visit.maybe("list_deliveries", endpoint=ident, limit=20),
        visit.maybe("list_link_tallies", endpoint=ident),
        dead_of(visit, "endpoint", ident),
        last_act(visit, ident),
    )
    tally = standing["data"][0] if standing and standing["data"] else None
    tables = []
    if reasons is not None and reasons.reasons:
        groups = [_group(each) for each in reason_rows(reasons, endpoint=ident)]
        headings = ("Reason", "Deliveries", "To be retried", "Dead", "Example")
        tables.append(table(headings, groups, "", "Why deliveries failed in the last hour"))
    if recent is not None:
        rows = [delivery_row(each, visit.parts.clock.now()) for each in recent["data"]]
        tables.append(table(DELIVERY_HEADINGS, rows, "Nothing has been sent yet.", "Newest deliveries"))
    is_bad = bool(found.health.failing_since or (tally is not None and refused_in_words(found, tally)))
    return View(
        "detail.html",
        short(found.url),
        endpoint_in_words(found, tally, dead, visit.parts.clock.now()),
        {
            "up": {"to": "/endpoints", "text": "Endpoints"},
            "ident": ident,
            "actions": _buttons(visit, found, tally, dead),
            "secret": None,
            "charts": charts(report),
            "story": [],
            "tables": tables,
            "texts": [],
            "list_title": "Settings",
            "list": [*_facts(found), fact("Last act", act, to=url("/acts", about=ident)), *_speed(report)],
            "tabs": tabs(visit, "endpoint", ident, found.tenant, dead),
            "forms": _forms(visit, found),
        },
        "trouble" if found.state == "disabled" else "attention" if is_bad else "ok",
    )


def _group(each: dict[str, Any]) -> dict[str, Any]:
    example = text("read one", to=to("deliveries", each["example"]))
    counts = (number(each[name]) for name in ("count", "waiting", "dead"))
    return row(each["to"], text(each["what"], each["reason"]), *counts, example)


def _buttons(visit: PageVisit, found: Any, tally: Any, dead: str) -> list[dict[str, Any]]:
    if not visit.may("pause_endpoint"):
        return []
    where = to("endpoints", found.id)
    waits = tally.waiting if tally is not None else 0
    buttons = []
    if found.state == "enabled":
        if found.health.failing_since is not None and waits:
            buttons.append(button(f"{where}/probe", "Probe now", "main"))
        buttons.append(button(f"{where}/pause", "Pause", confirm="Pause this endpoint? Its deliveries will wait."))
    else:
        buttons.append(button(f"{where}/resume", "Resume", "main"))
        if waits:
            more = "+" if tally.waiting_is_more else ""
            buttons.append(
                button(
                    f"{where}/resume",
                    f"Resume, and cancel the {waits:,}{more} waiting",
                    "danger",
                    f"Cancel {waits:,}{more} waiting deliveries? They will not be sent.",
                    {"missed": "cancel"},
                )
            )
    buttons.append(button(f"{where}/test", "Send a test"))
    buttons += retries(visit, "endpoint", found.id, dead, waits if found.state == "enabled" else None)
    if visit.may("rotate_endpoint_secret"):
        buttons.append(button(f"{where}/secret", "Show the secret"))
    return buttons


def _facts(found: Any) -> list[dict[str, Any]]:
    return [
        fact("URL", found.url, "code"),
        fact("Tenant", found.tenant, to=to("tenants", found.tenant) if found.tenant else ""),
        fact("State", found.state, "tag"),
        fact("Description", found.description),
        fact("Event types", ", ".join(found.events), "code"),
        fact("Has a filter", "yes" if found.filter else ""),
        fact("Headers", ", ".join(found.headers), "code"),
        fact("Rate", f"{found.rate:g} a second" if found.rate else ""),
        fact("Requests in flight", f"at most {found.max_in_flight:,}"),
        fact("Order", found.order if found.order != "none" else ""),
        fact("Timeout", f"{found.timeout_seconds:g} s"),
        fact("Body", found.body if found.body != "standard" else ""),
        fact("Registered", found.created, "time"),
        fact("Changed", found.updated, "time"),
        fact("Revision", str(found.revision)),
    ]


def _speed(report: Any) -> list[dict[str, Any]]:
    took = durations(report)
    return [] if took is None else [fact("Response time", f"p50 {took['p50']:,} ms, p95 {took['p95']:,} ms")]


def _forms(visit: PageVisit, found: Any) -> list[dict[str, Any]]:
    forms = []
    if visit.may("edit_endpoint"):
        fields = [
            field("url", "URL", found.url),
            field("events", "Event types, separated by commas", ", ".join(found.events)),
            field("description", "Description", found.description),
            field("rate", "Rate, in requests a second", f"{found.rate or ''}"),
            field("timeout_seconds", "Timeout, in seconds", f"{found.timeout_seconds:g}"),
        ]
        where = to("endpoints", found.id)
        forms.append({"title": "Edit", "to": f"{where}/edit", "text": "Save", "fields": fields, "open": False})
        fields = [field("hours", "The old secret also signs for this many hours", "24")]
        forms.append(
            {"title": "Rotate the secret", "to": f"{where}/rotate", "text": "Rotate", "fields": fields, "open": False}
        )
    if visit.may("create_replay"):
        fields = [
            field("since", "From", "", required=True, help="A time such as 2026-11-21T01:00:00Z"),
            field("until", "Until (empty: now)", ""),
            field("which", "Which events", "failed", kind="choose", options=get_args(Which), any=""),
        ]
        forms.append(
            {
                "title": "Send a time range again",
                "to": f"{to('endpoints', found.id)}/replay",
                "text": "Count them first",
                "fields": fields,
                "open": False,
            }
        )
    return forms


# --- deliveries of a list --------------------------------------------------------------------------------------------

DELIVERY_HEADINGS = ("Event", "State", "Last result", "Attempts", "Created", "Next")


def delivery_row(each: Any, now: Micros, who: str = "") -> dict[str, Any]:
    """A delivery as lists show it. `who`: its destination, if the list has several."""
    last = each.last
    return row(
        to("deliveries", each.id),
        text(each.event_type or each.event_id or "a deleted event", who),
        state(each.state),
        text("" if last is None else result(last.outcome, last.status)),
        number(each.attempts),
        when(each.created),
        _next(each, now),
    )


def _next(each: Any, now: Micros) -> dict[str, Any]:
    if each.waiting_because in ("paused", "disabled", "order"):
        return text("behind another" if each.waiting_because == "order" else each.waiting_because)
    return when(each.due) if each.due is None or moment.from_text(each.due) > now else text("next in line")


PAGES = (
    page("/endpoints", endpoints, "endpoints"),
    page("/endpoints/{id}", endpoint, "endpoints", live=True),
)
