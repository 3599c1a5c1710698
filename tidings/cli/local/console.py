"""`tidings console`: a link that opens the console in a browser, signed in."""

from __future__ import annotations

import typer

from tidings.cli.session import Session, calling, fail
from tidings.client import NotFound
from tidings.client.exchange import ClientRequest


@calling
def console(out: Session) -> None:
    """Print a link that opens the console in a browser, signed in with the key. It works once, within five minutes.

    `tidings open` does the same.
    """
    try:
        made = out.client.exchange(ClientRequest("POST", "/console/link")).value()
    except NotFound:
        fail("this server is of an older version, which has no console")
    # Without a public URL the server does not know how it is reached; the caller does.
    url = made["url"] if "://" in made["url"] else f"{out.url}{made['url']}"
    out.answer({"url": url}, lambda: typer.echo(url))
