"""`tidings check`: whether the settings are right, and what `tidings serve` would use, without starting anything."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from tidings.cli.session import AsJson, fail, print_json, width
from tidings.cli.terminal import layout
from tidings.config import Config, find_config
from tidings.rules.reading.refused import Refused
from tidings.settings import SETTINGS, Settings, SettingsError, check_ca_file, read_settings
from tidings.store.base import StoreError

MASK = "***"
KINDS = ("collections", "connections", "links", "hooks", "forms")
"""What a file can declare."""


def check(
    file: Annotated[
        str | None, typer.Argument(help="The file; defaults to TIDINGS_CONFIG, then ./tidings.yaml.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the settings and the file, and show what `tidings serve` would use. Nothing is started."""
    try:
        config, settings = read(file)
    except (SettingsError, StoreError, Refused) as wrong:
        if as_json:
            print_json({"ok": False, "detail": str(wrong)})
        fail(str(wrong))
    if as_json:
        used = {name: row["value"] for name, row in _used(config, settings).items()}
        file = None if config.path is None else str(config.path)
        print_json(
            {
                "ok": True,
                "file": file,
                "settings": used,
                **{kind: sorted(getattr(config, kind) or {}) for kind in KINDS},
            }
        )
    else:
        _show(config, settings)


def read(file: str | None, flags: dict[str, Any] | None = None) -> tuple[Config, Settings]:
    """The file and the settings that a start would use. Raises SettingsError, StoreError or Refused."""
    config = find_config(file or os.environ.get("TIDINGS_CONFIG"))
    settings = read_settings(flags, file=config.settings)
    if settings.secret_key:
        from tidings.store.seal import load_key

        load_key(settings.secret_key, settings.folder)
    check_ca_file(settings)
    return config, settings


def _used(config: Config, settings: Settings) -> dict[str, dict[str, Any]]:
    """Each setting's value and origin."""
    rows = {}
    for setting in SETTINGS:
        value = getattr(settings, setting.name)
        source = "default"
        if setting.env in os.environ:
            source = setting.env
        elif setting.name in config.settings:
            source = "file"
        rows[setting.name] = {"value": MASK if setting.secret and value else value, "source": source}
    return rows


def _show(config: Config, settings: Settings) -> None:
    typer.echo(f"{config.path} is valid." if config.path else "There is no file; the variables and defaults are valid.")
    sections = {kind: sorted(getattr(config, kind) or {}) for kind in KINDS}
    declared = "; ".join(f"{kind} {', '.join(names)}" for kind, names in sections.items() if names)
    if declared:
        typer.echo(f"It declares {declared}.")
        typer.echo(
            "Only the server knows whether names that are not in the file exist. To check them, and see what "
            "would change:"
        )
        typer.echo(f"tidings apply {config.path} --plan")
    rows = [{"setting": name, **row} for name, row in _used(config, settings).items()]
    for line in layout.table(rows, {"setting": "setting", "value": "value", "from": "source"}, width()):
        typer.echo(line)
