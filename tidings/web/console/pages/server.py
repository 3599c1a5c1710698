"""Jobs with their progress, the server itself, and who changed what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.errors import TidingsError
from tidings.web.console.lists import (
    LIMIT,
    button,
    chosen,
    detail,
    fact,
    filled,
    listing,
    many,
    number,
    pages,
    row,
    size,
    state,
    table,
    text,
    when,
)
from tidings.web.console.pages.now import names
from tidings.web.console.visit import Done, PageVisit, View, action, page, to

IN_BYTES = ("work", "bodies")
"""What tenants share that is measured in bytes."""
DID = {"retry": "retried", "cancel": "cancelled"}
"""What bulk jobs do to deliveries; replays send events again."""
JOB_STATES = ("running", "done", "cancelled", "failed")


async def jobs(visit: PageVisit) -> View:
    """Replays and bulk jobs, and what else the server is busy with."""
    given = visit.filters("state", "tenant")
    found, health = await asyncio.gather(
        visit.get("list_replays", **given, cursor=visit.query.get("cursor"), limit=LIMIT), visit.maybe("get_health")
    )
    rows = [
        row(
            to("jobs", each.id),
            text(_job_name(each), each.link or each.endpoint_id),
            state(each.state),
            text(_progress(each)),
            when(each.created),
            when(each.updated),
        )
        for each in found["data"]
    ]
    tables = [table(("Job", "State", "Progress", "Started", "Changed"), rows, "There are no jobs.")]
    busy = [] if health is None else [each for each in health.jobs if each.id is None]
    if busy:
        others = [row("", text(each.what.replace("_", " ")), text(_of(each)), when(each.since)) for each in busy]
        tables.append(table(("Also under way", "Progress", "Since"), others, ""))
    under_way = sum(each.state == "running" for each in found["data"]) + len(busy)
    return listing(
        "Jobs",
        f"{many(under_way, 'job')} under way." if under_way else "No job is under way.",
        "/jobs",
        *tables,
        fields=[
            chosen("state", "State", given.get("state", ""), JOB_STATES),
            filled("tenant", "Tenant", given.get("tenant", "")),
        ],
        pages=pages(visit, "/jobs", found, "state", "tenant", is_by_time=True),
    )


def _job_name(each: Any) -> str:
    sentence: str = each.sentence
    return sentence.removesuffix(".")


def _progress(each: Any) -> str:
    """`50 of 170 checked (29%), 8 retried`."""
    part = f" ({each.looked_at / each.total:.0%})" if each.total and each.state == "running" else ""
    return f"{each.looked_at:,} of {each.total:,} checked{part}, {each.sent:,} {DID.get(each.which, 'sent again')}"


def _filter(given: Any) -> str:
    """What a bulk job is for."""
    if given is None:
        return ""
    return ", ".join(f"{name}={value}" for name, value in msgspec.to_builtins(given).items() if value is not None)


def _of(each: Any) -> str:
    return f"{each.done:,} of {each.total:,}" if each.done is not None and each.total else f"{each.total or ''}"


async def job(visit: PageVisit) -> View:
    """One job, with its progress."""
    ident = visit.path["id"]
    found = await visit.get("get_replay", {"id": ident})
    asked = "Stop this job? What it has done stays done."
    is_running = found.state == "running"
    target = found.link or found.endpoint_id
    where = to("links", found.link) if found.link else to("endpoints", found.endpoint_id) if found.endpoint_id else ""
    return detail(
        _job_name(found),
        f"It is {found.state}: {_progress(found)}.",
        ("/jobs", "Jobs"),
        ident,
        state="attention" if is_running else "ok",
        actions=[button(f"{to('jobs', ident)}/cancel", "Stop", "danger", asked)] if is_running else [],
        list=[
            fact("State", found.state, "tag"),
            fact("For", target, "code", where),
            fact("Tenant", found.tenant),
            fact("Filter", _filter(found.filter), "code"),
            fact("From", "" if found.since.startswith("1970-") else found.since, "time"),
            fact("Until", found.until, "time"),
            fact("Started", found.created, "time"),
            fact("Changed", found.updated, "time"),
        ],
    )


async def stop_job(visit: PageVisit) -> Done:
    """Stop it."""
    await visit.do("cancel_replay", visit.path)
    return Done(to("jobs", visit.path["id"]), "Stopped.")


async def server(visit: PageVisit) -> View:
    """The server's store, stages and shares."""
    report, shares = await asyncio.gather(visit.get("get_health"), visit.maybe("list_shares"))
    stages, store = report.stages, report.store
    rows = [] if shares is None else [
        row("", text(each.of), _amount(each.of, each.used), _amount(each.of, each.total), text(_held(each)))
        for each in shares.data
    ]  # fmt: skip
    headings = ("Shared resource", "In use", "Limit", "Held back")
    return detail(
        "Server",
        "It accepts writes and sends." if store.accepts_writes else f"It refuses writes: {store.refusal}",
        ("", "Now"),
        state="ok" if store.accepts_writes and stages is not None and stages.deliver_alive else "trouble",
        tables=[table(headings, rows, "Nothing is shared.", "What tenants share")],
        tabs=[{"text": "Sizes, backup and settings", "to": "/server/store"}] if visit.may("get_server") else [],
        list_title="Store and stages",
        list=[
            fact("Accepts writes", "yes" if store.accepts_writes else "no"),
            fact("Free on its disk", "" if store.free_bytes is None else f"{store.free_bytes / 1e9:,.1f} GB"),
            fact("Delivers", "" if stages is None else "yes" if stages.deliver_alive else "no"),
            fact("Events not routed yet", "" if stages is None else f"{stages.unrouted_events:,}"),
            fact("Deliveries not looked at yet", "" if stages is None else f"{stages.unseen_deliveries:,}"),
            fact("Endpoints", _modes(report.endpoints)),
            fact("Links", _modes(report.links)),
            fact("As of", report.time, "time"),
        ],
    )


async def store(visit: PageVisit) -> View:
    """How large the store is, table by table; the last backup; and the settings in effect."""
    found = await visit.get("get_server")
    tables = [
        table(
            ("Table", "Rows", "With its indexes"),
            [
                row("", text(each.name), text(_rows(each)), text(_bytes(each)))
                for each in found.store.tables
                if each.rows
            ],
            "Nothing is stored.",
            "Tables",
        ),
        table(
            ("Setting", "Value", "From"),
            [row("", text(each.name), text(each.value), text(each.origin or "default")) for each in found.settings],
            "",
            "Settings in effect",
        ),
    ]
    backup = found.backup
    said = "The last backup was checked when it was made."
    said = said if backup.made else "No backup by tidings backup is known."
    return detail(
        "Store and settings",
        f"The store takes {size(found.store.bytes)}. {said}",
        ("/server", "Server"),
        state="ok" if backup.made else "attention",
        tables=tables,
        list_first=True,
        list_title="Store and backup",
        list=[
            fact("Version", found.version),
            fact("Size", size(found.store.bytes)),
            fact("Free inside", size(found.store.unused) if found.store.unused else ""),
            fact("Last backup", backup.made, "time"),
            fact("Its file", backup.file, "code"),
            fact("Key copied elsewhere", backup.key_copied, "time"),
            fact("Restored on trial", backup.tried, "time"),
            fact("That file", backup.tried_file, "code"),
        ],
    )


def _rows(each: Any) -> str:
    about = "about " if each.is_estimate else ""
    return f"{about}{each.rows:,}{'+' if each.is_more else ''} row{'' if each.rows == 1 else 's'}"


def _bytes(each: Any) -> str:
    if each.bytes is None:
        return "unknown"
    return f"{'about ' if each.is_estimate else ''}{size(each.bytes)}"


def _amount(of: str, value: int) -> dict[str, Any]:
    if of not in IN_BYTES:
        return number(value)
    return {**number(0), "value": f"{value / 1e6:,.1f} MB"}


def _held(share: Any) -> str:
    """Tenants that got no more. The operator's own work is named only while it waits: a page alone asks for more."""
    shown = [each for each in share.held_back if each.held or each.tenant][:5]
    return ", ".join(
        (each.tenant or "the operator") + ("" if each.held else f" ({many(each.refused, 'time')})") for each in shown
    )


def _modes(counts: Any) -> str:
    return f"{counts.enabled:,} enabled, {counts.paused:,} paused, {counts.disabled:,} disabled"


# --- acts ------------------------------------------------------------------------------------------------------------

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
"""The pages of what acts change."""
_PREFIXES = {"ep": "endpoints", "dlv": "deliveries", "evt": "events", "hook": "hooks", "form": "forms"} | {
    "key": "keys",
    "rcp": "receipts",
    "rpl": "jobs",
}
_IN_PATH = re.compile(r"\b(ep|dlv|evt|hook|form|key|rcp|rpl)_[0-9a-z]+")
JOBS = {"retry": "retry_deliveries", "cancel": "cancel_deliveries"}
REPLAY = "create_replay"
"""The operations that start jobs, by the kind of the job; all other kinds are replays."""
JOBS_LOOKED_AT = 200
JUST_BEFORE = 5 * moment.SECOND
WHOLE_CHARS = 20
"""A key's name of at most this many characters is not broken."""
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
    """What somebody did last to a thing, and who: `edit endpoint, by Nina`; empty if the key may not read that."""
    found = await visit.maybe("list_acts", about=about, limit=1)
    if not found or not found["data"]:
        return ""
    act = found["data"][0]
    name = (await _key_names(visit, [act.key_id])).get(act.key_id, act.key_id)
    return f"{act.operation.replace('_', ' ')}, by {name}"


async def _key_names(visit: PageVisit, idents: Iterable[str]) -> dict[str, str]:
    """The names of keys, by id; a key that is gone or has no name is left out."""
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
    """What an act is about, and its page: of what it changed, or else of what its path names."""
    if each.changes and (folder := FOLDERS.get(each.changes[0].kind)):
        return each.changes[0].name, to(folder, each.changes[0].name)
    if ident := _IN_PATH.search(each.path):
        return ident[0], to(_PREFIXES[ident[1]], ident[0])
    if each.operation in JOBS.values() or each.operation == REPLAY:
        return "its job is at Jobs", "/jobs"
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
    about, where = (_job_name(job), to("jobs", job.id)) if job is not None else _target(each)
    who = keys.get(each.key_id, each.key_id)
    changes = _progress(job) if job is not None else _changes(each, about)
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
    """What was before and after, in short. `about`: what need not be named again."""
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


PAGES = (
    page("/acts", acts, "acts"),
    page("/jobs", jobs, "jobs"),
    page("/jobs/{id}", job, "jobs", live=True),
    action("/jobs/{id}/cancel", stop_job, "jobs"),
    page("/server", server, "server", live=True),
    page("/server/store", store, "server"),
)
