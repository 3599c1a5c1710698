"""`tidings replays`: time ranges of events that are sent again."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling

cli = typer.Typer(help="Replays: jobs that send events of a time range again.", no_args_is_help=True)


@cli.command("list")
@calling
def list_replays(out: Session, limit: Limit = LIST_LIMIT) -> None:
    """List replays, newest first."""
    columns = {
        "id": "id",
        "state": "state",
        "endpoint": "endpoint_id",
        "link": "link",
        "since": "since",
        "until": "until",
        "checked": "looked_at",
        "total": "total",
        "sent": "sent",
    }
    out.list(
        out.client.replays(limit=min(limit, PAGE_MAX)),
        limit,
        columns,
        "There are no replays. Start one with: tidings replay",
    )


@cli.command("show")
@calling
def show(out: Session, id: Annotated[str, typer.Argument(help="The replay's id, rpl_...")]) -> None:
    """Show one replay and its progress."""
    found = out.client.replay(id)
    out.answer(found, lambda: out.details(found, id))


@cli.command("cancel")
@calling
def cancel(out: Session, id: Annotated[str, typer.Argument(help="The replay's id, rpl_...")]) -> None:
    """Stop a replay; deliveries already sent are not undone."""
    stopped = out.client.cancel_replay(id)
    out.answer(stopped, lambda: out.say(f"{id} is {stopped['state']}."))
