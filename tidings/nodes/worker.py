"""A worker's end of the conversation with its supervisor: what it is asked to do, and what it reports."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

import msgspec

from tidings.nodes.joined import Joined
from tidings.nodes.line import Conversation, Said, StartOrder, Told

END_SECONDS = 15.0
"""How long a worker may take to stop once its supervisor is gone, or has asked it to stop."""


class Worker:
    """One of the processes of `serve --workers`."""

    def __init__(self, end: socket.socket) -> None:
        """Waits for the order on this end of the pair. Raises EOFError if the supervisor is gone already."""
        self._lines = Conversation(end)
        self._waiting: list[bytes] = []
        self._is_ready = False
        self._sends: bool | None = None
        while not self._waiting:
            lines = self._lines.read()
            if lines is None:
                raise EOFError("the supervisor is gone")
            self._waiting = lines
        self.order = msgspec.json.decode(self._waiting.pop(0), type=StartOrder)
        self.public = socket.socket(fileno=self.order.public)
        """The socket on which all workers listen."""
        self.public.set_inheritable(False)
        # This applies to every copy of it: a process that blocked in accept would serve nobody in the meantime. Python
        # cannot see how a descriptor is set, and would make each copy block.
        self.public.setblocking(False)

    @property
    def number(self) -> int:
        """Which of the workers this is."""
        return self.order.number

    def is_ready(self, url: str, operator_key: str | None) -> None:
        """Report that it takes calls.

        `url`: where it listens alone; `operator_key`: given if this start has made it.
        """
        self._lines.say(Said(ready=True, url=url, operator_key=operator_key, sends=self._sends))
        self._is_ready = True

    def refuses(self, why: str) -> None:
        """Report that it does not start."""
        self._lines.say(Said(refused=why))

    def turned(self) -> None:
        """Report that the worker's event loop is running."""
        self._lines.say(Said(turned=True))

    def follow(self, stop: Callable[[], None], node: Joined) -> None:
        """From now on, do what the supervisor says, in a thread. If the supervisor is gone, this worker stops too."""
        node.on_drain = lambda: self._lines.say(Said(draining=True))
        node.on_role = self._role
        threading.Thread(target=self._follow, args=(stop, node), name="supervisor", daemon=True).start()

    def _role(self, sends: bool) -> None:
        self._sends = sends
        if self._is_ready:
            self._lines.say(Said(sends=sends))

    def _follow(self, stop: Callable[[], None], node: Joined) -> None:
        lines: list[bytes] | None = self._waiting
        while lines is not None:
            for line in lines:
                if (public := msgspec.json.decode(line, type=Told).public) is not None:
                    node.share(take_calls=public)
            lines = self._lines.read()
        stop()
        time.sleep(END_SECONDS)
        # A worker that hangs would keep its port and its folder from the next start.
        os._exit(1)
