"""What the commands about other senders' webhooks share: the scheme, its secrets and settings."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tidings.cli.session import Together, fail
from tidings.cli.terminal.values import pairs
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import Scheme

SECRET_VARIABLE = "TIDINGS_HOOK_SECRET"  # noqa: S105 - the name of a variable

Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        help=f"The secret; repeat for several. Other users can see secrets in the process list, so prefer "
        f"--secret-file or {SECRET_VARIABLE}.",
        metavar="SECRET",
    ),
]
SecretFile = Annotated[
    str | None, typer.Option(help="A file with the secret or key (PEM), or - for stdin.", metavar="FILE")
]
SchemeSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--setting", help="A setting that the scheme requires, as NAME=VALUE; repeat for more.", metavar="NAME=VALUE"
    ),
]
PublicUrl = Annotated[
    str,
    typer.Option(help="The URL that the sender calls, including the query; some schemes sign this URL.", metavar="URL"),
]


def _came_to(
    hook: Annotated[str | None, typer.Option(help="Show only requests to the hook with this path or id.")] = None,
    form: Annotated[str | None, typer.Option(help="Show only submissions of the form with this path or id.")] = None,
) -> tuple[str | None, str | None]:
    """The hook or form whose requests are listed; None for all."""
    return hook, form


CameTo = Annotated[tuple[str | None, str | None], Together(_came_to)]


def set_of(examples: str) -> Any:
    """The option --set of hooks and forms."""
    said = f"Set any other option, such as {examples}; the value is JSON or plain text."
    return typer.Option("--set", help=said, metavar="NAME=VALUE")


@contextmanager
def refusals() -> Iterator[None]:
    """Ends the command with a sentence if something is refused."""
    try:
        yield
    except Refused as wrong:
        fail(wrong.detail)
    except ValueError as wrong:
        fail(str(wrong))


def scheme_of(text: str) -> Scheme:
    """The scheme of a name, or of `@FILE` with JSON. Raises Refused or ValueError."""
    if not text.startswith("@"):
        if "." in text:
            raise ValueError(
                f"{text} is not a signature scheme (`tidings schemes` lists them). "
                f"To send the example of an event type, run `tidings publish {text} --example`."
            )
        return schemes.named(text)
    try:
        return schemes.read(json.loads(content(text[1:])))
    except json.JSONDecodeError as wrong:
        raise ValueError(f"{text[1:]} is not valid JSON: {wrong}") from None


def secrets_of(given: Sequence[str] | None, file: str | None) -> list[str]:
    """All secrets, of the options or else the environment. Raises ValueError for an empty one."""
    found = list(given or [])
    if file is not None:
        found.append(content(file).decode("utf-8", "replace").strip("\r\n"))
    variable = os.environ.get(SECRET_VARIABLE)
    if not found and variable is not None:
        found = [variable]
    if not all(each.strip() for each in found):
        raise ValueError("The secret is empty. Pass the secret that the sender uses.")
    return found


def settings_of(given: Sequence[str] | None) -> dict[str, str]:
    """Settings by name. Raises ValueError."""
    return dict(pairs(given, "--setting", "topic_arn=arn:aws:sns:us-west-2:123456789012:orders"))


def content(name: str) -> bytes:
    """A file's bytes, or those of stdin for `-`. Raises ValueError."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as wrong:
        raise ValueError(f"The file {name} cannot be read: {wrong.strerror}") from None
