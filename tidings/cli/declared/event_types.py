"""`tidings event-types`: the catalogue of declared event types."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling

cli = typer.Typer(help="Event types: the catalogue of declared types.", no_args_is_help=True)


@cli.command("list")
@calling
def list_event_types(out: Session, limit: Limit = LIST_LIMIT) -> None:
    """List declared event types."""
    columns = {"name": "name", "collection": "collection", "description": "description"}
    out.list(out.client.event_types(limit=min(limit, PAGE_MAX)), limit, columns, "There are no event types.")


@cli.command("show")
@calling
def show(
    out: Session, name: Annotated[str, typer.Argument(help="The name of the event type, such as tasks.completed.")]
) -> None:
    """Show one event type."""
    found = out.client.event_type(name)
    out.answer(found, lambda: out.details(found, name))
