"""`tidings collections`: what is declared for items."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import DEFAULT_URL, LIST_LIMIT, PAGE_MAX, AsJson, Key, Limit, Url, session

cli = typer.Typer(help="Collections: the declared kinds of items.", no_args_is_help=True)


@cli.command("list")
def list_collections(limit: Limit = LIST_LIMIT, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """List collections."""
    columns = {"name": "name", "description": "description", "indexes": "indexes", "revision": "revision"}
    with session(url, key, as_json) as out:
        out.list(
            out.client.collections(limit=min(limit, PAGE_MAX)),
            limit,
            columns,
            "There are no collections. Declare some with: tidings apply",
        )


@cli.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The collection's name.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show one declaration."""
    with session(url, key, as_json) as out:
        found = out.client.collection(name)
        out.answer(found, lambda: out.details(found, name))
