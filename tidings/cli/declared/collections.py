"""`tidings collections`: the declared collections."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling

cli = typer.Typer(help="Collections: the declared kinds of items.", no_args_is_help=True)


@cli.command("list")
@calling
def list_collections(out: Session, limit: Limit = LIST_LIMIT) -> None:
    """List collections."""
    columns = {"name": "name", "description": "description", "indexes": "indexes", "revision": "revision"}
    out.list(
        out.client.collections(limit=min(limit, PAGE_MAX)),
        limit,
        columns,
        "There are no collections. Declare some with: tidings apply",
    )


@cli.command("show")
@calling
def show(out: Session, name: Annotated[str, typer.Argument(help="The collection's name.")]) -> None:
    """Show the declaration of one collection."""
    found = out.client.collection(name)
    out.answer(found, lambda: out.details(found, name))
