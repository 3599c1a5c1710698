"""A way to PostgreSQL that stops at any byte, as a network that breaks there, or a machine that is frozen."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self


class Cut:
    """A port that leads to a server's socket. `stop_after(n)` lets n more bytes through to it; `go_on` all."""

    def __init__(self, folder: Path) -> None:
        self._path = next(folder.glob(".s.PGSQL.*[0-9]"))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._left: int | None = None
        self._may = threading.Condition()
        self.passed = 0
        """How many bytes went to the server."""
        self.is_held = threading.Event()
        """Something waits to be let through."""
        self._sockets: list[socket.socket] = []
        self._servers: list[socket.socket] = []
        """Those of them that lead to the server."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self.go_on()
        self._listening.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def url(self, url: str) -> str:
        """The address of a database by this way."""
        name = url.partition("?")[0].rpartition("/")[2]
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def stop_after(self, count: int) -> None:
        """Let this number of further bytes through."""
        with self._may:
            self.is_held.clear()
            self._left = count

    def go_on(self) -> None:
        """Let everything through."""
        with self._may:
            self._left = None
            self._may.notify_all()

    def unread(self) -> int:
        """How much of what was let through the server has not read yet, where the operating system says so (Linux)."""
        found = 0
        for each in self._servers:
            with contextlib.suppress(OSError):
                found += int.from_bytes(fcntl.ioctl(each, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return found

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._path))
                self._sockets += [client, server]
                self._servers.append(server)
                for job in (lambda a=client, b=server: self._there(a, b), lambda a=server, b=client: _copy(a, b)):
                    threading.Thread(target=job, daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket) -> None:
        with _ending(server):
            while data := client.recv(65_536):
                while data:
                    with self._may:
                        if self._left == 0:
                            self.is_held.set()
                            self._may.wait()
                            continue
                        now = data if self._left is None else data[: self._left]
                        self._left = None if self._left is None else self._left - len(now)
                        self.passed += len(now)
                    server.sendall(now)
                    data = data[len(now) :]


def _copy(here: socket.socket, there: socket.socket) -> None:
    with _ending(there):
        while data := here.recv(65_536):
            there.sendall(data)


@contextlib.contextmanager
def _ending(there: socket.socket) -> Iterator[None]:
    """What one side says or breaks off, the other side hears."""
    with contextlib.suppress(OSError):
        try:
            yield
        finally:
            there.shutdown(socket.SHUT_WR)
