"""`tidings portal`: links that let a tenant's people manage their own endpoints."""

from __future__ import annotations

import base64
import mimetypes
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tidings.cli.session import LIST_LIMIT, PAGE_MAX, Limit, Session, calling
from tidings.cli.terminal.values import read_json
from tidings.client.calls import given

cli = typer.Typer(help="Portal links: let customers manage their own endpoints.", no_args_is_help=True)

Tenant = Annotated[str, typer.Argument(help="The tenant's id.")]

_FOR = re.compile(r"([1-9][0-9]*)(m|h|d)")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


@cli.command("link")
@calling
def link(
    out: Session,
    tenant: Tenant,
    read_only: Annotated[bool, typer.Option("--read-only", help="Make the portal read-only.")] = False,
    expires_in: Annotated[
        str | None,
        typer.Option(help="How long the link stays valid, such as 30m; at most 7d. The default is 1h.", metavar="TIME"),
    ] = None,
    frame_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="An origin, such as https://app.example.com, whose pages may show the portal in a frame; repeat for "
            "more.",
            metavar="ORIGIN",
        ),
    ] = None,
    return_url: Annotated[
        str | None, typer.Option(help="The URL that the portal's pages link back to.", metavar="URL")
    ] = None,
    product: Annotated[str | None, typer.Option(help="The name to show in the portal, such as your product's.")] = None,
    accent: Annotated[str | None, typer.Option(help="The colour of the buttons, such as #0a7cff.")] = None,
    logo: Annotated[str | None, typer.Option(help="The logo: an image file of at most 64 KiB.", metavar="FILE")] = None,
    theme: Annotated[
        str | None, typer.Option(help="A JSON file with the whole theme, or - for stdin.", metavar="FILE")
    ] = None,
) -> None:
    """Create a link that opens the portal of one tenant. The link works only once, and is never shown again."""
    options = given(
        may="read" if read_only else None,
        expires_in=None if expires_in is None else _seconds(expires_in),
        frame_origins=frame_origin or None,
        return_url=return_url,
    )
    look: dict[str, Any] = {} if theme is None else read_json(_content(theme).decode(), "the theme")
    look |= given(product=product, accent=accent, logo=None if logo is None else _data_url(logo))
    made = out.client.portal.create_link(tenant, **options, **given(theme=look or None))
    if made["url"].startswith("/"):
        # If the server does not know its public URL, use the URL of this call.
        made["url"] = out.url + made["url"]
    out.answer(made, lambda: _show(out, made))


@cli.command("list")
@calling
def list_links(out: Session, tenant: Tenant, limit: Limit = LIST_LIMIT) -> None:
    """List a tenant's links, newest first."""
    names = ("id", "may", "state", "created", "expires", "opened", "session_expires")
    columns = {name.replace("_", " "): name for name in names}
    found = out.client.portal.links(tenant, limit=min(limit, PAGE_MAX))
    out.list(found, limit, columns, "There are no portal links.")


@cli.command("revoke")
@calling
def revoke(out: Session, id: Annotated[str, typer.Argument(help="The link's id, ptl_...")]) -> None:
    """Revoke a link, and end its session."""
    out.client.portal.revoke_link(id)
    out.answer({"id": id, "revoked": True}, lambda: out.say(f"{id} is revoked, and its session has ended."))


@cli.command("revoke-all")
@calling
def revoke_all(out: Session, tenant: Tenant) -> None:
    """Revoke all links of a tenant, and end their sessions."""
    done = out.client.portal.revoke_links(tenant)
    count = done["revoked"]
    out.answer(done, lambda: out.say(f"{count} {'link is' if count == 1 else 'links are'} revoked."))


def _show(out: Session, made: dict[str, Any]) -> None:
    out.say(f"{made['id']} opens the portal of {made['tenant']}. The link works only once, until {made['expires']}:")
    out.say(made["url"])
    for note in made["notes"]:
        out.say(note)


def _seconds(text: str) -> int:
    """`30m`, `1h` or `7d` in seconds. Raises ValueError."""
    match = _FOR.fullmatch(text)
    if match is None:
        raise ValueError(f"--expires-in must have the form 30m, 1h or 7d, not {text!r}")
    return int(match[1]) * _SECONDS[match[2]]


def _content(path: str) -> bytes:
    """A file's bytes, or those of stdin for `-`. Raises ValueError."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as wrong:
        raise ValueError(f"The file {path} cannot be read: {wrong.strerror}") from None


def _data_url(path: str) -> str:
    """An image as the API takes it. Raises ValueError."""
    media = mimetypes.guess_type(path)[0] or ""
    if not media.startswith("image/"):
        raise ValueError(f"--logo takes an image file, such as logo.svg, not {path}")
    return f"data:{media};base64,{base64.b64encode(_content(path)).decode()}"
