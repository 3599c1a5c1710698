"""Links: what they act on and when, how their runs went, and pausing, running and resetting them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tidings.model.moment import Micros
from tidings.web.console.belongings import because, dead_of, retries, tabs, waiting_of
from tidings.web.console.charts import charts
from tidings.web.console.lists import (
    LIMIT,
    button,
    chosen,
    detail,
    fact,
    filled,
    listing,
    many,
    number,
    pages,
    row,
    shown,
    spark,
    state,
    table,
    text,
    when,
)
from tidings.web.console.pages.endpoints import DELIVERY_HEADINGS, delivery_row, tallies_of
from tidings.web.console.pages.service.acts import last_act
from tidings.web.console.visit import Done, PageVisit, View, action, page, to
from tidings.web.pages.templates import url

ACTIONS = ("call", "mail", "item")


async def links(visit: PageVisit) -> View:
    """The list, by name."""
    given = visit.filters("state", "tenant")
    found = await visit.get("list_links", **given, cursor=visit.query.get("cursor"), limit=LIMIT)
    tallies = await tallies_of(visit, "link", [each.name for each in found["data"]], given.get("tenant"))
    rows = [_row(each, tallies.get(each.name), visit.parts.clock.now()) for each in found["data"]]
    failing = sum(each["cells"][1]["value"] == "failing" for each in rows)
    count = many(len(rows), "link", is_more=found["next_cursor"] is not None)
    said = f"{count}: {failing:,} failing." if failing else f"{count}, none of them failing."
    return listing(
        "Links",
        said
        if rows
        else "There are no links yet. A link calls an API, sends mail or edits an item when something happens.",
        "/links",
        table(("Link", "State", "When", "Does", "Waiting", "24 hours", "Changed"), rows, "No links to show."),
        state="attention" if failing else "ok" if rows else "",
        fields=[
            chosen("state", "State", given.get("state", ""), ("enabled", "paused", "disabled")),
            filled("tenant", "Tenant", given.get("tenant", "")),
        ],
        pages=pages(visit, "/links", found, "state", "tenant"),
    )


def _row(each: Any, tally: Any, now: Micros) -> dict[str, Any]:
    is_failing = tally is not None and tally.failing_since is not None and each.state == "enabled"
    return row(
        to("links", each.name),
        text(each.name, each.description),
        state("failing" if is_failing else each.state),
        text(_when(each.when)),
        text(_does(each)),
        number(tally.waiting if tally else None, bool(tally and tally.waiting_is_more)),
        spark(tally.hours if tally else (), now),
        when(each.updated),
    )


def _when(given: dict[str, Any]) -> str:
    """When a link acts, in short."""
    for name, value in given.items():
        if value not in (None, {}, []):
            return f"{name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()[:60]}"
    return ""


def _does(each: Any) -> str:
    return next((name for name in ACTIONS if getattr(each, name)), "emit" if each.emit else "")


async def link(visit: PageVisit) -> View:
    """One link, with how it has been doing and what it did."""
    name = visit.path["name"]
    found, report, recent, standing, dead, act = await asyncio.gather(
        visit.get("get_link", {"name": name}, counts=True),
        visit.maybe("get_tallies", link=name),
        visit.maybe("list_deliveries", link=name, limit=20),
        visit.maybe("list_link_tallies", link=name),
        dead_of(visit, "link", name),
        last_act(visit, name),
    )
    tally = standing["data"][0] if standing and standing["data"] else None
    rows = [delivery_row(each, visit.parts.clock.now()) for each in recent["data"]] if recent else []
    declared = {key: getattr(found, key) for key in ("when", "filter", "call", "mail", "item", "emit", "keep")}
    return detail(
        found.name,
        _says(found, tally, dead),
        ("/links", "Links"),
        found.id,
        state="trouble" if found.state == "disabled" else "attention" if tally and tally.failing_since else "ok",
        actions=_buttons(visit, found)
        + retries(visit, "link", name, dead, tally.waiting if tally and found.state == "enabled" else None),
        tabs=tabs(visit, "link", name, found.tenant, dead),
        charts=charts(report),
        tables=[table(DELIVERY_HEADINGS, rows, "It has not acted yet.", "Newest deliveries")],
        texts=[shown("As declared", {key: value for key, value in declared.items() if value is not None})],
        list=[
            fact("State", found.state, "tag"),
            fact("Description", found.description),
            fact("Tenant", found.tenant),
            fact("Next due", None if found.next_due is msgspec.UNSET else found.next_due, "time"),
            fact("Last due", None if found.last_due is msgspec.UNSET else found.last_due, "time"),
            fact("Last run", None if found.last_run is msgspec.UNSET else found.last_run, "time"),
            fact("Order", found.order),
            fact("Rate", f"{found.rate:g} a second" if found.rate else ""),
            fact("Declared", found.created, "time"),
            fact("Changed", found.updated, "time"),
            fact("Last act", act, to=url("/acts", about=name)),
            fact("Revision", str(found.revision)),
        ],
    )


def _says(found: Any, tally: Any, dead: str) -> str:
    waits = waiting_of(tally, dead)
    if found.state != "enabled":
        return f"It is {found.state}{because(found.reason)}{waits}"
    if tally is not None and tally.failing_since is not None:
        return f"It has been failing since {tally.failing_since[11:16]} UTC. {tally.last_failure or ''}{waits}"
    if tally is not None and tally.total.attempts:
        rate = tally.total.success_rate or 0
        return f"It is healthy: {rate:.1%} of {tally.total.attempts:,} attempts in 24 hours succeeded.{waits}"
    return f"It is healthy; it did nothing in the last 24 hours.{waits}"


def _buttons(visit: PageVisit, found: Any) -> list[dict[str, Any]]:
    if not visit.may("pause_link"):
        return []
    where = to("links", found.name)
    buttons = []
    if found.state == "enabled":
        if isinstance(found.next_due, str):
            buttons.append(button(f"{where}/run", "Run now", "main"))
        buttons.append(button(f"{where}/pause", "Pause", confirm="Pause this link? New events will wait."))
    else:
        buttons.append(button(f"{where}/resume", "Resume", "main"))
    if found.emit is not None:
        asked = "Start from the beginning? The next run will read everything."
        buttons.append(button(f"{where}/reset", "Reset", "danger", asked))
    return buttons


async def pause(visit: PageVisit) -> Done:
    """Pause it."""
    await visit.do("pause_link", visit.path, {})
    return Done(to("links", visit.path["name"]), "Paused.")


async def resume(visit: PageVisit) -> Done:
    """Resume it."""
    await visit.do("resume_link", visit.path, {})
    return Done(to("links", visit.path["name"]), "Resumed.")


async def run(visit: PageVisit) -> Done:
    """Run a link now."""
    made = await visit.do("run_link", visit.path)
    return Done(to("events", made.id), "The link is running now, for this event.")


async def reset(visit: PageVisit) -> Done:
    """Make a link read everything again."""
    await visit.do("reset_link", visit.path, {})
    return Done(to("links", visit.path["name"]), "The link's next run will read everything.")


PAGES = (
    page("/links", links, "links"),
    page("/links/{name}", link, "links", live=True),
    action("/links/{name}/pause", pause, "links"),
    action("/links/{name}/resume", resume, "links"),
    action("/links/{name}/run", run, "links"),
    action("/links/{name}/reset", reset, "links"),
)
