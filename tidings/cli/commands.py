"""The commands as typer sees them, each from its own file."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from tidings.cli.table import BY_NAME, SLOGAN, version_line

HELP_MAX = 500
"""The maximum number of characters of a command's description in the help of its group."""


def tree(names: Iterable[str] = tuple(BY_NAME)) -> typer.Typer:
    """The program with these commands of the table."""
    cli = typer.Typer(
        name="tidings",
        cls=_Group,
        help=SLOGAN,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # Boxes cut long options and values; plain text breaks lines between words, at any width.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.callback()(_program)
    for name in names:
        command = BY_NAME[name]
        module = import_module(f"tidings.cli.{command.module}")
        if command.group:
            cli.add_typer(module.cli, name=name, cls=_Group)
        elif name == "serve":
            module.add_to(cli)
        else:
            cli.command(name)(getattr(module, name))
    return cli


class _Group(TyperGroup):
    """A group whose help shows the first sentence of each command in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, self.commands[name].get_short_help_str(HELP_MAX)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(version_line())
        raise typer.Exit


def _program(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Send data to the API; Tidings sends webhooks and mail, and calls other APIs.

    Commands that call a server take --url (TIDINGS_URL) and --key (TIDINGS_KEY), and --json for scripts.
    """
