"""The options of `tidings listen`, and which of them can be combined."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

To = Annotated[
    str, typer.Option("--to", "--forward", help="The URL to call, such as http://localhost:3000/hooks.", metavar="URL")
]
HookName = Annotated[
    str | None,
    typer.Option(
        "--hook",
        help="Instead of posting events, forward the requests that the hook with this path or id receives, unchanged.",
        metavar="HOOK",
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        help=(
            "Post only events of this type or pattern, such as 'tasks.*'; with --hook, forward only requests that "
            "became such events. Repeat for more."
        ),
        metavar="PATTERN",
    ),
]
After = Annotated[
    str | None,
    typer.Option(
        help=(
            "The position in the event feed from which to continue: `start`, `end`, or a cursor. By default, the "
            "command continues where its last run ended. The options --after and --since cannot be combined."
        )
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        help="With --hook: first forward the requests that have arrived since this time. Pass a time such as "
        "2026-11-21T01:02:03Z, or an age such as 2h.",
        metavar="TIME",
    ),
]
CursorFile = Annotated[
    Path | None, typer.Option(help="The file to save the position in; by default, a file in your state folder.")
]
Secret = Annotated[
    str | None,
    typer.Option(
        help="The secret (whsec_...) to sign events with; by default, one is generated and saved. With --hook: the "
        "sender's secret, to sign the requests again with a current timestamp."
    ),
]


def check_options(to: str, hook: str | None, after: str | None, since: str | None) -> None:
    """Raise ValueError for options that are wrong or cannot be combined, before anything is printed or saved."""
    parts = urlsplit(to)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"--to must be a URL such as http://localhost:3000/hooks, not {to!r}")
    if since is not None and hook is None:
        raise ValueError("--since requires --hook. For events, use --after.")
    if since is not None and after is not None:
        raise ValueError("Use --since or --after, not both.")
