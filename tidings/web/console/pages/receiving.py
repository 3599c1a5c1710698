"""Hooks, forms and their requests: who sends, what was refused and why, and letting it in later."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tidings.web.console.lists import (
    LIMIT,
    button,
    chosen,
    code,
    detail,
    fact,
    filled,
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
from tidings.web.console.visit import Done, PageVisit, View, action, page, to

RECEIPT_FILTERS = ("hook", "form", "tenant", "state")
RECEIPT_HEADINGS = ("Request", "State", "Why", "From", "Size", "Received")
MODES = ("all", "refused")


async def hooks(visit: PageVisit) -> View:
    """The hooks, and what they refused lately."""
    given = visit.filters("tenant")
    found, refused = await asyncio.gather(
        visit.get("list_hooks", **given, cursor=visit.query.get("cursor"), limit=LIMIT),
        visit.get("list_refusals", **given, limit=10),
    )
    rows = [
        row(
            to("hooks", each.id),
            text(f"/in/{each.path}", " · ".join(filter(None, (each.tenant, each.description)))),
            text(each.scheme if isinstance(each.scheme, str) else "own scheme"),
            code(each.type),
            state("enabled" if each.enabled else "disabled"),
            when(each.updated),
        )
        for each in found["data"]
    ]
    count = many(len(rows), "hook", is_more=found["next_cursor"] is not None)
    told = f"{count}; the newest refusals are below." if refused["data"] else f"{count}, and nothing was refused."
    return listing(
        "Hooks",
        told if rows else "There are no hooks yet. A hook is a URL that other systems send their webhooks to.",
        "/hooks",
        table(("Hook", "Scheme", "Becomes", "State", "Changed"), rows, "No hooks to show."),
        table(RECEIPT_HEADINGS, [_receipt_row(each) for each in refused["data"]], "Nothing was refused.", "Refusals"),
        fields=[filled("tenant", "Tenant", given.get("tenant", ""))],
        pages=pages(visit, "/hooks", found, "tenant"),
        tabs=_tabs("/hooks"),
    )


def _tabs(here: str) -> list[dict[str, Any]]:
    tabs = (("/hooks", "Hooks"), ("/receipts", "All requests"), ("/receipts?state=refused", "Refused"))
    return [{"to": path, "text": said, "here": path == here} for path, said in tabs]


async def hook(visit: PageVisit) -> View:
    """One hook, with its requests."""
    ident = visit.path["id"]
    found, came = await asyncio.gather(
        visit.get("get_hook", {"id": ident}), visit.maybe("list_receipts", hook=ident, limit=20)
    )
    rows = [_receipt_row(each) for each in came["data"]] if came else []
    refused = sum(each.state == "refused" for each in came["data"]) if came else 0
    said = (
        f"{refused:,} of the newest {many(len(rows), 'request')} {'was' if refused == 1 else 'were'} refused."
        if rows
        else "Nothing has arrived yet."
    )
    toggled = button(
        f"{to('hooks', ident)}/switch",
        "Disable" if found.enabled else "Enable",
        confirm="Disable this hook? Requests to it will get a 404 response." if found.enabled else "",
        fields={"enabled": "" if found.enabled else "1"},
    )
    return detail(
        f"/in/{found.path}",
        said if found.enabled else "This hook is disabled: requests to it get a 404 response.",
        ("/hooks", "Hooks"),
        ident,
        state="attention" if refused or not found.enabled else "ok",
        actions=[toggled] if visit.may("edit_hook") else [],
        tables=[table(RECEIPT_HEADINGS, rows, "Nothing has arrived yet.", "Newest requests")],
        texts=[] if isinstance(found.scheme, str) else [shown("Its own scheme", found.scheme)],
        list=[
            fact("URL", found.url, "code"),
            fact("Tenant", found.tenant, to=to("tenants", found.tenant) if found.tenant else ""),
            fact("Scheme", found.scheme if isinstance(found.scheme, str) else "its own"),
            fact("Secrets", str(found.secret_count)),
            fact("Event type", found.type, "code"),
            fact("Subject", found.subject, "code"),
            fact("Key of repeats", found.key, "code"),
            fact("Methods", ", ".join(found.methods)),
            fact("Description", found.description),
            fact("Made", found.created, "time"),
            fact("Changed", found.updated, "time"),
        ],
    )


async def switch_hook(visit: PageVisit) -> Done:
    """Enable or disable it."""
    enabled = bool(visit.posted.get("enabled"))
    await visit.do("edit_hook", visit.path, {"enabled": enabled})
    return Done(to("hooks", visit.path["id"]), "Enabled." if enabled else "Disabled.")


async def receipts(visit: PageVisit) -> View:
    """Requests to hooks and forms, newest first."""
    given = visit.filters(*RECEIPT_FILTERS)
    asked = {name: value for name, value in given.items() if name != "state"}
    is_refused = given.get("state") == "refused"
    name = "list_refusals" if is_refused else "list_receipts"
    found = await visit.get(name, **asked, cursor=visit.query.get("cursor"), limit=LIMIT)
    rows = [_receipt_row(each) for each in found["data"]]
    count = many(len(rows), "request", is_more=found["next_cursor"] is not None)
    which = "was refused" if is_refused else "has arrived"
    return listing(
        "Refused requests" if is_refused else "Requests",
        f"{count} {'were refused' if is_refused else 'arrived'}, newest first." if rows else f"Nothing {which}.",
        "/receipts",
        table(RECEIPT_HEADINGS, rows, f"Nothing {which}."),
        fields=[
            filled("hook", "Hook", given.get("hook", "")),
            filled("form", "Form", given.get("form", "")),
            filled("tenant", "Tenant", given.get("tenant", "")),
            chosen("state", "Which", given.get("state", ""), ("refused",), "all"),
        ],
        pages=pages(visit, "/receipts", found, *RECEIPT_FILTERS, is_by_time=True),
        tabs=_tabs("/receipts?state=refused" if is_refused else "/receipts"),
        state="attention" if is_refused and rows else "",
    )


def _receipt_row(each: Any) -> dict[str, Any]:
    return row(
        to("receipts", each.id),
        text(f"{each.method} {each.target}", each.tenant),
        state(each.state),
        text(each.reason or "", each.detail),
        text(each.client),
        number(each.bytes),
        when(each.received),
    )


async def receipt(visit: PageVisit) -> View:
    """One request as it was received, and why it was refused."""
    ident = visit.path["id"]
    found = await visit.get("get_receipt", {"id": ident})
    explained = "" if found.explanation is msgspec.UNSET else found.explanation
    how = f"refused: {found.detail or found.reason}" if found.state == "refused" else found.state
    said = f"The request was {how}."
    again = button(f"{to('receipts', ident)}/retry", "Check it again", "main")
    texts = [shown("Headers", "\n".join(f"{each.name}: {each.value}" for each in found.headers))]
    texts.append(shown("Body", "The body is not text." if found.text is None else found.text, "body"))
    if isinstance(found.signed, str):
        texts.append(shown("What the signature covers", found.signed))
    where = to("hooks", found.hook_id) if found.hook_id else to("forms", found.form_id) if found.form_id else ""
    return detail(
        f"{found.method} {found.target}",
        said,
        ("/receipts", "Requests"),
        ident,
        state="attention" if found.state == "refused" else "ok",
        actions=[again] if found.state == "refused" and visit.may("retry_refusal") else [],
        texts=texts,
        list=[
            fact("Why", explained),
            fact("Sent to", found.hook_id or found.form_id, "code", where),
            fact("Event", found.event_id, "code", to("events", found.event_id) if found.event_id else ""),
            fact("From", found.client, "code"),
            fact("Received", found.received, "time"),
            fact("Bytes", f"{found.bytes:,}"),
            fact("Tenant", found.tenant),
        ],
    )


async def retry_refusal(visit: PageVisit) -> Done:
    """Check a refused request again, as of when it arrived."""
    await visit.do("retry_refusal", visit.path)
    return Done(to("receipts", visit.path["id"]), "The request was accepted, and is now an event.")


async def forms(visit: PageVisit) -> View:
    """The forms."""
    found = await visit.get("list_forms", **visit.filters("tenant"), cursor=visit.query.get("cursor"), limit=LIMIT)
    rows = [
        row(
            to("forms", each.id),
            text(each.title or each.path, " · ".join(filter(None, (f"/f/{each.path}", each.tenant)))),
            number(len(each.fields)),
            code(each.type),
            state("enabled" if each.enabled else "disabled"),
            when(each.updated),
        )
        for each in found["data"]
    ]
    said = f"{many(len(rows), 'form', is_more=found['next_cursor'] is not None)}."
    return listing(
        "Forms",
        said if rows else "There are no forms yet. A form is a page that people fill in.",
        "/forms",
        table(("Form", "Fields", "Becomes", "State", "Changed"), rows, "No forms to show."),
        fields=[filled("tenant", "Tenant", visit.query.get("tenant", ""))],
        pages=pages(visit, "/forms", found, "tenant"),
    )


async def one_form(visit: PageVisit) -> View:
    """One form, with its submissions."""
    ident = visit.path["id"]
    found, came = await asyncio.gather(
        visit.get("get_form", {"id": ident}), visit.maybe("list_receipts", form=ident, limit=20)
    )
    rows = [_receipt_row(each) for each in came["data"]] if came else []
    fields = [
        row("", text(name), text(each.type), text("required" if each.required else ""))
        for name, each in found.fields.items()
    ]
    return detail(
        found.title or found.path,
        "The newest submissions are below." if rows else "Nobody has filled in this form yet.",
        ("/forms", "Forms"),
        ident,
        state="ok" if found.enabled else "attention",
        tables=[
            table(RECEIPT_HEADINGS, rows, "Nobody has filled in this form yet.", "Submissions"),
            table(("Field", "Type", "Required"), fields, "This form has no fields.", "Fields"),
        ],
        list=[
            fact("URL", found.url, "code"),
            fact("Tenant", found.tenant),
            fact("State", "enabled" if found.enabled else "disabled", "tag"),
            fact("Event type", found.type, "code"),
            fact("Language", found.lang),
            fact("Origins", ", ".join(found.origins), "code"),
            fact("Made", found.created, "time"),
            fact("Changed", found.updated, "time"),
        ],
    )


PAGES = (
    page("/hooks", hooks, "hooks"),
    page("/hooks/{id}", hook, "hooks"),
    action("/hooks/{id}/switch", switch_hook, "hooks"),
    page("/receipts", receipts, "hooks"),
    page("/receipts/{id}", receipt, "hooks"),
    action("/receipts/{id}/retry", retry_refusal, "hooks"),
    page("/forms", forms, "forms"),
    page("/forms/{id}", one_form, "forms"),
)
