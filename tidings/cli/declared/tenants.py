"""`tidings tenants`: the operator's customers."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import DEFAULT_URL, LIST_LIMIT, PAGE_MAX, AsJson, Key, Limit, Url, session

cli = typer.Typer(help="Tenants: the operator's customers.", no_args_is_help=True)


@cli.command("list")
def list_tenants(limit: Limit = LIST_LIMIT, url: Url = DEFAULT_URL, key: Key = "", as_json: AsJson = False) -> None:
    """List tenants."""
    columns = {"id": "id", "name": "name", "created": "created"}
    with session(url, key, as_json) as out:
        out.list(out.client.tenants(limit=min(limit, PAGE_MAX)), limit, columns, "There are no tenants.")


@cli.command("show")
def show(
    id: Annotated[str, typer.Argument(help="The tenant's id.")],
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show one tenant."""
    with session(url, key, as_json) as out:
        found = out.client.tenant(id)
        out.answer(found, lambda: out.details(found, id))
