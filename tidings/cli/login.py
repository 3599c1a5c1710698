"""`tidings login` and `tidings logout`: keep a server's URL and a key for the commands that call it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from tidings.cli.profiles import USUAL, Profile, load_profiles, save_profiles
from tidings.cli.session import AsJson, Key, Url, elsewhere, fail, print_json
from tidings.client import Client, ClientError
from tidings.client.exchange import DEFAULT_URL, ClientRequest

ProfileName = Annotated[
    str, typer.Option("--profile", envvar="TIDINGS_PROFILE", help="The profile's name.", metavar="NAME")
]


def login(url: Url = None, key: Key = "", profile: ProfileName = USUAL, as_json: AsJson = False) -> None:
    """Store a server's URL and a key for the commands that call it. The key is checked first.

    The URL and the key are stored in a file that only you can read. Without --key, the command asks for the key. Other
    commands use the stored key if no key is given; TIDINGS_PROFILE selects one of several profiles.
    """
    text = key or _asked()
    url = DEFAULT_URL if url is None else url.rstrip("/")
    try:
        with Client(url, text) as client:
            whose: dict[str, Any] = client.send(ClientRequest("GET", "/v1/openapi.json"))["x-key"]
    except (ClientError, ValueError) as wrong:
        fail(f"{wrong}{elsewhere(wrong, url)}")
    except (KeyError, TypeError):
        fail(f"{url} is not a Tidings server")
    try:
        path = save_profiles({**load_profiles(), profile: Profile(url, text)})
    except OSError as wrong:
        fail(f"the profile was not stored: {wrong.filename}: {wrong.strerror}")
    except ValueError as wrong:
        fail(f"the profile was not stored: {wrong}")
    if as_json:
        print_json({"profile": profile, "url": url, "key": whose})
        return
    tenant = f" of the tenant {whose['tenant']}" if whose.get("tenant") else ""
    typer.echo(f"Logged in to {url} with the key {whose['name']!r}{tenant}. The key is stored in {path}.")


def _asked() -> str:
    """The key, asked for at the terminal, or read from a pipe."""
    if sys.stdin.isatty():
        return str(typer.prompt("Key", hide_input=True, err=True))
    text = sys.stdin.readline().strip()
    if not text:
        fail("there is no terminal on which to ask for the key. Pass it with --key or TIDINGS_KEY, or through a pipe")
    return text


def logout(profile: ProfileName = USUAL, as_json: AsJson = False) -> None:
    """Delete a stored key. The key itself stays valid until you revoke it with `tidings keys revoke`."""
    try:
        profiles = load_profiles()
        if profile not in profiles:
            fail(f"there is no profile {profile!r}")
        del profiles[profile]
        save_profiles(profiles)
    except (OSError, ValueError) as wrong:
        fail(f"the profile was not removed: {wrong}")
    if as_json:
        print_json({"profile": profile, "deleted": True})
    else:
        typer.echo(f"The profile {profile!r} is removed.")
