"""Ports for servers that tests stop and start again."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import weakref

FROM, EACH, RANGES = 15_000, 1_000, 17
"""These ports are below Linux's ephemeral ports, so none is given to another program while its server is down."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on. Processes that run tests in parallel choose from different ranges."""
    first = FROM + os.getpid() % RANGES * EACH
    while True:
        # Not with `random`: tests seed it, and would all choose the same port.
        port = first + secrets.randbelow(EACH)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def reserve() -> socket.socket:
    """A socket that keeps a port of 127.0.0.1: bound, but not listening, so that with SO_REUSEADDR, a server can."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


def keep_port(owner: object) -> int:
    """A port of 127.0.0.1 that no other program gets as long as `owner` exists, even while its server is down.

    On other systems than Linux, where a server could not listen on it, 0 is returned, which means a free port.
    """
    if sys.platform != "linux":
        return 0
    kept = reserve()
    weakref.finalize(owner, kept.close)
    return int(kept.getsockname()[1])
