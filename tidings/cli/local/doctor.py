"""`tidings doctor`: inspect the machine, the data folder, the database and the server, and say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.local import check
from tidings.cli.profiles import completed
from tidings.cli.session import FAILED, AsJson, Key, Url, fail, print_json
from tidings.cli.terminal import layout
from tidings.client.exchange import DEFAULT_URL
from tidings.model.moment import SystemClock
from tidings.rules.reading.refused import Refused
from tidings.settings import Settings, SettingsError
from tidings.store.base import StoreError

if TYPE_CHECKING:
    from tidings.cli.local.doctor_local import Finding

POINTS = (
    *("service", "user", "limit", "ntp", "log", "volume", "owner", "backup", "trial", "replica", "secret", "nodes"),
    *("https", "host", "trusted", "proxy", "public_url", "address", "body", "stream", "keys", "watched"),
)
"""The checks of --production, in the order of docs/howto/production.md."""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    data: Annotated[str | None, typer.Option(help="The data folder that `serve` uses.", metavar="DIR")] = None,
    database: Annotated[str | None, typer.Option(help="The database that `serve` uses.", metavar="URL")] = None,
    config: Annotated[
        str | None,
        typer.Option(help="The settings file; default: $TIDINGS_CONFIG, or else ./tidings.yaml.", metavar="FILE"),
    ] = None,
    url: Url = None,
    key: Key = "",
    production: Annotated[
        bool,
        typer.Option(
            "--production",
            help="Also check what production needs: the unit or container, the proxy, backups, monitoring.",
        ),
    ] = False,
    left_out: Annotated[
        list[str] | None,
        typer.Option(
            "--except",
            help="The name of a check to skip, as shown in the second column of the output; repeat for more.",
            metavar="POINT",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the machine, the data folder, the database and the running server. Nothing is changed.

    Each line says ok, warn or fail, and what to do about a problem. The exit status is 1 if any line says fail.

    With --production, the command also checks every point of the list in docs/howto/production.md. Run it on the
    server's own machine. It then calls the server at its public URL (--url, or the setting `public_url`), to see what
    the proxy does to large bodies, streams and addresses.
    """
    # Imported here: the drivers of both databases take a quarter of a second to load; other commands need not wait.
    from tidings.cli.local.doctor_local import Finding, look_at_machine

    findings, settings = list(look_at_machine()), None
    flags = {name: value for name, value in (("data", data), ("database", database)) if value is not None}
    try:
        _, settings = check.read(config, flags)
    except (SettingsError, StoreError, Refused) as wrong:
        findings.append(Finding("fail", "settings", str(wrong)))
    else:
        findings.append(Finding("ok", "settings", "The settings are valid; `tidings check` shows them."))
        findings += _of_folder(settings, production=production)
        if production:
            findings += _of_machine(settings)
    findings += _of_server(settings if production else None, url, key)
    _show(_without(findings, left_out or ()), as_json=as_json)


def _show(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json([{"state": each.state, "what": each.what, "detail": each.detail} for each in findings])
    else:
        for each in findings:
            state = typer.style(f"{each.state:<4}", fg=COLOURS[each.state])
            typer.echo(f"{state}  {each.what:<10}  {layout.printable(each.detail)}")
    if any(each.state == "fail" for each in findings):
        raise typer.Exit(FAILED)


def _of_folder(settings: Settings, *, production: bool) -> Iterator[Finding]:
    """The data folder and the database, or why they cannot be inspected."""
    from tidings.cli.local.doctor_local import (
        Finding,
        look_at_database,
        look_at_folder,
        look_at_owner,
        unreadable,
    )
    from tidings.store.engines.opening import sqlite_file

    folder, file = settings.folder, sqlite_file(settings.database, settings.folder)
    if (closed := unreadable(folder, file)) is not None:
        yield Finding("fail", "data", closed)
    elif production and not folder.is_dir():
        yield Finding(
            "fail",
            "data",
            f"There is no folder {folder}, so the server's process, data, backups and key were not checked. Pass "
            "the server's data folder with --data, and its settings file with --config; for deploy/tidings.service, "
            "these are --data /var/lib/tidings --config /etc/tidings.yaml",
        )
    else:
        yield from look_at_folder(folder)
        yield from look_at_database(settings.database, folder)
        yield from look_at_owner(folder, file)
        return
    if file is None:
        yield from look_at_database(settings.database, folder)


def _of_machine(settings: Settings) -> Iterator[Finding]:
    """What production needs of this machine."""
    from tidings.cli.local.doctor_local import unreadable
    from tidings.cli.local.production.data import look_at_data
    from tidings.cli.local.production.nodes import look_at_nodes
    from tidings.cli.local.production.service import look_at_service
    from tidings.store.engines.opening import sqlite_file

    file = sqlite_file(settings.database, settings.folder)
    if unreadable(settings.folder, file) is None and settings.folder.is_dir():
        yield from look_at_service(settings)
        yield from look_at_data(settings, SystemClock().now())
        yield from look_at_nodes(settings)


def _of_server(production: Settings | None, url: str | None, key: str) -> Iterator[Finding]:
    """What calls of the server show. If the server does not answer, this is reported only once.

    `production`: its settings, if what production needs is checked.
    """
    from tidings.cli.local.doctor_local import Finding
    from tidings.cli.local.doctor_server import look_at_server

    address = _address(production, url)
    try:
        _, key = completed(address, key)
    except ValueError as wrong:
        yield Finding("fail", "key", str(wrong))
    if production is None:
        yield from look_at_server(address, key)
        return
    from tidings.cli.local.production.proxy import look_at_proxy
    from tidings.cli.local.production.usage import look_at_usage

    if (yield from look_at_proxy(address, key, production)) and (yield from look_at_server(address, key)):
        yield from look_at_usage(address, key)


def _address(settings: Settings | None, url: str | None) -> str:
    """The URL to call: the one given, else public_url if production is checked, else the default."""
    if url is not None:
        return url
    return (settings.public_url if settings else "") or DEFAULT_URL


def _without(findings: list[Finding], left_out: Sequence[str]) -> list[Finding]:
    unknown = set(left_out) - {each.what for each in findings} - set(POINTS)
    if unknown:
        fail(f"--except {sorted(unknown)[0]}: there is no such point. The points are: {', '.join(POINTS)}")
    return [each for each in findings if each.what not in left_out]
