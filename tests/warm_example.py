"""A program of examples/ in a copy of a process that has loaded Tidings: loading it, once for the program and once for
each start of its server, is most of what a play takes.

What such a program does from its first import on is tested by tests/scenarios/test_after_make_install.py and by those
tests that watch it on a terminal: they start it as a user does.
"""

from __future__ import annotations

import gc
import importlib
import os
import runpy
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CLIENTS = ("tidings.client", "tidings.config", "tidings.testing", "rich.live", "rich.table", "standardwebhooks")
"""What most of the programs load."""


def load_clients() -> None:
    """Load what a program needs, in the process that is copied."""
    if "rich.live" not in sys.modules:
        for name in CLIENTS:
            importlib.import_module(name)
        gc.freeze()


def play(arguments: list[str], serve: Callable[[socket.socket], None]) -> int:
    """Run a file with its arguments to its end; returns its exit status, or raises SystemExit.

    `serve` makes the copies that become its servers: in a process of its own, which has no threads.
    """
    from tests.warm import Loaded, copying
    from tidings.testing import process

    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        # The program alone holds the streams, so that they end with it.
        for number in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        serve(theirs)
        os._exit(0)
    theirs.close()
    loaded = Loaded(ours)
    process.__dict__["subprocess"] = copying(lambda: loaded)
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).parent)
    runpy.run_path(arguments[0], run_name="__main__")
    return 0
