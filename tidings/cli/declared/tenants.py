"""`tidings tenants`: the operator's customers."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling
from tidings.client.calls import given

NONE = "No tenants have been added. Adding a tenant is optional: events, endpoints and keys can use any tenant id."

cli = typer.Typer(help="Tenants: the operator's customers.", no_args_is_help=True)


@cli.command("create")
@calling
def create(
    out: Session,
    id: Annotated[str, typer.Argument(help="The tenant's id, as used in events, endpoints and keys.")],
    name: Annotated[str | None, typer.Option(help="The tenant's display name.")] = None,
) -> None:
    """Add a tenant, with a display name. Adding one is optional: events, endpoints and keys can use any tenant id."""
    made = out.client.create_tenant(id, **given(name=name))
    out.answer(made, lambda: out.say(f"{made['id']} is added."))


@cli.command("list")
@calling
def list_tenants(out: Session, limit: Limit = LIST_LIMIT) -> None:
    """List tenants."""
    columns = {"id": "id", "name": "name", "created": "created"}
    out.list(out.client.tenants(limit=min(limit, PAGE_MAX)), limit, columns, NONE)


@cli.command("delete")
@calling
def delete(out: Session, id: Annotated[str, typer.Argument(help="The tenant's id.")]) -> None:
    """Delete a tenant that has neither endpoints nor keys. Its events are kept."""
    out.client.delete_tenant(id)
    out.answer({"id": id, "deleted": True}, lambda: out.say(f"{id} is deleted."))


@cli.command("show")
@calling
def show(out: Session, id: Annotated[str, typer.Argument(help="The tenant's id.")]) -> None:
    """Show one tenant."""
    found = out.client.tenant(id)
    out.answer(found, lambda: out.details(found, id))
