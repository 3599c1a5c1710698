"""The way of a node to its database: it reads along, and can stop the node in the middle of what it sends.

The rest is kept until the node continues. So PostgreSQL sees what it would see of a machine that was frozen just there:
a COPY that does not end, a transaction whose COMMIT does not arrive, with all that it holds locked.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from psycopg.conninfo import conninfo_to_dict

READ_BYTES = 65_536
HEAD_BYTES = 5
STARTUPS = (0x0003_0000, 0x0003_0002)
"""Versions of the protocol; another code begins another kind of connection, such as one that cancels."""


class Message:
    """One that a node has sent, and what is known of its connection."""

    __slots__ = ("done", "is_inside", "kind", "text", "whole")

    def __init__(self, kind: bytes, whole: bytes, text: bytes, done: list[bytes], *, is_inside: bool) -> None:
        self.kind, self.whole = kind, whole
        self.text = text
        """The statement that it belongs to."""
        self.done = done
        """The statements of this transaction that were sent before, from BEGIN on."""
        self.is_inside = is_inside
        """Whether the database last said that a transaction is open."""


Place = Callable[[Message], int | None]
"""Where to stop: after how many bytes of a message; None: not in this one."""


class Way:
    """`url` is the database by this way."""

    def __init__(self, url: str) -> None:
        given = conninfo_to_dict(url)
        hosts = str(given["host"]).split(",")
        ports = str(given.get("port", "")).split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        self._listening = []
        for host, port in zip(hosts, ports, strict=True):
            listening = socket.create_server(("127.0.0.1", 0))
            self._listening.append(listening)
            threading.Thread(target=self._accept, args=(listening, host, port or "5432"), daemon=True).start()
        places = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in self._listening)
        # Nothing is encrypted, so that it can be read.
        plain = "sslmode=disable&gssencmode=disable"
        self.url = f"postgresql://{given['user']}@{places}/{given['dbname']}?{plain}"
        self._lock, self._may_go = threading.Lock(), threading.Event()
        self._place: Place | None = None
        self._hit: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Take no more connections."""
        self.go_on()
        for each in self._listening:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stop_at(self, place: Place, hit: Callable[[], None]) -> None:
        """At the next such place call `hit`, then let the part before it through, and keep the rest until `go_on`."""
        with self._lock:
            self._may_go.clear()
            self._place, self._hit = place, hit

    def go_on(self) -> None:
        """Let everything through."""
        with self._lock:
            self._place = None
            self._may_go.set()

    def part(self, message: Message) -> int | None:
        """How much of a message is let through at first, after the node was stopped; None: all of it."""
        place = self._place
        if place is None or (part := place(message)) is None:
            return None
        with self._lock:
            if self._place is not place:
                return None
            self._place = None
            self._hit()
        return part

    def wait(self) -> None:
        """Until what was kept may go."""
        self._may_go.wait()

    def _accept(self, listening: socket.socket, host: str, port: str) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                try:
                    server = _connected(host, port)
                except OSError:
                    client.close()
                    continue
                for each in (client, server):
                    if each.family == socket.AF_INET:
                        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line = _Line(self, client, server)
                for job in (line.there, line.back):
                    threading.Thread(target=job, daemon=True).start()


class _Line:
    """One connection, in both directions."""

    def __init__(self, way: Way, client: socket.socket, server: socket.socket) -> None:
        self._way, self._client, self._server = way, client, server
        self._prepared: dict[bytes, bytes] = {}
        self._text = b""
        self._done: list[bytes] = []
        self._is_inside = False

    def there(self) -> None:
        """To the database."""
        with _ending(self._client, self._server):
            # The first message has no kind.
            first = self._client.recv(READ_BYTES)
            while len(first) < 8 or len(first) < int.from_bytes(first[:4], "big"):
                if not (more := self._client.recv(READ_BYTES)):
                    return
                first += more
            length = int.from_bytes(first[:4], "big")
            self._server.sendall(first[:length])
            if int.from_bytes(first[4:8], "big") not in STARTUPS:
                return
            for kind, whole in _messages(self._client, first[length:]):
                self._read(kind, whole)
                message = Message(kind, whole, self._text, self._done, is_inside=self._is_inside)
                part = self._way.part(message)
                if part is not None:
                    self._server.sendall(whole[:part])
                    self._way.wait()
                    whole = whole[part:]
                self._server.sendall(whole)
                if kind in (b"E", b"Q"):
                    self._done = [self._text] if self._text.startswith(b"BEGIN") else [*self._done, self._text]

    def back(self) -> None:
        """To the node: whether a transaction is open is read before the node knows it."""
        rest = b""
        with _ending(self._server, self._client):
            while data := self._server.recv(READ_BYTES):
                rest += data
                at = 0
                while len(rest) - at >= HEAD_BYTES:
                    end = at + 1 + int.from_bytes(rest[at + 1 : at + HEAD_BYTES], "big")
                    if len(rest) < end:
                        break
                    if rest[at : at + 1] == b"Z":
                        self._is_inside = rest[end - 1 : end] != b"I"
                    at = end
                rest = rest[at:]
                self._client.sendall(data)

    def _read(self, kind: bytes, whole: bytes) -> None:
        """Which statement this belongs to."""
        if kind == b"Q":
            self._text = whole[HEAD_BYTES:-1]
        elif kind == b"P":
            name, text, _ = whole[HEAD_BYTES:].split(b"\0", 2)
            self._prepared[name] = self._text = text
        elif kind == b"B":
            name = whole[HEAD_BYTES : HEAD_BYTES + 200].split(b"\0", 2)[1]
            self._text = self._prepared.get(name, b"")


def _messages(source: socket.socket, rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind of each message, and all of its bytes."""
    while True:
        at = 0
        while len(rest) - at >= HEAD_BYTES:
            end = at + 1 + int.from_bytes(rest[at + 1 : at + HEAD_BYTES], "big")
            if len(rest) < end:
                break
            yield rest[at : at + 1], rest[at:end]
            at = end
        if not (data := source.recv(READ_BYTES)):
            return
        rest = rest[at:] + data


def _connected(host: str, port: str) -> socket.socket:
    if host.startswith("/"):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server
    return socket.create_connection((host, int(port)))


@contextlib.contextmanager
def _ending(here: socket.socket, there: socket.socket) -> Iterator[None]:
    """What one side breaks off, the other side hears, after everything that was said before."""
    with contextlib.suppress(OSError):
        try:
            yield
        finally:
            for each, how in ((there, socket.SHUT_WR), (here, socket.SHUT_RD)):
                with contextlib.suppress(OSError):
                    each.shutdown(how)
