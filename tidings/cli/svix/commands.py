"""`tidings svix import`: applications, event types and endpoints with their secrets, copied from a Svix server."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidings.cli.session import FAILED, Session, calling
from tidings.cli.svix.copying import Copier, SvixServer
from tidings.client import Client

TIMEOUT_SECONDS = 60.0
REGION_URL = "https://api.{region}.svix.com"
cli = typer.Typer(help="Svix: copy the configuration of a Svix server.", no_args_is_help=True)


@cli.callback()
def group() -> None:
    """Svix: copy the configuration of a Svix server."""


@cli.command("import")
@calling
def copy(
    out: Session,
    source: Annotated[
        str, typer.Option("--from", envvar="SVIX_SERVER_URL", help="The URL of the Svix server.", metavar="URL")
    ] = "",
    token: Annotated[
        str, typer.Option(envvar="SVIX_TOKEN", help="An API token for the Svix server.", metavar="TOKEN")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be created and changed.")] = False,
) -> None:
    """Copy event types, applications and endpoints from a Svix server, with their channels, headers, rates and secrets.

    Receivers do not notice the move, since signatures stay the same. You can run the command repeatedly: it changes
    only what differs. It deletes nothing, and writes nothing to Svix. Messages and attempts are not copied.
    """
    if not token:
        raise ValueError("a token for the Svix server is required: pass one with --token or SVIX_TOKEN")
    with Client(source or _usual(token), token, timeout_seconds=TIMEOUT_SECONDS, retries=2) as client:
        copier = Copier(SvixServer(client), SvixServer(out.client, "/svix"), dry_run=dry_run)
        copier.run()
    result = {"counts": copier.counts, "not_copied": copier.lost, "dry_run": dry_run}
    out.answer(result, lambda: _say(out, copier, dry_run=dry_run))
    if copier.failed:
        raise typer.Exit(FAILED)


def _usual(token: str) -> str:
    """Svix's own server for a token, which may end with its region."""
    region = token.rpartition(".")[2]
    return REGION_URL.format(region=region) if len(region) == 2 else "https://api.svix.com"


def _say(out: Session, copier: Copier, *, dry_run: bool) -> None:
    rows: list[dict[str, Any]] = [{"kind": kind, **counts} for kind, counts in copier.counts.items()]
    heads = {"": "kind", "created": "created", "changed": "changed", "unchanged": "unchanged", "failed": "failed"}
    out.table(rows, heads, "")
    if dry_run:
        out.say("Nothing was written (--dry-run).")
    if copier.lost:
        out.say(f"Not copied ({len(copier.lost)}):")
    for each in copier.lost:
        out.say(f"  {each}")
