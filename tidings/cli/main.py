"""The console script. It handles calls that need neither typer nor rich itself, and loads a command on demand."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from tidings.cli.table import BY_NAME, OTHER_NAMES, help_lines, version_line

HELP = ((), ("--help",), ("-h",), ("help",))
VERSION = (("--version",), ("version",), ("-V",))
INTERRUPTED = 130
"""The exit status after Ctrl-C, as in shells."""
_UNWRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""The errors with which a write to stdout can fail."""


def app(args: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. `args` defaults to this process's arguments, without the program."""
    try:
        try:
            return _run(args)
        finally:
            # At exit, it would be too late to report an error.
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as wrong:
        if wrong.errno not in _UNWRITTEN or wrong.filename is not None:
            raise
        # Otherwise Python would try to write the rest again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if wrong.errno != errno.EPIPE:
            print(f"The output could not be written: {wrong.strerror}.", file=sys.stderr)
        return 1


def _run(args: Sequence[str] | None) -> int:
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
    print(text)
    return 0
