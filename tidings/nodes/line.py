"""The messages between a supervisor and its workers: lines of JSON on a pair of sockets.

A newer worker may run under an older supervisor, and the other way round: members are only ever added, and each side
ignores those that it does not know.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import msgspec

READ_BYTES = 65_536


class StartOrder(msgspec.Struct, kw_only=True):
    """The first line to a worker: how to start."""

    number: int
    """The worker's number, counted from 1."""
    flags: dict[str, Any]
    """The flags of the command line of `tidings serve`."""
    public: int
    """The file descriptor of the socket on which all workers listen."""
    watchdog_seconds: float | None = None
    """How long the worker's event loop may be blocked."""


class Told(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A further line to a worker. The end of the lines asks it to stop."""

    public: bool | None = None
    """Whether to accept calls at the public port from now on. Until the first such line, the worker accepts none."""


class Said(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line from a worker."""

    ready: bool = False
    url: str = ""
    """With `ready`: the URL at which only this worker listens."""
    operator_key: str | None = None
    """With `ready`: the operator's key, if it was generated at this start."""
    refused: str = ""
    """Why the worker does not start: messages for people, one per line."""
    sends: bool | None = None
    """With `ready`, and whenever it changes: whether the worker is the node that sends."""
    draining: bool = False
    turned: bool = False
    """A sign that the worker's event loop is running."""


class Conversation:
    """One end of the pair: makes whole lines of what arrives."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._rest = b""
        self._lock = threading.Lock()

    def say(self, message: StartOrder | Told | Said) -> None:
        """Send a line; from any thread. Nothing happens if the other side has ended, which is noticed elsewhere."""
        with self._lock, contextlib.suppress(OSError):
            self.socket.sendall(msgspec.json.encode(message) + b"\n")

    def read(self) -> list[bytes] | None:
        """The lines that have arrived since, perhaps none; None if the other side has ended or closed the line."""
        try:
            piece = self.socket.recv(READ_BYTES)
        except ConnectionError:
            return None
        if not piece:
            return None
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return lines
