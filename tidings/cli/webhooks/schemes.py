"""`tidings schemes`: the senders whose webhooks can be verified, and the details of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer

from tidings.cli.session import AsJson, print_json, width
from tidings.cli.terminal import layout
from tidings.cli.webhooks import options
from tidings.views.schemes import SchemeDetail, scheme_detail, scheme_view


def schemes(
    name: Annotated[str | None, typer.Argument(help="The name or an alias of the scheme to show.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the senders whose webhooks can be verified, or show one of them in detail, with a signed sample."""
    from tidings.rules import schemes as known

    if name is None:
        rows = [msgspec.to_builtins(scheme_view(scheme)) for scheme in known.schemes()]
        if as_json:
            print_json(rows)
            return
        columns = {"scheme": "name", "sender": "title", "known from": "evidence"}
        for line in layout.table([_row(row) for row in rows], columns, width()):
            typer.echo(line)
        return
    with options.refusals():
        detail = scheme_detail(options.scheme_of(name))
    if as_json:
        print_json(msgspec.to_builtins(detail))
    else:
        _show(detail)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "evidence": "third-party code only" if row["unconfirmed"] else row["evidence"]}


def _show(detail: SchemeDetail) -> None:
    shown = {
        "checks": detail.checks,
        "secret": detail.secret,
        "settings": "; ".join(f"{name}: {text}" for name, text in detail.settings.items()),
        "handshakes": detail.handshakes,
        "signs the URL": "yes" if detail.signs_url else "",
        "other names": detail.aliases,
        "note": detail.help,
        "known from": _row({"unconfirmed": detail.unconfirmed, "evidence": detail.evidence})["evidence"],
        "source": detail.source,
        "example secret": detail.sample.secret or "",
    }
    typer.echo(f"{detail.name}: {detail.title}")
    for line in layout.details(shown):
        typer.echo(line)
    typer.echo("")
    sample = detail.sample
    typer.echo(f"{sample.method} {sample.url}")
    for name, value in sample.headers.items():
        typer.echo(f"{name}: {layout.printable(value)}")
    if sample.body:
        typer.echo("")
        typer.echo(layout.printable(sample.body))
