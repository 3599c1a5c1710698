"""The list of commands, each in a file of its own."""

from __future__ import annotations

import typer

from tidings import __version__
from tidings.cli import (
    apply,
    check,
    deliveries,
    doctor,
    endpoints,
    events,
    items,
    keys,
    listen,
    publish,
    replay,
    serve_command,
)

cli = typer.Typer(
    name="tidings",
    help="The API is where you tell it things. Webhooks are where it tells you things.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
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
    """The API is where you tell it things. Webhooks are where it tells you things.

    Commands that call a server take --url (TIDINGS_URL) and --key (TIDINGS_KEY), and --json for scripts.
    """


SERVER, CALLS = "The server", "Calls to a server"

serve_command.add_to(cli, SERVER)
cli.command("check", rich_help_panel=SERVER)(check.check)
cli.command("apply", rich_help_panel=SERVER)(apply.apply)
cli.command("doctor", rich_help_panel=SERVER)(doctor.doctor)
cli.command("publish", rich_help_panel=CALLS)(publish.publish)
cli.command("listen", rich_help_panel=CALLS)(listen.listen)
cli.command("replay", rich_help_panel=CALLS)(replay.replay)
cli.add_typer(events.cli, name="events", rich_help_panel=CALLS)
cli.add_typer(items.cli, name="items", rich_help_panel=CALLS)
cli.add_typer(endpoints.cli, name="endpoints", rich_help_panel=CALLS)
cli.add_typer(deliveries.cli, name="deliveries", rich_help_panel=CALLS)
cli.add_typer(keys.cli, name="keys", rich_help_panel=CALLS)
