"""Replays, bulk jobs, and other work in progress on the server."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tidings.web.console.lists import (
    LIMIT,
    button,
    chosen,
    detail,
    fact,
    filled,
    listing,
    many,
    pages,
    row,
    state,
    table,
    text,
    when,
)
from tidings.web.console.visit import Done, PageVisit, View, action, page, to

DID = {"retry": "retried", "cancel": "cancelled"}
"""What bulk jobs do to deliveries, in words; replays send events again."""
JOB_STATES = ("running", "done", "cancelled", "failed")


async def jobs(visit: PageVisit) -> View:
    """List replays and bulk jobs, and other work in progress on the server."""
    given = visit.filters("state", "tenant")
    found, health = await asyncio.gather(
        visit.get("list_replays", **given, cursor=visit.query.get("cursor"), limit=LIMIT), visit.maybe("get_health")
    )
    rows = [
        row(
            to("jobs", each.id),
            text(job_name(each), each.link or each.endpoint_id),
            state(each.state),
            text(progress(each)),
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


def job_name(each: Any) -> str:
    """What a job does, as a name."""
    sentence: str = each.sentence
    return sentence.removesuffix(".")


def progress(each: Any) -> str:
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
    asked = "Stop this job? This does not undo what the job has already done."
    is_running = found.state == "running"
    target = found.link or found.endpoint_id
    where = to("links", found.link) if found.link else to("endpoints", found.endpoint_id) if found.endpoint_id else ""
    return detail(
        job_name(found),
        f"It is {found.state}: {progress(found)}.",
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


PAGES = (
    page("/jobs", jobs, "jobs"),
    page("/jobs/{id}", job, "jobs", live=True),
    action("/jobs/{id}/cancel", stop_job, "jobs"),
)
