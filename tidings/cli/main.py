"""The console script. It answers calls that need neither typer nor rich itself, and loads a command on demand."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tidings.cli.table import BY_NAME, OTHER_NAMES, help_lines, version_line

HELP = ((), ("--help",), ("-h",), ("help",))
VERSION = (("--version",), ("version",), ("-V",))


def app(args: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. `args`: by default those of this process, without the program."""
    given = tuple(sys.argv[1:] if args is None else args)
    if not _completing():
        if given in HELP:
            return _print("\n".join(help_lines()))
        if given in VERSION:
            return _print(version_line())
        if given[0] == "help":
            given = (*given[1:], "--help")
        given = (OTHER_NAMES.get(given[0], given[0]), *given[1:])
        if given[0] == "serve":
            from tidings.cli.local import serve

            # Typer is loaded only if the flags need explaining.
            flags = serve.read_flags(given[1:])
            if flags is not None:
                return serve.serve(flags)
    from tidings.cli.commands import tree

    wanted = given[:1] if given and given[0] in BY_NAME and not _completing() else tuple(BY_NAME)
    tree(wanted)(args=list(given), prog_name="tidings")
    return 0


def _completing() -> bool:
    """Whether a shell is asking for completions."""
    return "_TIDINGS_COMPLETE" in os.environ


def _print(text: str) -> int:
    try:
        print(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
