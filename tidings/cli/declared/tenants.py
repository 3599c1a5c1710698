"""`tidings tenants`: the operator's customers."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling

cli = typer.Typer(help="Tenants: the operator's customers.", no_args_is_help=True)


@cli.command("list")
@calling
def list_tenants(out: Session, limit: Limit = LIST_LIMIT) -> None:
    """List tenants."""
    columns = {"id": "id", "name": "name", "created": "created"}
    out.list(out.client.tenants(limit=min(limit, PAGE_MAX)), limit, columns, "There are no tenants.")


@cli.command("show")
@calling
def show(out: Session, id: Annotated[str, typer.Argument(help="The tenant's id.")]) -> None:
    """Show one tenant."""
    found = out.client.tenant(id)
    out.answer(found, lambda: out.details(found, id))
