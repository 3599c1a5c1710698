"""Events: what happened; one event, with who got it, who did not and why, and what it led to."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.errors import Invalid, Malformed, TidingsError
from tidings.web.console.lists import LIMIT, detail, fact, field, filled, number, pages, row, state, table, text, when
from tidings.web.console.pages.now import names as names_of
from tidings.web.console.visit import Done, PageVisit, View, action, page, to
from tidings.web.pages.templates import pretty, url

FILTERS = ("type", "subject", "tenant", "collection", "time__gte", "time__lt")


async def events(visit: PageVisit) -> View:
    """The list, newest first."""
    given = visit.filters(*FILTERS)
    found = await visit.get("list_events", **given, cursor=visit.query.get("cursor"), limit=LIMIT)
    rows = [
        row(to("events", each.id), text(each.type, each.id), text(each.subject), text(each.tenant), when(each.created))
        for each in found["data"]
    ]
    many = f"{len(rows):,}{'+' if found['next_cursor'] else ''}"
    return View(
        "list.html",
        "Events",
        f"{many} event{'' if many == '1' else 's'}, newest first."
        if rows
        else "No events match this filter."
        if given
        else "There are no events yet.",
        {
            "path": "/events",
            "fields": [
                filled("type", "Type", given.get("type", "")),
                filled("subject", "Subject", given.get("subject", "")),
                filled("tenant", "Tenant", given.get("tenant", "")),
                filled("collection", "Collection", given.get("collection", "")),
                filled("time__gte", "From", given.get("time__gte", "")),
                filled("time__lt", "Until", given.get("time__lt", "")),
            ],
            "tables": [table(("Event", "Subject", "Tenant", "Accepted"), rows, "No events to show.")],
            "pages": pages(visit, "/events", found, *FILTERS, is_by_time=True),
            "new": _new(visit),
        },
    )


def _new(visit: PageVisit) -> dict[str, Any] | None:
    if not visit.may("publish_event"):
        return None
    fields = [
        field("type", "Type", visit.query.get("type", ""), required=True),
        field("subject", "Subject", ""),
        field("data", "Data, as JSON", "{}", kind="long", rows=5),
    ]
    if visit.key.tenant is None:
        fields.append(field("tenant", "Tenant", visit.query.get("tenant", "")))
    return {"title": "Publish an event", "to": "/events", "text": "Publish", "fields": fields, "open": False}


async def publish(visit: PageVisit) -> Done:
    """Publish an event; it goes to every endpoint and link that selects it."""
    try:
        msgspec.json.decode(visit.posted.get("data", "{}") or "{}")
    except msgspec.DecodeError as wrong:
        raise Malformed(f"The data is not JSON: {wrong}.") from None
    body: dict[str, Any] = {
        name: visit.posted[name] for name in ("type", "subject", "tenant") if visit.posted.get(name)
    }
    # The text as written, so that numbers keep all their digits.
    body["data"] = msgspec.Raw((visit.posted.get("data", "{}") or "{}").encode())
    made = await visit.do("publish_event", None, body)
    return Done(to("events", made.id), "Published.")


async def event(visit: PageVisit) -> View:
    """One event."""
    ident, tenant = visit.path["id"], visit.query.get("tenant")
    found = await visit.get("get_event", {"event": ident}, tenant=tenant)
    trail, names = await asyncio.gather(_trail(visit, ident, tenant), names_of(visit, _endpoints(found)))
    tables = _who(found, names)
    if trail is not None and (len(trail.events) > 1 or found.cause):
        tables.append(_trail_table(trail, ident))
    return detail(
        found.type,
        _says(found),
        ("/events", "Events"),
        found.id,
        tables=tables,
        texts=_texts(found),
        list=_facts(found),
        forms=_forms(visit, found),
    )


def _who(found: Any, names: Mapping[str, str]) -> list[dict[str, Any]]:
    got = [
        row(
            to("deliveries", each.id),
            text(names.get(each.endpoint or "", each.link or each.endpoint), each.reason or each.note),
            state(each.state),
            number(each.attempts),
            when(each.due),
        )
        for each in found.deliveries
    ]
    missed = [
        row(
            to("endpoints", each.endpoint) if each.endpoint else to("links", each.link or ""),
            text(names.get(each.endpoint or "", each.link or each.endpoint)),
            text(each.reason),
        )
        for each in found.not_matched
    ]
    return [
        table(("Who", "State", "Attempts", "Next"), got, "Nobody got it.", "Who got it"),
        table(
            ("Who", "Why not"),
            missed,
            "Every endpoint and link that could get this event got it.",
            "Who did not get it, and why",
        ),
    ]


def _facts(found: Any) -> list[dict[str, Any]]:
    return [
        fact("Subject", found.subject, "code", url("/events", subject=found.subject) if found.subject else ""),
        fact("Tenant", found.tenant, to=to("tenants", found.tenant) if found.tenant else ""),
        fact("Time", found.time, "time"),
        fact("Accepted", found.created, "time"),
        fact("Collection", found.collection, to=to("items", found.collection) if found.collection else ""),
        fact("By", found.actor, "code", url("/find", q=found.actor) if found.actor else ""),
        fact("Request", found.request_id, "code"),
        fact("Caused by", found.cause, "code", to("events", found.cause) if found.cause else ""),
        fact("Links in a row", str(found.hops) if found.hops else ""),
    ]


def _says(found: Any) -> str:
    counts = {name: sum(each.state == name for each in found.deliveries) for name in ("delivered", "waiting", "dead")}
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    others = f"; {len(found.not_matched):,} did not get it" if found.not_matched else ""
    many = len(found.deliveries)
    return f"It went to {many:,} destination{'' if many == 1 else 's'}{f': {said}' if said else ''}{others}."


async def _trail(visit: PageVisit, ident: str, tenant: str | None) -> Any:
    try:
        return await visit.maybe("get_event_trail", {"event": ident}, tenant=tenant)
    except TidingsError:
        return None


def _endpoints(found: Any) -> list[str | None]:
    return [each.endpoint for each in (*found.deliveries[:50], *found.not_matched[:50])]


def _trail_table(trail: Any, here: str) -> dict[str, Any]:
    rows = [
        row(
            to("events", each.id),
            text(f"{'· ' * each.hops}{each.type}", "this one" if each.id == here else ""),
            text(each.by or ""),
            text(each.subject),
            when(each.time),
            text(", ".join(f"{one.link or 'endpoint'}: {one.state}" for one in each.deliveries[:6])),
        )
        for each in trail.events
    ]
    return table(("Event", "By", "Subject", "Time", "Went to"), rows, "", "What led here, and what followed")


def _texts(found: Any) -> list[dict[str, Any]]:
    texts: list[dict[str, Any]] = [{"title": "Data", "text": pretty(found.data), "id": "data"}]
    if found.previous is not None:
        before, after = pretty(found.previous).splitlines(), pretty(found.data).splitlines()
        lines = [
            {"text": line, "mood": {"+": "added", "-": "removed"}.get(line[:1], "")}
            for line in difflib.ndiff(before[:500], after[:500])
            if not line.startswith("?")
        ]
        texts.append({"title": "What changed", "lines": lines, "text": "", "id": ""})
    return texts


def _forms(visit: PageVisit, found: Any) -> list[dict[str, Any]]:
    if not visit.may("create_replay"):
        return []
    fields = [field("endpoint", "Endpoint, ep_...", "", required=True)]
    return [
        {
            "title": "Send it to one endpoint",
            "to": f"{to('events', found.id)}/send",
            "text": "Send",
            "fields": fields,
            "open": False,
            "note": "This event is sent even if the endpoint has already received it.",
        }
    ]


async def send(visit: PageVisit) -> Done:
    """Send one event to one endpoint, as a replay of the moment at which it was stored."""
    ident = visit.path["id"]
    endpoint = visit.posted.get("endpoint", "").strip()
    found = await visit.get("get_event", {"event": ident})
    had = [each for each in found.deliveries if each.endpoint == endpoint]
    if had:
        await visit.do("retry_delivery", {"id": had[0].id})
        return Done(to("deliveries", had[0].id), "The event is being sent again.")
    since, until = _around(found.created)
    body = {"endpoint_id": endpoint, "since": since, "until": until, "which": "all"}
    counted = await visit.do("create_replay", None, {**body, "dry_run": True})
    if counted.would_send != 1:
        raise Invalid(
            f"An event can be sent from this page only if exactly one matching event was stored at its time, but there "
            f"were {counted.would_send:,}. If the endpoint's types or filter exclude this event, change the types or "
            "the filter first; otherwise, replay a time range from the endpoint's page."
        )
    made = await visit.do("create_replay", None, body)
    return Done(to("jobs", made.id), "The event is being sent.")


def _around(created: str) -> tuple[str, str]:
    at = moment.from_text(created)
    return moment.to_text(at), moment.to_text(at + 1)


PAGES = (
    page("/events", events, "events"),
    page("/events/{id}", event, "events", live=True),
    action("/events", publish, "events"),
    action("/events/{id}/send", send, "events"),
)
