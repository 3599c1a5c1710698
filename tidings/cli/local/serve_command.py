"""How typer sees `tidings serve`: its flags come from the table of settings."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from tidings.cli.local.serve import serve
from tidings.settings import SETTINGS, Setting

NEW_STORE_HELP = (
    "Start with an empty database, even if this data folder was used before. Use this flag for a single "
    "start, not in a unit file."
)
CONFIG_HELP = "The settings file; by default tidings.yaml in the working folder, if it exists."


def add_to(cli: typer.Typer) -> None:
    """Add the command, with one option for each setting."""

    def command(**flags: Any) -> None:
        given = {name: value for name, value in flags.items() if value is not None}
        raise typer.Exit(serve(given))

    config = _keyword("config", str, typer.Option(None, "--config", metavar="FILE", help=CONFIG_HELP))
    as_json = _keyword(
        "json", bool, typer.Option(None, "--json", help="Print the server's address as one line of JSON.")
    )
    new_store = _keyword("new_store", bool, typer.Option(None, "--new-store", help=NEW_STORE_HELP))
    parameters = [_parameter(setting) for setting in SETTINGS] + [config, as_json, new_store]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    cli.command("serve", help=HELP)(command)


HELP = (
    "Run the server until SIGTERM or SIGINT (Ctrl-C).\n\nEvery setting can also be set by an environment variable "
    "(TIDINGS_PORT for --port) or in the\nsection `settings` of the settings file; flags override variables, and "
    "variables override the file. If --config is not given, TIDINGS_CONFIG is the path of the settings file.\n\nThe "
    "exit status is 0 after a clean stop, and 2 if the server could not start.\n"
)


def _parameter(setting: Setting) -> inspect.Parameter:
    shown: dict[str, Any] = {"help": setting.help, "show_default": _shown(setting)}
    if setting.type is bool:
        return _keyword(setting.name, bool, typer.Option(None, f"{setting.flag}/--no-{setting.flag[2:]}", **shown))
    shown["metavar"] = "NUMBER" if setting.type is int else "TEXT"
    return _keyword(setting.name, str, typer.Option(None, setting.flag, **shown))


def _shown(setting: Setting) -> str | bool:
    """The default in words; empty if the default is empty, since the help explains that."""
    if setting.type is bool:
        return "on" if setting.default else "off"
    return str(setting.default) if setting.default != "" else False


def _keyword(name: str, kind: type, option: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)
