"""`tidings connections`: list and show how links reach other systems. They are declared in a file: `tidings apply`."""

from __future__ import annotations

from typing import Annotated

import typer

from tidings.cli.session import FAILED, LIST_LIMIT, PAGE_MAX, AsJson, Key, Limit, Url, session
from tidings.client.client import Json

cli = typer.Typer(help="Connections: how links reach other systems.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The connection's name.")]


@cli.command("list")
def list_connections(limit: Limit = LIST_LIMIT, url: Url = None, key: Key = "", as_json: AsJson = False) -> None:
    """List connections, by name."""
    columns = {"name": "name", "base": "base", "auth": "auth", "rate": "rate", "links": "links"}
    with session(url, key, as_json) as out:
        found = out.client.connections.list(limit=min(limit, PAGE_MAX))
        out.list(
            found if as_json else map(_short, found),
            limit,
            columns,
            "There are no connections. Declare some in tidings.yaml, under `connections`.",
        )


@cli.command("show")
def show(name: Name, url: Url = None, key: Key = "", as_json: AsJson = False) -> None:
    """Show one connection, with its secrets masked, and the links that use it."""
    with session(url, key, as_json) as out:
        found = out.client.connections.get(name)
        out.answer(found, lambda: out.details(found, name))


@cli.command("test")
def test(
    name: Name,
    path: Annotated[
        str | None,
        typer.Option(
            "--get",
            help="Send a GET request to this path, which should require the credentials and change nothing.",
            metavar="PATH",
        ),
    ] = None,
    url: Url = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Test whether a connection's system can be reached and accepts the credentials. Nothing is changed there.

    The exit status is 1 if the system cannot be reached, or does not accept the credentials.
    """
    with session(url, key, as_json) as out:
        found = out.client.connections.test(name, path)
        out.answer(found, lambda: out.say(found["says"]))
        if not found["reached"] or found["accepted"] is False:
            raise typer.Exit(FAILED)


@cli.command("delete")
def delete(name: Name, url: Url = None, key: Key = "", as_json: AsJson = False) -> None:
    """Delete a connection that no link uses."""
    with session(url, key, as_json) as out:
        out.client.connections.delete(name)
        out.deleted(name, "name")


def _short(connection: Json) -> Json:
    auth, where = connection["auth"] or {}, connection["base"] or connection["smtp"]
    rate = connection["rate"] and f"{connection['rate']:g}/s"
    return {**connection, "rate": rate, "base": where, "auth": ", ".join(auth), "links": ", ".join(connection["links"])}
