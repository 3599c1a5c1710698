"""Tenants and keys: who owns what, who may do what, and making and revoking keys."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tidings.model.access import SCOPES
from tidings.model.errors import NotFound
from tidings.web.console.lists import (
    LIMIT,
    button,
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
    state,
    table,
    text,
    when,
)
from tidings.web.console.pages.now import short
from tidings.web.console.visit import Done, PageVisit, View, action, page, to
from tidings.web.pages.templates import url

WITHOUT_ENTRY = "Not added, but named by recent endpoints, keys or events"
NEWEST = 200


async def tenants(visit: PageVisit) -> View:
    """The list."""
    found, others = await asyncio.gather(
        visit.get("list_tenants", cursor=visit.query.get("cursor"), limit=LIMIT), _without_entry(visit)
    )
    rows = [
        row(to("tenants", each.id), text(each.id, each.name), when(each.created), when(each.updated))
        for each in found["data"]
    ]
    new = None
    if visit.may("create_tenant"):
        fields = [field("id", "Id", required=True), field("name", "Name")]
        new = form("Add a tenant", "/tenants", "Add", fields)
    said = f"{many(len(rows), 'tenant', is_more=found['next_cursor'] is not None)}."
    tables = [table(("Tenant", "Added", "Changed"), rows, "A tenant is one of your customers.")]
    if others:
        said = f"{said[:-1]}, and {len(others):,} more that have not been added."
        tables.append(table(("Tenant",), [row(to("tenants", each), text(each)) for each in others], "", WITHOUT_ENTRY))
    return listing(
        "Tenants",
        said if rows or others else "There are no tenants yet.",
        "/tenants",
        *tables,
        pages=pages(visit, "/tenants", found),
        new=new,
    )


async def _without_entry(visit: PageVisit) -> list[str]:
    """Tenants that are named by things but have no entry, as far as the newest things show."""
    if visit.query.get("cursor"):
        return []
    lists = ("list_endpoints", "list_keys", "list_events")
    found = await asyncio.gather(*(visit.maybe(each, limit=NEWEST) for each in lists))
    named = sorted({each.tenant for one in found if one is not None for each in one["data"] if each.tenant})
    known = await asyncio.gather(*(visit.is_there("get_tenant", {"id": each}) for each in named))
    return [each for each, is_known in zip(named, known, strict=True) if not is_known]


async def add_tenant(visit: PageVisit) -> Done:
    """Add one."""
    body = {"id": visit.posted.get("id", ""), "name": visit.posted.get("name", "")}
    made = await visit.do("create_tenant", None, body)
    return Done(to("tenants", made.id), "Added.")


async def tenant(visit: PageVisit) -> View:
    """One tenant: its endpoints, failures and keys. It needs no entry, as long as something belongs to it."""
    ident = visit.path["id"]
    found = await _entry(visit, ident)
    endpoints, dead, keys, events = await asyncio.gather(
        visit.maybe("list_endpoints", tenant=ident, limit=50),
        visit.maybe("list_deliveries", tenant=ident, state="dead", limit=1),
        visit.maybe("list_keys", tenant=ident, limit=50),
        visit.maybe("list_events", tenant=ident, limit=1),
    )
    if found is None and not any(each and each["data"] for each in (endpoints, dead, keys, events)):
        await visit.get("get_tenant", {"id": ident})  # This raises if nothing names it.
    theirs = [] if endpoints is None else endpoints["data"]
    failing = sum(each.health.failing_since is not None for each in theirs)
    rows = [
        row(
            to("endpoints", each.id),
            text(short(each.url), each.description),
            state("failing" if each.health.failing_since and each.state == "enabled" else each.state),
            when(each.health.failing_since),
        )
        for each in theirs
    ]
    named = [] if keys is None else keys["data"]
    held = [row(to("keys", each.id), text(each.name or each.id), when(each.created)) for each in named]
    portal = button(f"{to('tenants', ident)}/portal-link", "Make a portal link")
    ended = " Some deliveries became dead." if dead and dead["data"] else ""
    entry = "" if found else " This tenant has not been added to the list; adding it is optional."
    return detail(
        (found.name if found else "") or ident,
        f"{many(len(rows), 'endpoint')}, {failing:,} failing.{ended}{entry}",
        ("/tenants", "Tenants"),
        ident,
        state="attention" if failing or ended else "ok",
        actions=[portal] if visit.may("create_portal_link") else [],
        tables=[
            table(("Endpoint", "State", "Failing since"), rows, "It has no endpoints.", "Endpoints"),
            table(("Key", "Made"), held, "It has no keys.", "Keys"),
        ],
        list=_tenant_facts(ident, found, bool(ended)),
        forms=[] if found else _entry_forms(visit, ident),
    )


async def _entry(visit: PageVisit, ident: str) -> Any:
    """A tenant's entry; None if it has none. Raises NotFound for a key of another tenant."""
    try:
        return await visit.get("get_tenant", {"id": ident})
    except NotFound:
        if visit.key.tenant not in (None, ident):
            raise
        return None


def _tenant_facts(ident: str, found: Any, has_dead: bool) -> list[dict[str, Any]]:
    return [
        fact("Deliveries", "show", to=url("/deliveries", tenant=ident)),
        fact("Became dead", "show" if has_dead else "", to=url("/deliveries", tenant=ident, state="dead")),
        fact("Events", "show", to=url("/events", tenant=ident)),
        fact("Added", found and found.created, "time"),
        fact("Changed", found and found.updated, "time"),
    ]


def _entry_forms(visit: PageVisit, ident: str) -> list[dict[str, Any]]:
    if not visit.may("create_tenant"):
        return []
    fields = [field("id", "Id", ident, required=True), field("name", "Name")]
    return [form("Add this tenant, with a display name", "/tenants", "Add", fields)]


async def portal_link(visit: PageVisit) -> View:
    """A link through which the tenant's people look after their endpoints; its token is shown once."""
    made = await visit.do("create_portal_link", visit.path, {})
    view = await tenant(visit)
    note = "Send the link to the tenant. The link can be opened only once, before it expires, and is not shown again."
    secret = {"title": "The portal link", "text": made.url, "note": note}
    return View(view.template, view.title, view.sentence, {**view.values, "secret": secret}, view.state)


async def keys(visit: PageVisit) -> View:
    """The list."""
    given = visit.filters("tenant")
    found = await visit.get("list_keys", **given, cursor=visit.query.get("cursor"), limit=LIMIT)
    rows = [
        row(
            to("keys", each.id),
            text(each.name or each.id, each.tenant),
            text(", ".join(each.scopes) or many(len(each.permits), "permit")),
            state("revoked" if each.revoked else "active"),
            when(each.expires),
            when(each.created),
        )
        for each in found["data"]
    ]
    new = None
    if visit.may("create_key"):
        fields = [
            field("name", "Name", required=True),
            field("scopes", "Scopes, separated by commas", "events:read, deliveries:read", help=", ".join(SCOPES)),
        ]
        if visit.key.tenant is None:
            fields.append(field("tenant", "Tenant", visit.query.get("tenant", "")))
        fields.append(field("expires", "Expires", help="A time such as 2027-01-01T00:00:00Z; empty for never"))
        new = form("Make a key", "/keys", "Make", fields)
    return listing(
        "Keys",
        f"{many(len(rows), 'key', is_more=found['next_cursor'] is not None)}.",
        "/keys",
        table(("Key", "Permissions", "State", "Expires", "Made"), rows, "There are no keys."),
        fields=[filled("tenant", "Tenant", given.get("tenant", ""))] if visit.key.tenant is None else [],
        pages=pages(visit, "/keys", found, "tenant"),
        new=new,
    )


async def make_key(visit: PageVisit) -> View:
    """Make a key, whose text is shown once."""
    given = visit.posted
    body: dict[str, Any] = {name: given[name] for name in ("name", "tenant", "expires") if given.get(name)}
    body["scopes"] = [each.strip() for each in given.get("scopes", "").split(",") if each.strip()]
    made = await visit.do("create_key", None, body)
    note = "Copy the key now: only its hash is stored, so it cannot be shown again."
    return detail(
        made.name or made.id,
        "The key has been made.",
        ("/keys", "Keys"),
        made.id,
        state="ok",
        secret={"title": "The key", "text": made.key, "note": note},
        list=_key_facts(made),
    )


async def key(visit: PageVisit) -> View:
    """One key."""
    found = await visit.get("get_key", {"id": visit.path["id"]})
    where = to("keys", found.id)
    asked = f"Revoke the key {found.name or found.id}? Everyone who uses this key will be refused at once."
    may_revoke = visit.may("delete_key") and not found.revoked
    permits = msgspec.json.encode(found.permits)
    return detail(
        found.name or found.id,
        "It was revoked." if found.revoked else "It is valid.",
        ("/keys", "Keys"),
        found.id,
        actions=[button(f"{where}/revoke", "Revoke", "danger", asked)] if may_revoke else [],
        texts=[shown("Permits", permits)] if found.permits else [],
        list=_key_facts(found),
    )


def _key_facts(found: Any) -> list[dict[str, Any]]:
    limits = ", ".join(f"{each.calls:,} calls in {each.seconds:,} s" for each in found.limits)
    return [
        fact("Scopes", ", ".join(found.scopes), "code"),
        fact("Tenant", found.tenant, to=to("tenants", found.tenant) if found.tenant else ""),
        fact("Limits", limits),
        fact("Origins", ", ".join(found.cors_origins), "code"),
        fact("Expires", found.expires, "time"),
        fact("Made", found.created, "time"),
        fact("Revoked", found.revoked, "time"),
        fact("What it did", "show", to=url("/acts", key=found.id)),
    ]


async def revoke(visit: PageVisit) -> Done:
    """Revoke it."""
    await visit.do("delete_key", visit.path)
    return Done("/keys", "The key has been revoked.")


PAGES = (
    page("/tenants", tenants, "tenants"),
    action("/tenants", add_tenant, "tenants"),
    page("/tenants/{id}", tenant, "tenants"),
    action("/tenants/{id}/portal-link", portal_link, "tenants"),
    page("/keys", keys, "keys"),
    action("/keys", make_key, "keys"),
    page("/keys/{id}", key, "keys"),
    action("/keys/{id}/revoke", revoke, "keys"),
)
