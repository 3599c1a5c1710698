"""`tidings refusals`: what hooks and forms refused and why; a refused request can be accepted later."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.names import source
from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling
from tidings.cli.webhooks.hooks import show_receipt
from tidings.cli.webhooks.options import CameTo

cli = typer.Typer(help="Refusals: the requests that hooks and forms refused, and why.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The refusal's id, rcp_...")]


@cli.command("list")
@calling
def list_refusals(
    out: Session,
    *,
    came_to: CameTo,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List the requests that hooks and forms refused, newest first."""
    columns = {"id": "id", "received": "received", "from": "client", "target": "target"}
    columns |= {"reason": "reason", "detail": "detail"}
    found = out.client.refusals(limit=min(limit, PAGE_MAX), **source(out.client, *came_to))
    out.list(found, limit, columns, "Nothing was refused.")


@cli.command("show")
@calling
def show(out: Session, id: Id) -> None:
    """Show one refused request: what was signed, what was expected, and what would have to change."""
    receipt = out.client.receipt(id)
    out.answer(receipt, lambda: show_receipt(out, receipt))


@cli.command("retry")
@calling
def retry(out: Session, id: Id) -> None:
    """Check a refused request again, as of the time it arrived. If it passes now, it becomes an event."""
    receipt = out.client.retry_refusal(id)
    out.answer(receipt, lambda: out.say(f"The request was accepted as the event {receipt['event_id']}."))
