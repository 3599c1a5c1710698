"""`tidings replays`: time ranges that are sent again."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import DEFAULT_URL, LIST_LIMIT, PAGE_MAX, AsJson, Key, Limit, Url, session

cli = typer.Typer(help="Replays: time ranges that are sent again.", no_args_is_help=True)


@cli.command("list")
def list_replays(limit: Limit = LIST_LIMIT, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """List replays, newest first."""
    columns = {
        "id": "id",
        "state": "state",
        "endpoint": "endpoint_id",
        "since": "since",
        "until": "until",
        "checked": "looked_at",
        "total": "total",
        "sent": "sent",
    }
    with session(url, key, as_json) as out:
        out.list(
            out.client.replays(limit=min(limit, PAGE_MAX)),
            limit,
            columns,
            "There are no replays. Start one with: tidings replay",
        )


@cli.command("show")
def show(
    id: Annotated[str, typer.Argument(help="The replay's id, rpl_...")],
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show one replay and its progress."""
    with session(url, key, as_json) as out:
        found = out.client.replay(id)
        out.answer(found, lambda: out.details(found, id))


@cli.command("cancel")
def cancel(
    id: Annotated[str, typer.Argument(help="The replay's id, rpl_...")],
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Stop a replay; deliveries already sent are not undone."""
    with session(url, key, as_json) as out:
        stopped = out.client.cancel_replay(id)
        out.answer(stopped, lambda: out.say(f"{id} is {stopped['state']}."))
