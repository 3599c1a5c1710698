"""`tidings verify`: whether a request is from the sender that it names and, if not, why, as the server puts it."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import msgspec
import typer

from tidings.cli.session import FAILED, AsJson, print_json
from tidings.cli.terminal.layout import printable
from tidings.cli.terminal.times import when
from tidings.cli.webhooks import options
from tidings.cli.webhooks.options import PublicUrl, SchemeSettings, SecretFile, Secrets
from tidings.model import moment
from tidings.model.moment import SECOND, SystemClock
from tidings.rules import schemes
from tidings.rules.schemes import HandshakeAnswer, HookRequest, Verdict, Verifier


def verify(
    request: Annotated[
        str, typer.Argument(help="A file with the raw HTTP request, or - for stdin.", metavar="[FILE]")
    ] = "-",
    scheme: Annotated[
        str, typer.Option(help="The sender (see `tidings schemes`), or @FILE with your own scheme.", metavar="SCHEME")
    ] = "tidings",
    secret: Secrets = None,
    secret_file: SecretFile = None,
    setting: SchemeSettings = None,
    public_url: PublicUrl = "",
    header: Annotated[
        list[str] | None,
        typer.Option(help="A header, if FILE contains only the body; repeat for more.", metavar="'NAME: VALUE'"),
    ] = None,
    method: Annotated[str, typer.Option(help="The request's method; only used with --header.")] = "POST",
    at: Annotated[
        str | None,
        typer.Option(help="When the request arrived: a time (2026-11-21T01:02:03Z) or an age (2h).", metavar="TIME"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a received webhook, or explain why it is not genuine.

    FILE is the request as received: first line, headers, an empty line and the body, byte for byte. With --header, FILE
    is only the body. Keys and certificates that a sender publishes are not fetched: pass them with --secret-file.
    """
    with options.refusals():
        now = SystemClock().now()
        received = moment.from_text(when(at, now) or moment.to_text(now)) / SECOND
        known = options.scheme_of(scheme)
        secrets = options.secrets_of(secret, secret_file)
        verifier = Verifier(known, secrets, settings=options.settings_of(setting))
        raw = options.content(request)
        read = _body(raw, header, method, public_url) if header else schemes.read_request(raw, public_url)
        handshake = schemes.before(verifier, read)
        verdict = schemes.explain(verifier, read, received)
        handshake = handshake or (schemes.after(verifier, read) if verdict.ok else None)
    accepted = verdict.ok or (handshake is not None and handshake.refused is None)
    if as_json:
        print_json(_shown(known.name, verdict, handshake, accepted))
    else:
        _tell(known.title or "this sender", len(secrets), verdict, handshake)
    if not accepted and not secrets and (example := schemes.example_secret(known)):
        advice = (
            f"No secret was given. To verify what `tidings trigger` signs by default, use: --secret {quote(example)}"
        )
        typer.echo(advice, err=True)
    if not accepted:
        raise typer.Exit(FAILED)


def _body(raw: bytes, headers: list[str], method: str, url: str) -> HookRequest:
    pairs = []
    for text in headers:
        name, colon, value = text.partition(":")
        if not colon:
            raise ValueError(f"--header must have the form 'NAME: VALUE', not {text!r}")
        pairs.append((name.strip(), value.strip()))
    return HookRequest(method.upper(), url, pairs, raw)


def _shown(name: str, verdict: Verdict, handshake: HandshakeAnswer | None, accepted: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"ok": accepted, "scheme": name, **msgspec.to_builtins(verdict)}
    if handshake is not None:
        found["handshake"] = {
            "name": handshake.handshake,
            "status": handshake.status,
            "body": handshake.body.decode("utf-8", "replace"),
            "refused": handshake.refused,
        }
    return found


def _tell(title: str, secrets: int, verdict: Verdict, handshake: HandshakeAnswer | None) -> None:
    if handshake is not None:
        said = (
            handshake.refused
            or f"The server would answer {handshake.status} with {handshake.body.decode('utf-8', 'replace')!r}."
        )
        typer.echo(f"This is the {handshake.handshake} handshake of {title}. {printable(said)}")
    if handshake is not None and handshake.refused is None:
        return
    if verdict.ok:
        which = f", and signed with secret {verdict.secret} of {secrets}" if secrets > 1 else ""
        typer.echo(f"Genuine: it is from {title}{which}.")
        return
    typer.echo(f"Not genuine ({verdict.reason}): {printable(verdict.detail)}")
    if verdict.signed is not None:
        typer.echo("What should have been signed:")
        for line in verdict.signed.split("\n"):
            typer.echo(f"  {printable(line)}")
