"""The console script. `tidings serve` goes a light way past typer and rich; all else goes to cli/commands.py."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def app(args: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. `args` without the program's name; by default those of this process."""
    given = list(sys.argv[1:] if args is None else args)
    if given[:1] == ["serve"]:
        from tidings.cli import serve

        # Typer costs a third of a second and several megabytes. It is asked where the flags need explaining.
        flags = serve.read_flags(given[1:])
        if flags is not None:
            return serve.serve(flags)
    from tidings.cli.commands import cli

    cli(args=given, prog_name="tidings")
    return 0
