"""`tidings replay`: send a time range of events again, to an endpoint or through a link, and watch it to the end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidings.cli.bulk import watch
from tidings.cli.session import Session, calling
from tidings.cli.terminal.sentences import counted
from tidings.cli.terminal.times import Until, when
from tidings.client.calls import given
from tidings.model.moment import SystemClock


@calling
def replay(
    out: Session,
    endpoint: Annotated[str | None, typer.Argument(help="The endpoint's id, ep_...")] = None,
    *,
    since: Annotated[
        str, typer.Option(help="The start: a time such as 2026-11-21T01:02:03Z, or an age such as 2h.", metavar="TIME")
    ],
    link: Annotated[
        str | None,
        typer.Option(help="Send the events through the operator's link with this name, instead of to an endpoint."),
    ] = None,
    until: Until = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Send only failed deliveries again; by default, all events are sent.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show how many deliveries would be sent.")] = False,
) -> None:
    """Resend a time range of events to an endpoint or link.

    The server runs the replay as a durable job; Ctrl-C stops only this command, not the job. Receivers see the same
    webhook-id again. A link makes its edits and calls again, with the values of those events.
    """
    if (endpoint is None) == (link is None):
        raise ValueError("Pass the id of an endpoint, or --link NAME.")
    now = SystemClock().now()
    body: dict[str, Any] = {
        "since": when(since, now),
        "which": "failed" if failed else "all",
    }
    body |= given(endpoint_id=endpoint, link=link, until=when(until, now))
    if dry_run:
        count = out.client.create_replay({**body, "dry_run": True})
        one, many = ("delivery was", "deliveries were") if failed else ("event was", "events were")
        would_send = counted(count["would_send"], "delivery", "deliveries")
        sentence = f"{would_send} would be sent; {counted(count['total'], one, many)} checked."
        out.answer(count, lambda: out.say(sentence))
        return
    started = out.client.create_replay(body)
    ended = watch(out, "replaying", started)
    out.answer(ended, lambda: out.say(f"{ended['id']} is {ended['state']}: {_sent(ended['sent'])}."))


def _sent(count: int) -> str:
    return f"{counted(count, 'delivery was', 'deliveries were')} sent"
