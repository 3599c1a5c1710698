"""Items: browse a collection with its filters, read one with its history, edit it as permits allow."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tidings.model.errors import Malformed, TidingsError
from tidings.web.console.lists import (
    LIMIT,
    button,
    chosen,
    detail,
    fact,
    field,
    filled,
    form,
    listing,
    many,
    pages,
    row,
    shown,
    table,
    text,
    when,
)
from tidings.web.console.visit import Done, PageVisit, View, action, page, to

COLUMNS_MAX = 5
FILTERS_MAX = 8
OWN = ("id", "tenant", "revision", "created", "updated")
LONG = ("object", "array", "json", "list", "map")


async def collections(visit: PageVisit) -> View:
    """The collections that the key sees."""
    found = await _collections(visit)
    rows = [
        row(
            to("items", each["name"]),
            text(each["name"], each["description"]),
            text(", ".join(list(each["fields"])[:8])),
            when(each["updated"]),
        )
        for each in found
    ]
    return listing(
        "Items",
        f"{many(len(rows), 'collection')} of items." if rows else "There are no collections that this key may read.",
        "/items",
        table(("Collection", "Fields", "Changed"), rows, "Declare a collection to get an API for its items."),
    )


async def _collections(visit: PageVisit) -> list[dict[str, Any]]:
    """Collections as plain values; for a key without the scope, those of its permits."""
    found = await visit.maybe("list_collections", limit=1000)
    if found is not None:
        return [_plain(each) for each in found["data"]]
    names = sorted({each.collection for each in visit.key.permits})
    return [{"name": name, "description": "", "fields": {}, "updated": None} for name in names]


async def _collection(visit: PageVisit, name: str) -> dict[str, Any]:
    found = await visit.maybe("get_collection", {"name": name})
    if found is None:
        return {"name": name, "description": "", "fields": {}, "events": {}, "questions": {}}
    return _plain(found)


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(value if isinstance(value, bytes) else msgspec.json.encode(value))
    return plain


async def items(visit: PageVisit) -> View:
    """The items of a collection, with its filters."""
    name = visit.path["collection"]
    declared = await _collection(visit, name)
    wanted = [each for each in visit.query if each != "cursor"]
    given = visit.filters(*wanted)
    answer = await visit.get("list_items", {"collection": name}, **given, cursor=visit.query.get("cursor"), limit=LIMIT)
    found = _plain(answer)
    fields = list(declared["fields"]) or sorted({key for each in found["data"] for key in each if key not in OWN})
    columns = fields[:COLUMNS_MAX]
    rows = [
        row(
            to("items", name, each["id"]),
            *(text(_value(each.get(column))) for column in columns),
            when(each.get("updated")),
        )
        for each in found["data"]
    ]
    for each, one in zip(rows, found["data"], strict=True):
        first, *others = each["cells"]
        each["cells"] = ({**first, "value": first["value"] or one["id"], "note": one["id"]}, *others)
    count = many(len(rows), "item", is_more=found["next_cursor"] is not None)
    new = None
    if await _may(visit, name, "create"):
        new = form("Create an item", to("items", name), "Create", _inputs(declared["fields"], {}))
    return listing(
        name,
        f"{count} match."
        if given and rows
        else f"{count}."
        if rows
        else "No items match this filter."
        if given
        else "It has no items yet.",
        to("items", name),
        table((*columns, "Changed") if columns else ("Item", "Changed"), rows, "No items to show."),
        fields=_filters(declared["fields"], given),
        pages=pages(visit, to("items", name), found, *given),
        new=new,
    )


def _row(name: str, each: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    """An item, named by its first field."""
    first, *others = [_value(each.get(column)) for column in columns] or [""]
    named = text(first or each["id"], each["id"] if first else "")
    return row(to("items", name, each["id"]), named, *(text(other) for other in others), when(each.get("updated")))


def _filters(fields: dict[str, Any], given: dict[str, str]) -> list[dict[str, Any]]:
    shown_ = []
    for name, each in list(fields.items())[:FILTERS_MAX]:
        if name in given or (isinstance(each, dict) and each.get("filterable")):
            values = each.get("values") if isinstance(each, dict) else None
            if values:
                options = [value if isinstance(value, str) else str(value) for value in values]
                shown_.append(chosen(name, name, given.get(name, ""), options))
            else:
                shown_.append(filled(name, name, given.get(name, "")))
    return [*shown_, *(filled(name, name, value) for name, value in given.items() if name not in fields)]


async def _may(visit: PageVisit, collection: str, verb: str) -> bool:
    """Whether the key's permit has the verb; only then does its operation exist."""
    declared = visit.parts.catalog.now.collections.get(collection)
    menu = None if declared is None else visit.parts.menus.of(visit.parts, visit.key, declared)
    return menu is not None and menu.find(verb) is not None


async def item(visit: PageVisit) -> View:
    """One item, with the events of its changes."""
    name, ident = visit.path["collection"], visit.path["id"]
    answer, declared, history = await asyncio.gather(
        visit.get("get_item", {"collection": name, "id": ident}, **visit.filters("tenant")),
        _collection(visit, name),
        _history(visit, name, ident),
    )
    found = _plain(answer)
    rows = [
        row(to("events", each.id), text(each.type), text(_changed(each)), text(each.actor), when(each.created))
        for each in history
    ]
    forms, actions = [], []
    where = to("items", name, ident)
    if await _may(visit, name, "edit"):
        fields = [*_inputs(declared["fields"] or _guessed(found), found), _hidden("revision", found.get("revision"))]
        forms.append(form("Edit", f"{where}/edit", "Save", fields))
    if await _may(visit, name, "delete"):
        actions.append(button(f"{where}/delete", "Delete", "danger", f"Delete the item {ident}?"))
    changes = many(len(rows), "change")
    return detail(
        ident,
        f"Revision {found.get('revision', 1)}{f', with {changes} in the event log' if rows else ''}.",
        (to("items", name), name),
        str(found.get("tenant") or ""),
        actions=actions,
        tables=[
            table(("Event", "Changed", "By", "Time"), rows, "The event log has no changes to this item.", "History")
        ],
        texts=[shown("Whole", answer if isinstance(answer, bytes) else msgspec.json.encode(answer))],
        list=[fact(key, _value(value)) for key, value in found.items() if key not in ("created", "updated")]
        + [fact("created", found.get("created"), "time"), fact("updated", found.get("updated"), "time")],
        list_first=True,
        forms=forms,
    )


async def _history(visit: PageVisit, name: str, ident: str) -> list[Any]:
    try:
        found = await visit.maybe("list_events", collection=name, subject=ident, limit=20)
    except TidingsError:
        return []
    return list(found["data"]) if found else []


def _changed(event: Any) -> str:
    if event.changed is None:
        return ""
    changed = msgspec.json.decode(bytes(event.changed))
    return ", ".join(changed) if isinstance(changed, list | dict) else str(changed)


def _guessed(found: dict[str, Any]) -> dict[str, Any]:
    return {name: {} for name in found if name not in OWN}


def _hidden(name: str, value: Any) -> dict[str, Any]:
    return field(name, "Only if it is still at revision", "" if value is None else str(value))


def _inputs(fields: dict[str, Any], values: dict[str, Any]) -> list[dict[str, Any]]:
    """A field of a form for each field of the collection; values other than texts are written as JSON."""
    shown_ = []
    for name, each in fields.items():
        kind = each.get("type", "") if isinstance(each, dict) else str(each)
        value = values.get(name)
        said = f"{name} ({kind})" if kind else name
        options = each.get("values") if isinstance(each, dict) else None
        if options:
            shown_.append(field(f"f.{name}", said, value or "", kind="choose", options=options, any="(none)"))
        elif kind == "boolean":
            chosen_ = "" if value is None else "true" if value else "false"
            shown_.append(field(f"f.{name}", said, chosen_, kind="choose", options=("true", "false"), any="(none)"))
        elif kind in LONG or isinstance(value, dict | list):
            written = "" if value is None else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
            shown_.append(field(f"f.{name}", f"{said}, as JSON", written, kind="long", rows=5))
        else:
            shown_.append(field(f"f.{name}", said, _value(value)))
    return shown_


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


async def _body(visit: PageVisit, name: str, before: dict[str, Any]) -> dict[str, Any]:
    """The changes that a form makes: only what differs from before."""
    declared = (await _collection(visit, name))["fields"]
    body: dict[str, Any] = {}
    for key, given in visit.posted.items():
        if not key.startswith("f."):
            continue
        field_name = key[2:]
        each = declared.get(field_name, {})
        value = _typed(
            field_name, given, each.get("type", "") if isinstance(each, dict) else "", before.get(field_name)
        )
        if value != before.get(field_name):
            body[field_name] = value
    return body


def _typed(name: str, given: str, kind: str, before: Any) -> Any:
    """A field's value from its text. A number that cannot be read stays a text, so that the API reports what is
    wrong.
    """
    text_ = given.replace("\r\n", "\n")
    if not text_:
        return "" if before == "" else None
    is_json = kind in (*LONG, "integer", "number", "boolean") or (not kind and not isinstance(before, str | None))
    if not is_json:
        return text_
    try:
        return msgspec.json.decode(text_)
    except msgspec.DecodeError:
        if kind in LONG:
            raise Malformed(f"{name} is not JSON.") from None
        return text_


async def create(visit: PageVisit) -> Done:
    """Create an item."""
    name = visit.path["collection"]
    made = _plain(await visit.do("create_item", {"collection": name}, await _body(visit, name, {})))
    return Done(to("items", name, made["id"]), "Created.")


async def edit(visit: PageVisit) -> Done:
    """Save the changes, unless somebody else has changed the item first."""
    name, ident = visit.path["collection"], visit.path["id"]
    path = {"collection": name, "id": ident}
    body = await _body(visit, name, _plain(await visit.get("get_item", path)))
    revision = visit.posted.get("revision", "")
    if not body:
        return Done(to("items", name, ident), "Nothing was changed.")
    await visit.do("edit_item", path, body, {"if-match": f'"{revision}"'} if revision else {})
    return Done(to("items", name, ident), "Saved.")


async def delete(visit: PageVisit) -> Done:
    """Delete it."""
    name, ident = visit.path["collection"], visit.path["id"]
    await visit.do("delete_item", {"collection": name, "id": ident})
    return Done(to("items", name), f"{ident} has been deleted.")


PAGES = (
    page("/items", collections, "items"),
    page("/items/{collection}", items, "items"),
    page("/items/{collection}/{id}", item, "items", live=True),
    action("/items/{collection}", create, "items"),
    action("/items/{collection}/{id}/edit", edit, "items"),
    action("/items/{collection}/{id}/delete", delete, "items"),
)
