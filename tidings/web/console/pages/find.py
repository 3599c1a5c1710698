"""The search box: any id leads to its page; other texts to what they could mean."""

from __future__ import annotations

from urllib.parse import urlencode

from tidings.web.console.lists import code, row, table, text
from tidings.web.console.visit import PageVisit, View, page, to

GUESSES = (
    ("links", "get_link", "name", "Link"),
    ("tenants", "get_tenant", "id", "Tenant"),
    ("types", "get_event_type", "name", "Event type"),
    ("items", "get_collection", "name", "Collection"),
    ("events", "get_event", "event", "Event"),
    ("endpoints", "get_endpoint", "id", "Endpoint"),
    ("deliveries", "get_delivery", "id", "Delivery"),
    ("hooks", "get_hook", "id", "Hook"),
    ("forms", "get_form", "id", "Form"),
    ("receipts", "get_receipt", "id", "Receipt"),
    ("keys", "get_key", "id", "Key"),
    ("jobs", "get_replay", "id", "Job"),
)
"""What a text may be the id of: the page, the operation that reads it, the name in its path, and what it is called."""


async def find(visit: PageVisit) -> View:
    """What a text is the id of."""
    wanted = visit.query.get("q", "").strip()[:500]
    rows = []
    for folder, operation, name, title in GUESSES if wanted else ():
        if await visit.is_there(operation, {name: wanted}):
            rows.append(row(to(folder, wanted), code(wanted), text(title)))
    if wanted:
        for title, path in (
            ("Events with this subject", f"/events?{urlencode({'subject': wanted})}"),
            ("Endpoints with exactly this URL", f"/endpoints?{urlencode({'url': wanted})}"),
            ("Deliveries of this tenant", f"/deliveries?{urlencode({'tenant': wanted})}"),
        ):
            rows.append(row(path, text(title), text(wanted)))
    known = len(rows) - 3 if wanted else 0
    sentence = f"{wanted} is the id of {known} thing{'' if known == 1 else 's'}." if known else ""
    if not known:
        sentence = (
            f"Nothing has the id {wanted}, as far as this key sees." if wanted else "Type an id, a name or a URL."
        )
    return View(
        "list.html",
        "Find",
        sentence,
        {
            "path": "/find",
            "fields": [],
            "tables": [table(("What", "Is"), rows, "Type an id into the box on top.")],
            "pages": {"next": "", "first": ""},
        },
    )


PAGES = (page("/find", find),)
