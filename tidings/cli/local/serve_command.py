"""How typer sees `tidings serve`: its flags are made from the table of settings."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from tidings.cli.local.serve import serve
from tidings.settings import SETTINGS, Setting

NEW_STORE_HELP = (
    "Begin with an empty database though this data folder was used before. For one start, not for a unit file."
)
CONFIG_HELP = "The file with settings; without it, tidings.yaml of the working folder if it is there."


def add_to(cli: typer.Typer, panel: str) -> None:
    """Add the command, with one option for each setting."""

    def command(**flags: Any) -> None:
        given = {name: value for name, value in flags.items() if value is not None}
        raise typer.Exit(serve(given))

    config = _keyword("config", str, typer.Option(None, "--config", metavar="FILE", help=CONFIG_HELP))
    as_json = _keyword("json", bool, typer.Option(None, "--json", help="Say as one line of JSON where it listens."))
    new_store = _keyword("new_store", bool, typer.Option(None, "--new-store", help=NEW_STORE_HELP))
    parameters = [_parameter(setting) for setting in SETTINGS] + [config, as_json, new_store]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    cli.command("serve", help=HELP, rich_help_panel=panel)(command)


HELP = """Run the server until SIGTERM or SIGINT (Ctrl-C).

Every setting is also read from its variable (--port is TIDINGS_PORT) and from the file's section `settings`; flags are
strongest, then variables, then the file. TIDINGS_CONFIG names the file where --config does not.

It ends with 0 after a clean stop, with 2 where it could not start.
"""


def _parameter(setting: Setting) -> inspect.Parameter:
    shown: dict[str, Any] = {"help": setting.help, "show_default": _shown(setting)}
    if setting.type is bool:
        return _keyword(setting.name, bool, typer.Option(None, f"{setting.flag}/--no-{setting.flag[2:]}", **shown))
    shown["metavar"] = "NUMBER" if setting.type is int else "TEXT"
    return _keyword(setting.name, str, typer.Option(None, setting.flag, **shown))


def _shown(setting: Setting) -> str | bool:
    """The default in words; nothing where it is empty, since the help says what that means."""
    if setting.type is bool:
        return "on" if setting.default else "off"
    return str(setting.default) if setting.default != "" else False


def _keyword(name: str, kind: type, option: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)
