"""The search box: an exact id opens its page; any other text lists the things whose names contain it."""

from __future__ import annotations

import asyncio
from typing import Any

from tidings.model.errors import TidingsError
from tidings.web.console.lists import many, row, table, text
from tidings.web.console.pages.now import short
from tidings.web.console.visit import Done, PageVisit, View, page, to
from tidings.web.pages.templates import url
from tidings.web.pages.turning import PageLinks

IDS = {
    "ep": ("endpoints", "get_endpoint", "id"),
    "dlv": ("deliveries", "get_delivery", "id"),
    "evt": ("events", "get_event", "event"),
    "lnk": ("links", "get_link", "name"),
    "hook": ("hooks", "get_hook", "id"),
    "form": ("forms", "get_form", "id"),
    "rcp": ("receipts", "get_receipt", "id"),
    "key": ("keys", "get_key", "id"),
    "rpl": ("jobs", "get_replay", "id"),
}
"""By the prefix of an id: the page, the operation that reads the thing, and the id's name in the path."""
LISTS = (
    ("endpoints", "list_endpoints", "Endpoint", "id", ("url", "description", "id")),
    ("links", "list_links", "Link", "name", ("name", "description", "id")),
    ("tenants", "list_tenants", "Tenant", "id", ("id", "name")),
    ("types", "list_event_types", "Event type", "name", ("name",)),
    ("items", "list_collections", "Collection", "name", ("name",)),
    ("hooks", "list_hooks", "Hook", "id", ("path", "url", "description", "id")),
    ("forms", "list_forms", "Form", "id", ("path", "url", "title", "id")),
    ("keys", "list_keys", "Key", "id", ("name", "id")),
)
"""The lists to search: the page, the operation, what each entry is called, the member with its id, and the members to
search."""
LOOKED_AT = 1_000
SHOWN = 20
_ULID_CHARS = 26


async def find(visit: PageVisit) -> View | Done:
    """The page of an id, or a list of the things that a text matches."""
    wanted = visit.query.get("q", "").strip()[:500]
    if where := await _of_id(visit, wanted):
        return Done(where)
    rows = await _rows(visit, wanted) if wanted else []
    if len(rows) == 1 and rows[0]["cells"][0]["value"] == short(wanted):
        return Done(rows[0]["to"])
    sentence = (
        f"{many(len(rows), 'result')} with {wanted} in the name."
        if rows
        else f"Nothing matches {wanted}; only what this key can see was searched."
    )
    return View(
        "list.html",
        "Find",
        sentence if wanted else "Type an id, a name or a URL.",
        {
            "path": "/find",
            "fields": [],
            "tables": [table(("Name", "Is"), rows, "Type an id, a name, or a part of a URL into the box at the top.")],
            "pages": PageLinks(),
        },
    )


async def _of_id(visit: PageVisit, wanted: str) -> str:
    """The page of an id, with or without its prefix; empty if there is none."""
    prefix, mark, _ = wanted.partition("_")
    if mark and prefix in IDS:
        asked = {prefix: wanted}
    elif len(wanted) == _ULID_CHARS and wanted.isascii() and wanted.isalnum():
        asked = {each: f"{each}_{wanted}" for each in IDS}
    else:
        return ""
    for each, ident in asked.items():
        folder, operation, name = IDS[each]
        if await visit.is_there(operation, {name: ident}):
            return to(folder, ident)
    return ""


async def _rows(visit: PageVisit, wanted: str) -> list[dict[str, Any]]:
    """The things whose names contain the text; exact matches come first."""
    found = await asyncio.gather(*(_of_list(visit, wanted.casefold(), *each) for each in LISTS))
    rows = {each["to"]: each for some in found for each in some}
    for each in await asyncio.gather(_tenant(visit, wanted), _subject(visit, wanted)):
        rows.setdefault(each.get("to", ""), each)
    rows.pop("", None)
    return sorted(rows.values(), key=lambda each: each["cells"][0]["value"] != wanted)


async def _of_list(
    visit: PageVisit, wanted: str, folder: str, operation: str, title: str, ident: str, members: tuple[str, ...]
) -> list[dict[str, Any]]:
    found = await _maybe(visit, operation, limit=LOOKED_AT)
    rows = []
    for each in found:
        if any(wanted in str(getattr(each, name, "") or "").casefold() for name in members):
            named = short(str(getattr(each, members[0]) or getattr(each, ident)))
            said = text(named, getattr(each, "description", "") or getattr(each, "name", ""))
            rows.append(row(to(folder, getattr(each, ident)), said, text(title)))
    return rows[:SHOWN]


async def _tenant(visit: PageVisit, wanted: str) -> dict[str, Any]:
    """A tenant that has something, whether it has an entry or not."""
    for operation in ("list_endpoints", "list_events", "list_keys"):
        if await _maybe(visit, operation, tenant=wanted, limit=1):
            return row(to("tenants", wanted), text(wanted), text("Tenant"))
    return {}


async def _subject(visit: PageVisit, wanted: str) -> dict[str, Any]:
    if await _maybe(visit, "list_events", subject=wanted, limit=1):
        return row(url("/events", subject=wanted), text(wanted), text("Events with this subject"))
    return {}


async def _maybe(visit: PageVisit, operation: str, **query: Any) -> list[Any]:
    """The entries of a list; none if the key may not read it, or if no filter takes this text."""
    try:
        found = await visit.maybe(operation, **query)
    except TidingsError:
        return []
    return [] if found is None else list(found["data"])


PAGES = (page("/find", find),)
