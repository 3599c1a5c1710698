"""Event types and collections: what can happen, what items look like, with schemas and examples."""

from __future__ import annotations

import asyncio
from typing import Any

from tidings.web.console.lists import (
    LIMIT,
    detail,
    fact,
    listing,
    many,
    number,
    pages,
    row,
    shown,
    state,
    table,
    text,
    when,
)
from tidings.web.console.visit import PageVisit, View, page, to


async def types(visit: PageVisit) -> View:
    """The catalogue of event types, and the collections."""
    found, collections = await asyncio.gather(
        visit.get("list_event_types", cursor=visit.query.get("cursor"), limit=LIMIT),
        visit.maybe("list_collections", limit=LIMIT),
    )
    rows = [
        row(to("types", each.name), text(each.name, each.description), text(each.collection), when(each.updated))
        for each in found["data"]
    ]
    tables = [
        table(("Type", "Collection", "Changed"), rows, "There are no event types in the catalogue.", "Event types")
    ]
    if collections is not None:
        declared = [
            row(
                to("collections", each.name),
                text(each.name, each.description),
                number(len(each.fields)),
                state(each.indexes),
                when(each.updated),
            )
            for each in collections["data"]
        ]
        headings = ("Collection", "Fields", "Indexes", "Changed")
        tables.append(table(headings, declared, "There are no collections.", "Collections"))
    said = f"{many(len(rows), 'event type', is_more=found['next_cursor'] is not None)} in the catalogue."
    return listing("Types", said, "/types", *tables, pages=pages(visit, "/types", found))


async def one_type(visit: PageVisit) -> View:
    """One event type."""
    name = visit.path["name"]
    found, newest = await asyncio.gather(
        visit.get("get_event_type", {"name": name}), visit.maybe("list_events", type=name, limit=10)
    )
    events = [] if newest is None else [
        row(to("events", each.id), text(each.id), text(each.subject), text(each.tenant), when(each.created))
        for each in newest["data"]
    ]  # fmt: skip
    texts = [shown("Schema", found.schema, "schema")] if found.schema is not None else []
    texts += [shown("Example", found.example, "example")] if found.example is not None else []
    return detail(
        name,
        found.description
        or ("The newest events of this type are below." if events else "There are no events of this type yet."),
        ("/types", "Types"),
        tables=[table(("Event", "Subject", "Tenant", "Accepted"), events, "There are none yet.", "Newest events")],
        texts=texts,
        list=[
            fact("Collection", found.collection, to=to("collections", found.collection) if found.collection else ""),
            fact("Made", found.created, "time"),
            fact("Changed", found.updated, "time"),
            fact("Revision", str(found.revision)),
        ],
    )


async def collection(visit: PageVisit) -> View:
    """One collection as it is declared."""
    found = await visit.get("get_collection", {"name": visit.path["name"]})
    rows = [_field_row(name, each) for name, each in found.fields.items()]
    building = "" if found.indexes == "ready" else " Its indexes are being built."
    return detail(
        found.name,
        f"{many(len(rows), 'field')}.{building}",
        ("/types", "Types"),
        state="ok" if not building else "attention",
        tables=[table(("Field", "Type", "Rules"), rows, "It has no fields.", "Fields")],
        texts=[shown("As declared", {"fields": found.fields, "events": found.events, "questions": found.questions})],
        list=[
            fact("Items", "browse them", to=to("items", found.name)),
            fact("Description", found.description),
            fact("Declared", found.created, "time"),
            fact("Changed", found.updated, "time"),
            fact("Revision", str(found.revision)),
        ],
    )


def _field_row(name: str, each: Any) -> dict[str, Any]:
    plain = each if isinstance(each, dict) else {"type": str(each)}
    rules = {key: value for key, value in plain.items() if key not in ("type", "description")}
    said = ", ".join(key if value is True else f"{key} {value}" for key, value in rules.items())
    return row("", text(name, plain.get("description")), text(plain.get("type")), text(said))


PAGES = (
    page("/types", types, "types"),
    page("/types/{name}", one_type, "types"),
    page("/collections/{name}", collection, "types"),
)
