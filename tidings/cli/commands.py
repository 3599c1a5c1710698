"""The list of commands, each in a file of its own."""

from __future__ import annotations

import typer

from tidings import __version__
from tidings.cli import serve_command

cli = typer.Typer(
    name="tidings",
    help="The API is where you tell it things. Webhooks are where it tells you things.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tidings {__version__}")
        raise typer.Exit


@cli.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say the version and end."),
) -> None:
    """The API is where you tell it things. Webhooks are where it tells you things."""


serve_command.add_to(cli)
