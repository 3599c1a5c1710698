"""Who changed what, and who last changed a thing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.errors import TidingsError
from tidings.web.console.lists import LIMIT, filled, listing, many, pages, row, table, text, when
from tidings.web.console.pages.now import names
from tidings.web.console.pages.service.jobs import job_name, progress
from tidings.web.console.visit import PageVisit, View, page, to

FOLDERS = {
    "endpoint": "endpoints",
    "link": "links",
    "key": "keys",
    "event_type": "types",
    "tenant": "tenants",
    "hook": "hooks",
    "form": "forms",
    "collection": "collections",
}
"""The page for each kind of thing that an act can change."""
_PREFIXES = {"ep": "endpoints", "dlv": "deliveries", "evt": "events", "hook": "hooks", "form": "forms"} | {
    "key": "keys",
    "rcp": "receipts",
    "rpl": "jobs",
}
_IN_PATH = re.compile(r"\b(ep|dlv|evt|hook|form|key|rcp|rpl)_[0-9a-z]+")
JOBS = {"retry": "retry_deliveries", "cancel": "cancel_deliveries"}
REPLAY = "create_replay"
"""The operation that starts all jobs whose kind is not in JOBS."""
JOBS_LOOKED_AT = 200
JUST_BEFORE = 5 * moment.SECOND
WHOLE_CHARS = 20
"""A key's name of up to this many characters is not wrapped."""
ACT_FILTERS = ("key", "operation", "about", "time__gte", "time__lt")


async def acts(visit: PageVisit) -> View:
    """Who changed what, newest first."""
    given = visit.filters(*ACT_FILTERS)
    found = await visit.get("list_acts", **given, cursor=visit.query.get("cursor"), limit=LIMIT)
    urls, keys, started = await asyncio.gather(
        names(visit, [name for each in found["data"] if (name := _target(each)[0]).startswith("ep_")]),
        _key_names(visit, [each.key_id for each in found["data"]]),
        _jobs_of(visit, found["data"]),
    )
    rows = [_act(each, urls, keys, started.get(each.id)) for each in found["data"]]
    count = many(len(rows), "act", is_more=found["next_cursor"] is not None)
    return listing(
        "Acts",
        f"{count}, newest first." if rows else "No acts match this filter.",
        "/acts",
        table(("Did", "To", "Key", "What differs", "When"), rows, "Nobody has changed anything here."),
        fields=[
            filled("about", "About", given.get("about", "")),
            filled("key", "Key", given.get("key", "")),
            filled("operation", "Operation", given.get("operation", "")),
            filled("time__gte", "From", given.get("time__gte", "")),
            filled("time__lt", "Until", given.get("time__lt", "")),
        ],
        pages=pages(visit, "/acts", found, *ACT_FILTERS, is_by_time=True),
    )


async def last_act(visit: PageVisit, about: str) -> str:
    """The last act on a thing, and who did it: `edit endpoint, by Nina`; empty if the key may not read that."""
    found = await visit.maybe("list_acts", about=about, limit=1)
    if not found or not found["data"]:
        return ""
    act = found["data"][0]
    name = (await _key_names(visit, [act.key_id])).get(act.key_id, act.key_id)
    return f"{act.operation.replace('_', ' ')}, by {name}"


async def _key_names(visit: PageVisit, idents: Iterable[str]) -> dict[str, str]:
    """The names of keys, by id; keys that no longer exist or have no name are left out."""
    wanted = sorted(set(idents))
    found = await asyncio.gather(*(_key_name(visit, ident) for ident in wanted))
    return {ident: name for ident, name in zip(wanted, found, strict=True) if name}


async def _key_name(visit: PageVisit, ident: str) -> str:
    try:
        key = await visit.maybe("get_key", {"id": ident})
    except TidingsError:
        return ""
    return "" if key is None else key.name or ""


def _target(each: Any) -> tuple[str, str]:
    """The target of an act, and its page: what the act changed, or else what its path names."""
    if each.changes and (folder := FOLDERS.get(each.changes[0].kind)):
        return each.changes[0].name, to(folder, each.changes[0].name)
    if ident := _IN_PATH.search(each.path):
        return ident[0], to(_PREFIXES[ident[1]], ident[0])
    if each.operation in JOBS.values() or each.operation == REPLAY:
        return "its job is listed under Jobs", "/jobs"
    return each.path, ""


async def _jobs_of(visit: PageVisit, acts: Sequence[Any]) -> dict[str, Any]:
    """The jobs that acts started, by the act's id: each of its kind, made just before it, and the only such one."""
    started = [each for each in acts if each.operation in JOBS.values() or each.operation == REPLAY]
    found = await visit.maybe("list_replays", limit=JOBS_LOOKED_AT) if started else None
    made = [] if found is None else found["data"]
    jobs: dict[str, Any] = {}
    for each in started:
        at = moment.from_text(each.created)
        fit = [
            job
            for job in made
            if JOBS.get(job.which, REPLAY) == each.operation and 0 <= at - moment.from_text(job.created) < JUST_BEFORE
        ]
        if len(fit) == 1:
            jobs[each.id] = fit[0]
    return jobs


def _act(each: Any, urls: Mapping[str, str], keys: Mapping[str, str], job: Any) -> dict[str, Any]:
    about, where = (job_name(job), to("jobs", job.id)) if job is not None else _target(each)
    who = keys.get(each.key_id, each.key_id)
    changes = progress(job) if job is not None else _changes(each, about)
    for ident, name in urls.items():
        changes = changes.replace(ident, name)
    return row(
        "",
        text(each.operation.replace("_", " ")),
        text(urls.get(about, about), to=where),
        {**text(who, to=to("keys", each.key_id)), "whole": len(who) <= WHOLE_CHARS},
        text(changes),
        when(each.created),
    )


def _changes(act: Any, about: str) -> str:
    """The values before and after, in short. `about`: what need not be named again."""
    said = []
    for each in act.changes[:3]:
        before, after = each.before or {}, each.after or {}
        members = [
            f"{name}: {_short(before.get(name))} → {_short(after.get(name))}"
            for name in {**before, **after}
            if name not in ("revision", "updated")
        ][:4]
        kind = "deleted " if each.after is None else "new " if each.before is None else ""
        differs = ", ".join(members) if not kind else ""
        if each.name == about:
            said.append(differs)
        else:
            said.append(f"{kind}{each.kind} {each.name}{f' ({differs})' if differs else ''}")
    more = act.changes_total - len(said)
    return "; ".join(filter(None, said)) + (f"; and {more:,} more" if more > 0 and said else "")


def _short(value: Any) -> str:
    if value is None:
        return "none"
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:60]


PAGES = (page("/acts", acts, "acts"),)
