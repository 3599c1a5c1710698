"""Deliveries: which failed and why, in groups; one delivery, with every attempt; retries of one and of many."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model import outcome as outcomes
from tidings.rules.deliver.lifecycle import STATES
from tidings.views.deliveries import wait_in_words
from tidings.views.health.words import age
from tidings.web.console.lists import LIMIT, button, chosen, fact, filled, many, pages, result, table
from tidings.web.console.pages.bulk import FILTERS, buttons
from tidings.web.console.pages.endpoints import DELIVERY_HEADINGS, delivery_row
from tidings.web.console.pages.now import names, short
from tidings.web.console.visit import Done, PageVisit, View, action, page, to
from tidings.web.pages.templates import pretty

OUTCOMES = tuple(each.name for each in outcomes.OUTCOMES)


async def deliveries(visit: PageVisit) -> View:
    """The list, newest first, with its filters."""
    given = visit.filters(*FILTERS)
    found = await visit.get("list_deliveries", **given, cursor=visit.query.get("cursor"), limit=LIMIT)
    now = visit.parts.clock.now()
    named = {} if "endpoint" in given else await names(visit, [each.endpoint_id for each in found["data"]])
    rows = [delivery_row(each, now, _who(each, named, given)) for each in found["data"]]
    return View(
        "list.html",
        "Deliveries",
        _sentence(given, len(rows), is_more=found["next_cursor"] is not None),
        {
            "path": "/deliveries",
            "fields": _fields(given),
            "actions": buttons(visit, given) if rows else [],
            "tables": [
                table(
                    DELIVERY_HEADINGS,
                    rows,
                    "No deliveries match this filter." if given else "There are no deliveries yet.",
                )
            ],
            "pages": pages(visit, "/deliveries", found, *FILTERS, is_by_time=True),
        },
    )


def _who(each: Any, named: Mapping[str, str], given: Mapping[str, str]) -> str:
    if "endpoint" in given or "link" in given:
        return ""
    who: str = each.link or named.get(each.endpoint_id, each.endpoint_id) or ""
    return who


def _sentence(given: dict[str, str], count: int, *, is_more: bool) -> str:
    if not count:
        return "No deliveries match this filter." if given else "There are no deliveries yet."
    many = f"{count:,}{'+' if is_more else ''} {'delivery' if count == 1 and not is_more else 'deliveries'}"
    last = " ".join(filter(None, (result(given.get("outcome", "")), given.get("status"))))
    which = [each for each in (given.get("state"), f"last result {last}" if last else "") if each]
    return f"{many} ({', '.join(which)}), newest first." if which else f"{many}, newest first."


def _fields(given: dict[str, str]) -> list[dict[str, Any]]:
    return [
        chosen("state", "State", given.get("state", ""), STATES),
        chosen("outcome", "Last result", given.get("outcome", ""), OUTCOMES),
        filled("status", "Status", given.get("status", "")),
        filled("type", "Event type", given.get("type", "")),
        filled("endpoint", "Endpoint", given.get("endpoint", "")),
        filled("link", "Link", given.get("link", "")),
        filled("tenant", "Tenant", given.get("tenant", "")),
        filled("time__gte", "From", given.get("time__gte", "")),
        filled("time__lt", "Until", given.get("time__lt", "")),
    ]


# --- one delivery ----------------------------------------------------------------------------------------------------


async def delivery(visit: PageVisit) -> View:
    """One delivery: its story, and the last request and response."""
    found = await visit.get("get_delivery", {"id": visit.path["id"]})
    event, target = await asyncio.gather(
        visit.maybe("get_event", {"event": found.event_id}) if found.event_id else _nothing(), _target(visit, found)
    )
    name = target["name"]
    return View(
        "detail.html",
        f"{found.event_type or 'An event'} to {name}",
        _says(found, visit.parts.clock.now()),
        {
            "up": {"to": "/deliveries", "text": "Deliveries"},
            "ident": found.id,
            "actions": _buttons(visit, found),
            "secret": None,
            "charts": [],
            "story": _story(found, event),
            "tables": [],
            "texts": _texts(found, event, target["url"]),
            "list_title": "About it",
            "list": [
                fact("Event", found.event_id, "code", to("events", found.event_id) if found.event_id else ""),
                fact("Goes to", name, to=target["to"]),
                fact("State", found.state, "tag"),
                fact("Attempts", str(len(found.attempts))),
                fact("Held", "behind an earlier delivery, because they are sent in order" if found.held else ""),
            ],
            "forms": [],
        },
        {"delivered": "ok", "waiting": "attention", "dead": "trouble"}.get(found.state, ""),
    )


async def _nothing() -> None:
    return None


async def _target(visit: PageVisit, found: Any) -> dict[str, str]:
    if found.link is not None:
        return {"name": found.link, "to": to("links", found.link), "url": ""}
    if found.endpoint_id is None:
        return {"name": "a deleted endpoint", "to": "", "url": ""}
    where = to("endpoints", found.endpoint_id)
    try:
        endpoint = await visit.maybe("get_endpoint", {"id": found.endpoint_id})
    except Exception:
        endpoint = None
    if endpoint is None:
        return {"name": found.endpoint_id, "to": where, "url": ""}
    return {"name": short(endpoint.url), "to": where, "url": endpoint.url}


def _says(found: Any, now: moment.Micros) -> str:
    last = found.attempts[-1] if found.attempts else None
    why = "" if last is None or not last.reason else f" {last.reason}"
    if found.state == "delivered":
        return f"Delivered on attempt {last.n}." if last else "Delivered."
    if found.state == "waiting":
        waits = wait_in_words(found, now)
        return f"It is waiting for its next attempt.{why} {waits}" if last else f"It has not been tried yet. {waits}"
    if found.state == "dead":
        return f"It became dead after {many(len(found.attempts), 'attempt')}.{why}"
    return f"It is {found.state}.{why}"


def _buttons(visit: PageVisit, found: Any) -> list[dict[str, Any]]:
    if not visit.may("retry_delivery"):
        return []
    where = to("deliveries", found.id)
    buttons = [button(f"{where}/retry", "Retry now", "main" if found.state in ("dead", "waiting") else "")]
    if found.state == "waiting":
        buttons.append(button(f"{where}/cancel", "Cancel", "danger", "Cancel this delivery? It will not be sent."))
    return buttons


def _story(found: Any, event: Any) -> list[dict[str, Any]]:
    story = []
    if event is not None:
        story.append(_step(event.created, f"The event {event.type} was accepted."))
    story.append(_step(found.created, "It was routed here."))
    for each in found.attempts:
        mood = "good" if each.state == "delivered" else "bad" if each.state == "dead" else "warn"
        said = f"Attempt {each.n}: {result(each.outcome, each.status)} in {each.duration_ms:,} ms"
        story.append(_step(each.at, said, each.reason or "", mood))
    if found.due is not None:
        story.append(_step(found.due, "The next attempt is due."))
    for before, after in pairwise(story):
        after["after"] = f"+{age_exact(moment.from_text(after['at']) - moment.from_text(before['at']))}"
    return story


def _step(at: str, said: str, note: str = "", mood: str = "") -> dict[str, Any]:
    return {"at": at, "text": said, "note": note, "mood": mood, "after": ""}


def age_exact(duration: moment.Micros) -> str:
    """`4 ms`, `1.2 s`, `57 min`."""
    if duration < 1_000_000:
        return f"{max(0, duration) // 1000} ms"
    return f"{duration / 1_000_000:.1f} s" if duration < 120_000_000 else age(duration)


def _texts(found: Any, event: Any, url: str) -> list[dict[str, Any]]:
    texts: list[dict[str, Any]] = []
    for each in found.attempts[:-4:-1]:
        headers = "\n".join(f"{name}: {value}" for name, value in (each.request_headers or {}).items())
        about = each.call or each.edit
        said = msgspec.json.encode(about).decode() if about else ""
        body = "" if event is None or each.n != len(found.attempts) else f"\n\n{pretty(event.data)}"
        request = "\n".join(filter(None, (pretty(said) if said else f"POST {url}" if url else "", headers))) + body
        note = "Secret values are masked. The body contained the event's data." if headers else ""
        texts.append({"title": f"Attempt {each.n}: request", "text": request, "id": f"request-{each.n}", "note": note})
        answer = each.answer if each.answer is not None else "No response was kept."
        status = f"{each.status}\n\n" if each.status else ""
        texts.append({"title": f"Attempt {each.n}: response", "text": status + pretty(answer), "id": "", "note": ""})
    if url and found.attempts and found.attempts[-1].request_headers:
        texts.append(_curl(found.attempts[-1], url))
    return texts


def _curl(attempt: Any, url: str) -> dict[str, Any]:
    lines = [f"curl -sS {shlex.quote(url)}"]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in attempt.request_headers.items()]
    lines.append("--data-binary @body.json")
    note = (
        "The signature covers the exact bytes of the body, which are not stored here: save the body that your "
        "receiver got as body.json."
    )
    return {"title": "As curl", "text": " \\\n  ".join(lines), "id": "curl", "note": note}


async def retry(visit: PageVisit) -> Done:
    """Retry a delivery now."""
    await visit.do("retry_delivery", visit.path)
    return Done(
        to("deliveries", visit.path["id"]), "The delivery is being sent again, with a fresh schedule of attempts."
    )


async def cancel(visit: PageVisit) -> Done:
    """Cancel a delivery."""
    await visit.do("cancel_delivery", visit.path)
    return Done(to("deliveries", visit.path["id"]), "Cancelled.")


PAGES = (
    page("/deliveries", deliveries, "deliveries"),
    page("/deliveries/{id}", delivery, "deliveries", live=True),
    action("/deliveries/{id}/retry", retry, "deliveries"),
    action("/deliveries/{id}/cancel", cancel, "deliveries"),
)
