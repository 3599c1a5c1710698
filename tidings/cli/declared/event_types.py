"""`tidings event-types`: the catalogue of what is published."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import DEFAULT_URL, LIST_LIMIT, PAGE_MAX, AsJson, Key, Limit, Url, session

cli = typer.Typer(help="Event types: what is published.", no_args_is_help=True)


@cli.command("list")
def list_event_types(limit: Limit = LIST_LIMIT, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """List declared event types."""
    columns = {"name": "name", "collection": "collection", "description": "description"}
    with session(url, key, as_json) as out:
        out.list(out.client.event_types(limit=min(limit, PAGE_MAX)), limit, columns, "There are no event types.")


@cli.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The event type, such as tasks.completed.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show one event type."""
    with session(url, key, as_json) as out:
        found = out.client.event_type(name)
        out.answer(found, lambda: out.details(found, name))
