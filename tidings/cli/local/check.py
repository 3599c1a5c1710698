"""`tidings check`: whether the settings are right, and what `tidings serve` would use, without starting anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidings.cli.session import FAILED, AsJson, fail, print_json, width
from tidings.cli.terminal import layout
from tidings.config import Config, find_config
from tidings.model.errors import Place
from tidings.model.moment import SystemClock
from tidings.rules.network import address
from tidings.rules.reading.refused import Refused, escaped
from tidings.settings import SETTINGS, Settings, SettingsError, check_ca_file, read_settings, without_passwords
from tidings.store.base import StoreError

if TYPE_CHECKING:
    from tidings.rules.declare.declaration import Declared
    from tidings.rules.declare.links import DeclaredLink

MASK = "***"
KINDS = ("collections", "connections", "links", "hooks", "forms")
"""What a file can declare."""


def check(
    file: Annotated[
        str | None,
        typer.Argument(help="The settings file; default: $TIDINGS_CONFIG, or else ./tidings.yaml."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the settings and everything that `tidings.yaml` declares, and show what `tidings serve` would use.

    The tests of links in the file are run too. Nothing is started or sent. The exit status is 1 if something is wrong,
    or if a test fails.
    """
    try:
        config, settings = read(file)
    except (SettingsError, StoreError, Refused) as wrong:
        if as_json:
            print_json({"ok": False, "detail": str(wrong)})
        fail(str(wrong))
    warnings, failures = _of_links(config)
    if as_json:
        used = {name: row["value"] for name, row in _used(config, settings).items()}
        file = None if config.path is None else str(config.path)
        print_json(
            {
                "ok": not failures,
                "warnings": warnings,
                "failures": failures,
                "file": file,
                "settings": used,
                **{kind: sorted(getattr(config, kind) or {}) for kind in KINDS},
            }
        )
    else:
        _show(config, settings, is_valid=not failures)
        for line in (*warnings, *failures):
            typer.echo(line, err=True)
        if config.tests and not failures:
            typer.echo("All link tests in the file pass.")
    if failures:
        raise typer.Exit(FAILED)


def _of_links(config: Config) -> tuple[list[str], list[str]]:
    """Sentences about templates that name unknown fields, and about tests that fail."""
    if not config.links:
        return [], []
    from tidings.cli.local import link_tests
    from tidings.rules.declare import declaration, links
    from tidings.rules.declare.change_types import ChangeTypes
    from tidings.rules.declare.in_file.lint import unknown_fields

    declared = {} if config.collections is None else declaration.read(config.collections)
    types = ChangeTypes({each.collection.name: each.collection for each in declared})
    read = links.read(config.links)
    warnings = [f"{config.where(place)}: warning: {place.detail}" for place in unknown_fields(read, [types])]
    failures = [f"{config.where(place)}: {place.detail}" for place in _misused(config, declared, read)]
    for test in link_tests.run(config):
        at = Place(pointer=f"/links/{escaped(test.link)}/tests/{test.number - 1}", code="test", detail="")
        named = f" ({test.name})" if test.name else ""
        failures += [
            f"{config.where(at)}: test {test.number} of {test.link}{named}: {each}" for each in test.differences
        ]
    return warnings, failures


def _misused(config: Config, collections: Iterable[Declared], read: Iterable[DeclaredLink]) -> Iterator[Place]:
    """Wrong uses, by links, of collections and connections in the same file."""
    from tidings.control.connections.checks import refusals
    from tidings.rules.declare import connections

    reached = connections.read(config.connections or {}, {}, SystemClock().now())
    present = {each.collection.name: each.collection for each in collections}
    for each in read:
        for place in refusals(each, None, present, reached, f"/links/{escaped(each.name)}", address.EVERYWHERE):
            # Collections and connections that are not in the file may be on the server.
            if place.code not in ("collection_missing", "connection_missing", "refused_address"):
                yield place


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
        value = without_passwords(value) if isinstance(value, str) else value
        source = "default"
        if setting.env in os.environ:
            source = setting.env
        elif setting.name in config.settings:
            source = "file"
        rows[setting.name] = {"value": MASK if setting.secret and value else value, "source": source}
    return rows


def _show(config: Config, settings: Settings, *, is_valid: bool) -> None:
    valid = (
        f"{config.path} is valid."
        if config.path
        else "There is no settings file; the environment variables and defaults are valid."
    )
    if is_valid:
        typer.echo(valid)
    sections = {kind: sorted(getattr(config, kind) or {}) for kind in KINDS}
    declared = "; ".join(f"{kind} {', '.join(names)}" for kind, names in sections.items() if names)
    if declared:
        typer.echo(f"The file declares {declared}.")
        typer.echo(
            "Names that the file uses but does not declare may exist on the server. To check them, and to see what "
            "would change, run:"
        )
        typer.echo(f"tidings apply {config.path} --plan")
    rows = [{"setting": name, **row} for name, row in _used(config, settings).items()]
    for line in layout.table(rows, {"setting": "setting", "value": "value", "from": "source"}, width()):
        typer.echo(line)
