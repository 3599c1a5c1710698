"""SIGTERM and SIGINT: the first one stops a server, the second one ends its process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Protocol

from tidings.cli.local.process.notify import notify

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stoppable(Protocol):
    """A server, whatever its current role."""

    def stop(self) -> None:
        """Ask it to end; from any thread."""


class Stop:
    """Whether this process was asked to stop, and which server that stops.

    A thread waits for the signals, since Python's own handlers run only between two instructions of the main thread,
    and that may be long after the signal while it waits for other threads to end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._signals = 0
        self._ended: Stoppable | None = None
        self.at_once: Callable[[], None] = lambda: None
        """Called at the second signal, before the process ends."""
        # Every thread started from here on leaves these two signals to the waiting one.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    def ask(self) -> None:
        """Ask it to stop, as the first signal does; from any thread."""
        self.asked = True
        notify("STOPPING=1", "STATUS=Stopping once the requests in progress have ended.")
        if self._ended is not None:
            self._ended.stop()

    def ends(self, ended: Stoppable) -> None:
        """From now on, this is the server to stop."""
        self._ended = ended
        if self.asked:
            ended.stop()

    def _wait(self) -> None:
        while True:
            number = signal.sigwait(SIGNALS)
            self._signals += 1
            if self._signals > 1:
                self.at_once()
                os._exit(128 + number)
            self.ask()
