"""The form of an endpoint: add one, with a test before it is saved, or change one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from tidings.model.digits import index_of
from tidings.model.errors import Conflict, Invalid, Stale
from tidings.rules.schemes import standard
from tidings.views.endpoints import EndpointView
from tidings.web.portal.pages.conditions import OPERATORS, Row, filter_of, rows_of
from tidings.web.portal.visits import Next, PortalPage, PortalView, PortalVisit

NAV = "Endpoints"
SECRET_BYTES = 32
TYPES_SHOWN = 1000
OPEN_GROUPS = 3
"""If there are at most this many groups of types, all of them are open from the start."""


class EndpointForm(msgspec.Struct, kw_only=True):
    """The values of the form."""

    url: str = ""
    description: str = ""
    events: list[str] = []
    rows: list[Row] = []
    secret: str = ""
    """The secret of a new endpoint, made in advance so that a test can be verified."""
    revision: int | None = None
    """The revision of the endpoint that the form shows."""
    kept_filter: Any = None
    """A filter that the form cannot show."""


async def add(visit: PortalVisit) -> PortalView:
    """An empty form; the `type` in the URL is already chosen."""
    chosen = visit.query.get("type", "")
    form = EndpointForm(
        events=[chosen or "*"], rows=rows_of(None) or [], secret=standard.new_secret(os.urandom(SECRET_BYTES))
    )
    return await _form(visit, form, is_new=True)


async def save_new(visit: PortalVisit) -> PortalView | Next:
    """Test what was filled in, or add it."""
    form = _posted(visit)
    try:
        body = _body(form)
        if visit.field("do") == "test":
            tried = await visit.do("try_endpoint", body=body | {"secret": form.secret})
            return await _form(visit, form, is_new=True, tried=tried)
        made = await visit.do("create_endpoint", body=body | {"secret": form.secret})
    except (Invalid, Conflict) as wrong:
        return await _form(visit, form, is_new=True, wrong=_sentences(wrong), status=wrong.status)
    return Next(f"/endpoints/{made.id}", "The endpoint has been added. Your events will be sent to it from now on.")


async def edit(visit: PortalVisit) -> PortalView:
    """The form of an endpoint as it is."""
    found: EndpointView = await visit.ask("get_endpoint", visit.path)
    rows = rows_of(found.filter)
    form = EndpointForm(
        url=found.url,
        description=found.description,
        events=list(found.events),
        rows=rows_of(None) or [] if rows is None else rows,
        revision=found.revision,
        kept_filter=found.filter if rows is None else None,
    )
    return await _form(visit, form, is_new=False)


async def save(visit: PortalVisit) -> PortalView | Next:
    """Change it."""
    found: EndpointView = await visit.ask("get_endpoint", visit.path)
    form = _posted(visit)
    if rows_of(found.filter) is None:
        form.kept_filter = found.filter
    try:
        body = _body(form)
        if body["filter"] is None and form.kept_filter is not None:
            del body["filter"]
        await visit.do("edit_endpoint", visit.path, body, revision=form.revision)
    except Stale:
        form.revision = found.revision
        said = ["Somebody else has changed this endpoint in the meantime. Save again to overwrite those changes."]
        return await _form(visit, form, is_new=False, wrong=said, status=Stale.status)
    except (Invalid, Conflict) as wrong:
        return await _form(visit, form, is_new=False, wrong=_sentences(wrong), status=wrong.status)
    return Next(f"/endpoints/{found.id}", "The changes take effect with the next attempt.")


def _posted(visit: PortalVisit) -> EndpointForm:
    columns = [list(visit.posted.get(name, ())) for name in ("field", "operator", "value")]
    rows = [Row(*(each.strip() for each in row)) for row in zip(*columns, strict=False)]
    return EndpointForm(
        url=visit.field("url"),
        description=visit.field("description"),
        events=list(dict.fromkeys(visit.posted.get("events", ()))),
        rows=rows,
        secret=visit.field("secret"),
        revision=index_of(visit.field("revision")),
    )


def _body(form: EndpointForm) -> dict[str, Any]:
    """The endpoint as the API takes it. Raises Invalid."""
    if not form.events:
        raise Invalid("Choose at least one type of event, or all.")
    events = ["*"] if "*" in form.events else form.events
    return {"url": form.url, "description": form.description, "events": events, "filter": filter_of(form.rows)}


def _sentences(wrong: Invalid | Conflict) -> list[str]:
    return list(dict.fromkeys(each.detail for each in wrong.errors)) or [wrong.detail]


async def _form(
    visit: PortalVisit,
    form: EndpointForm,
    *,
    is_new: bool,
    tried: Any = None,
    wrong: list[str] | None = None,
    status: int = 200,
) -> PortalView:
    catalogue = (await visit.ask("list_event_types", limit=TYPES_SHOWN))["data"]
    groups = _tree({each.name: each.description for each in catalogue}, form.events)
    known = {"*", *(each.name for each in catalogue), *(group["pattern"] for group in groups)}
    sentence, state = ("Where should we send your events?" if is_new else "Change where your events go."), ""
    if wrong:
        sentence, state = "Something in the form is not right yet.", "trouble"
    elif tried is not None:
        sentence, state = ("Your receiver works.", "ok") if tried.works else ("Your receiver is not ready.", "trouble")
    one = None if is_new else visit.to("endpoints", visit.path["id"])
    values = {
        "form": form,
        "is_new": is_new,
        "tried": tried,
        "wrong": wrong or [],
        "tree": groups,
        "others": [name for name in form.events if name not in known],
        "operators": OPERATORS,
        "action": visit.to("add") if one is None else f"{one}/edit",
        "back": one or visit.root,
    }
    return PortalView("form", "Add an endpoint" if is_new else "Edit", sentence, state, NAV, values, status)


def _tree(types: Mapping[str, str], chosen: list[str]) -> list[dict[str, Any]]:
    """Types by the first part of their names, each group with the pattern that takes all of it."""
    groups: dict[str, list[dict[str, str]]] = {}
    for name, description in sorted(types.items()):
        groups.setdefault(name.partition(".")[0], []).append({"name": name, "description": description})
    few = len(groups) <= OPEN_GROUPS
    return [
        {
            "name": head,
            "types": found,
            "pattern": f"{head}.*" if all("." in each["name"] for each in found) else "",
            "is_open": few or any(each["name"] in chosen for each in found) or f"{head}.*" in chosen,
        }
        for head, found in groups.items()
    ]


PAGES = (
    PortalPage("/add", add),
    PortalPage("/add", save_new, is_action=True),
    PortalPage("/endpoints/{id}/edit", edit),
    PortalPage("/endpoints/{id}/edit", save, is_action=True),
)
