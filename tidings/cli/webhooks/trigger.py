"""`tidings trigger`: a sample webhook of a sender, signed as the sender signs it; printed, or sent to a URL."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from tidings.cli.session import FAILED, AsJson, fail, print_json
from tidings.cli.webhooks import options
from tidings.cli.webhooks.options import PublicUrl, SchemeSettings, SecretFile, Secrets
from tidings.client import ConnectionFailed
from tidings.client.exchange import ClientReply, ClientRequest, ServerAddress
from tidings.client.wire import Wire
from tidings.model.moment import SECOND, SystemClock
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Scheme
from tidings.rules.schemes.signing.fresh import fresh, like

EXAMPLE_URL = "https://example.com/in"
ANSWER_CHARS_SHOWN = 2_000


def trigger(
    scheme: Annotated[
        str, typer.Argument(help="The sender (see `tidings schemes`), or @FILE with your own scheme.", metavar="SCHEME")
    ],
    to: Annotated[str, typer.Option(help="Send the webhook to this URL instead of printing it.", metavar="URL")] = "",
    type: Annotated[str, typer.Option(help="The type of the event, such as invoice.paid.")] = "",
    secret: Secrets = None,
    secret_file: SecretFile = None,
    setting: SchemeSettings = None,
    body: Annotated[str | None, typer.Option(help="A file with your own body, or - for stdin.", metavar="FILE")] = None,
    public_url: PublicUrl = "",
    curl: Annotated[bool, typer.Option("--curl", help="Print a curl command instead of the raw request.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a correctly signed webhook, with a new id and the current time, and send or print it.

    Without a secret, an example secret is used, which `tidings schemes SCHEME` shows. If the scheme uses key pairs,
    pass the private key (PEM).
    """
    with options.refusals():
        known = options.scheme_of(scheme)
        address = public_url or to or EXAMPLE_URL
        secrets = options.secrets_of(secret, secret_file) or _example(known)
        settings = {name: one.default or name for name, one in known.settings.items() if one.required}
        request = schemes.sample(known, address, type)
        if body is not None:
            request = request.but(body=options.content(body))
        request = fresh(known, request, os.urandom, own_body=body is not None)
        now = SystemClock().now() / SECOND
        request = schemes.sign(
            known,
            secrets,
            request,
            now,
            settings=settings | options.settings_of(setting),
            ident=like("msg_", os.urandom),
        )
    if not to:
        _print(request, curl, as_json)
        return
    reply = _sent(request, to)
    text = reply.body.decode("utf-8", "replace")[:ANSWER_CHARS_SHOWN]
    if as_json:
        print_json({"url": to, "status": reply.status, "body": text})
    else:
        typer.echo(f"{known.title or known.name} to {to}: {reply.status}{f' {text.strip()}' if text.strip() else ''}")
    if not 200 <= reply.status < 300:
        raise typer.Exit(FAILED)


def _example(scheme: Scheme) -> list[str]:
    found = schemes.example_secret(scheme)
    if not found:
        raise ValueError(
            f"{scheme.title or scheme.name} signs with a key pair: pass a private key with --secret-file, for "
            "example one made with `openssl genpkey`"
        )
    return [found]


def _sent(request: HookRequest, to: str) -> ClientReply:
    split = urlsplit(to)
    if split.scheme not in ("http", "https") or not split.hostname:
        fail(f"--to must be a URL such as http://localhost:3000/hooks, not {to!r}")
    # Some schemes put the signature into the query of the signed URL.
    query = request.url.partition("?")[2] or split.query
    path = (split.path or "/") + (f"?{query}" if query else "")
    headers = {name.title(): value for name, value in request.headers.items()}
    try:
        wire = Wire(ServerAddress(f"{split.scheme}://{split.netloc}", None), None)
    except ValueError as wrong:
        fail(str(wrong))
    try:
        return wire.send(ClientRequest(request.method, path, body=request.body, headers=headers))
    except ConnectionFailed as wrong:
        fail(str(wrong))
    finally:
        wire.close()


def _print(request: HookRequest, curl: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "method": request.method,
                "url": request.url,
                "headers": request.headers,
                "body": request.body.decode("utf-8", "replace"),
            }
        )
    elif curl:
        parts = ["curl", "-X", request.method, request.url]
        for name, value in request.headers.items():
            parts += ["-H", f"{name}: {value}"]
        if request.body:
            parts += ["--data-binary", request.body.decode("utf-8", "surrogateescape")]
        typer.echo(shlex.join(parts))
    else:
        sys.stdout.buffer.write(schemes.write_request(request))
        sys.stdout.buffer.flush()
