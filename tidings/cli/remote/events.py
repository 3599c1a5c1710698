"""`tidings events`: what happened, and where each event was sent."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling, width
from tidings.cli.terminal.times import Since, Until, between
from tidings.client.client import Json
from tidings.model.moment import SystemClock

cli = typer.Typer(help="Events: what happened, and where each event was sent.", no_args_is_help=True)


@cli.command("list")
@calling
def list_events(
    out: Session,
    type: Annotated[
        str | None, typer.Option(help="Show only events of this type or pattern, such as 'tasks.*'.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Show only events about this subject.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Show only this tenant's events.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List events, newest first."""
    columns = {"id": "id", "type": "type", "subject": "subject", "time": "time", "tenant": "tenant"}
    now = SystemClock().now()
    times = dict(zip(("time__gte", "time__lt"), between(since, until, now), strict=True))
    found = out.client.events(type=type, subject=subject, tenant=tenant, limit=min(limit, PAGE_MAX), **times)
    out.list(found, limit, columns, "There are no such events.")


@cli.command("show")
@calling
def show(out: Session, id: Annotated[str, typer.Argument(help="The event's id.")]) -> None:
    """Show one event, its deliveries, and why other endpoints and links did not get it."""
    event = out.client.event(id)
    out.answer(event, lambda: _show(out, event))


@cli.command("trail")
@calling
def trail(out: Session, id: Annotated[str, typer.Argument(help="The id of any event in the trail.")]) -> None:
    """Show the trail of an event: what led to it, and what followed from it, through all links and deliveries."""
    found = out.client.trail(id)
    out.answer(found, lambda: _show_trail(out, found))


def _show_trail(out: Session, trail: Json) -> None:
    for event in trail["events"]:
        indent = "  " * (2 * event["hops"])
        by = f", by {event['by']}" if event["by"] else ""
        subject = f" {event['subject']}" if event["subject"] else ""
        what, when = f"{indent}{event['type']}{subject}", f"{event['time']}  {event['id']}{by}"
        fits = (columns := width()) is None or len(what) + len(when) + 2 <= columns
        out.say(f"{what}  {when}" if fits else f"{what}\n{indent}  {when}")
        for each in event["deliveries"]:
            said = each["reason"] or "not tried yet"
            out.say(f"{indent}  -> {each['link'] or each['endpoint']}: {each['state']}. {said}")
    if trail["is_cut"]:
        out.say("The trail has more events than are shown here.")


def _show(out: Session, event: Json) -> None:
    deliveries, not_matched = event.pop("deliveries"), event.pop("not_matched")
    out.details(event, event["id"])
    out.say("")
    columns = {"delivery": "id", "to": "to", "state": "state", "attempts": "attempts"}
    deliveries, not_matched = (
        [{**each, "to": each["link"] or each["endpoint"]} for each in some] for some in (deliveries, not_matched)
    )
    out.table(deliveries, columns, "This event has no deliveries.")
    if not_matched:
        out.say("")
        out.table(not_matched, {"not sent to": "to", "why": "reason"}, "")
