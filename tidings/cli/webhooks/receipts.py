"""`tidings receipts`: requests to hooks and forms, as received."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tidings.cli.forwarding import Forwarder
from tidings.cli.names import source
from tidings.cli.session import FAILED, LIST_LIMIT, PAGE_MAX, Key, Limit, Session, Url, calling, session
from tidings.cli.webhooks.hooks import show_receipt
from tidings.cli.webhooks.options import CameTo

cli = typer.Typer(help="Receipts: requests to hooks and forms, as received.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The receipt's id, rcp_...")]


@cli.command("list")
@calling
def list_receipts(
    out: Session,
    *,
    came_to: CameTo,
    limit: Limit = LIST_LIMIT,
) -> None:
    """List requests to hooks and forms, newest first."""
    columns = {"id": "id", "state": "state", "received": "received", "from": "client", "target": "target"}
    columns |= {"bytes": "bytes", "event": "event_id", "reason": "reason"}
    found = out.client.receipts(limit=min(limit, PAGE_MAX), **source(out.client, *came_to))
    out.list(found, limit, columns, "No requests have arrived.")


@cli.command("show")
@calling
def show(out: Session, id: Id) -> None:
    """Show one request with its headers and body, and the reason if it was refused."""
    receipt = out.client.receipt(id)
    out.answer(receipt, lambda: show_receipt(out, receipt))


@cli.command("body")
def body(id: Id, url: Url = None, key: Key = "") -> None:
    """Write the body of a request to stdout, byte for byte."""
    with session(url, key, as_json=False) as out:
        for piece in out.client.receipt_body(id):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


@cli.command("replay")
@calling
def replay(
    out: Session,
    id: Id,
    to: Annotated[str, typer.Option(help="The URL to call, such as http://localhost:3000/hooks.", metavar="URL")],
    secret: Annotated[
        str | None,
        typer.Option(
            help="Sign the request again with this secret, as if the sender were sending it now.", metavar="SECRET"
        ),
    ] = None,
) -> None:
    """Send one request to another URL as received, with the same method, headers, query and body, byte for byte.

    The request is sent from this machine, not by the server. `tidings listen --hook` does this for each request as it
    arrives.
    """
    forwarder = Forwarder(out.client, to, secret)
    receipt = forwarder.read(id)
    status = forwarder.send(receipt)
    answer = {"id": id, "to": to, "status": status}
    out.answer(answer, lambda: out.say(f"{receipt['method']} {receipt['target']} to {to}: {status}"))
    if not 200 <= status < 300:
        raise typer.Exit(FAILED)
