"""The commands as typer sees them, each from its own file."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

import typer

from tidings.cli.table import BY_NAME, SLOGAN, version_line


def tree(names: Iterable[str] = tuple(BY_NAME)) -> typer.Typer:
    """The program with these commands of the table."""
    cli = typer.Typer(
        name="tidings",
        help=SLOGAN,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.callback()(_program)
    for name in names:
        command = BY_NAME[name]
        module = import_module(f"tidings.cli.{command.module}")
        if command.group:
            cli.add_typer(module.cli, name=name, rich_help_panel=command.panel)
        elif name == "serve":
            module.add_to(cli, command.panel)
        else:
            cli.command(name, rich_help_panel=command.panel)(getattr(module, name))
    return cli


def _version(asked: bool) -> None:
    if asked:
        typer.echo(version_line())
        raise typer.Exit


def _program(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """You send data in through the API. Tidings sends events out as webhooks.

    Commands that call a server take --url (TIDINGS_URL) and --key (TIDINGS_KEY), and --json for scripts.
    """
