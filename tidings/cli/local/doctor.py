"""`tidings doctor`: inspect the machine, the data folder, the database and the server, and say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidings.cli.local import check
from tidings.cli.session import DEFAULT_URL, FAILED, AsJson, Key, Url, print_json
from tidings.cli.terminal import layout
from tidings.rules.reading.refused import Refused
from tidings.settings import SettingsError
from tidings.store.base import StoreError

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    data: Annotated[str | None, typer.Option(help="The data folder that `serve` uses.", metavar="DIR")] = None,
    database: Annotated[str | None, typer.Option(help="The database that `serve` uses.", metavar="URL")] = None,
    config: Annotated[str | None, typer.Option(help="The file; defaults to ./tidings.yaml.", metavar="FILE")] = None,
    url: Url = DEFAULT_URL,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Check the machine, the data folder, the database and the running server. Nothing is changed.

    Each line is ok, warn or fail, with what to do. The exit status is 1 if any line says fail.
    """
    # Imported here: the drivers of both databases take a quarter of a second to load; other commands need not wait.
    from tidings.cli.local.doctor_local import Finding, look_at_database, look_at_folder, look_at_machine
    from tidings.cli.local.doctor_server import look_at_server

    findings = list(look_at_machine())
    flags = {name: value for name, value in (("data", data), ("database", database)) if value is not None}
    try:
        _, settings = check.read(config, flags)
    except (SettingsError, StoreError, Refused) as wrong:
        findings.append(Finding("fail", "settings", str(wrong)))
    else:
        findings.append(Finding("ok", "settings", "The settings are readable; `tidings check` shows them."))
        findings += look_at_folder(Path(settings.data))
        findings += look_at_database(settings.database, Path(settings.data))
    findings += look_at_server(url, key)
    if as_json:
        print_json([{"state": each.state, "what": each.what, "detail": each.detail} for each in findings])
    else:
        for each in findings:
            state = typer.style(f"{each.state:<4}", fg=COLOURS[each.state])
            typer.echo(f"{state}  {each.what:<10}  {layout.printable(each.detail)}")
    if any(each.state == "fail" for each in findings):
        raise typer.Exit(FAILED)
