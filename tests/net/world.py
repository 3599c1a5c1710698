"""What the tests of the door outwards need: raw servers that do exactly what is said, and short ways to send."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tidings.net.handle import Tls
from tidings.net.http import A_GLANCE, AnswerLimits, HttpClient, HttpRequest, Reply
from tidings.testing import until

Answer = Callable[[socket.socket], object]
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
TLS_HANDSHAKE = b"\x16"
"""The first byte of TLS."""


class Listening:
    """A server at a port. Every whole request that arrives is in `posts`; each answer comes from the function given."""

    def __init__(self, answer: Answer, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self.answer, self._tls = answer, tls
        self.posts: list[bytes] = []
        self.connections = self.closed = 0
        self._open: list[socket.socket] = []
        self._server = socket.create_server((host, port))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Where it is."""
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while (post := _read_post(connection)) is not None:
                    self.posts.append(post)
                    said = self.answer(connection)
                    if said == "cut":
                        # Without the farewell of TLS.
                        socket.socket.close(connection)
                    if said in ("close", "cut"):
                        break
        self.closed += 1

    def until_closed(self, count: int) -> None:
        """Wait until this many connections have been closed."""
        until(lambda: self.closed >= count, f"{count} connections are closed")

    def close(self) -> None:
        """Stop listening, and close what is open."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.close()
        self._thread.join(5)


def _read_post(connection: socket.socket) -> bytes | None:
    data = b""
    # As others do, it answers at once what cannot be a request, such as the beginning of TLS.
    while b"\r\n\r\n" not in data and not data.startswith(TLS_HANDSHAKE):
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    said = re.search(rb"(?i)content-length: (\d+)", head)
    length = 0 if said is None else int(said[1])
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    return head + b"\r\n\r\n" + body


@contextmanager
def listening(
    answer: Answer, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Listening]:
    """A server that keeps its connections open, as long as `answer` does not say "close"."""
    server = Listening(answer, host, port, tls)
    try:
        yield server
    finally:
        server.close()


def saying(*texts: bytes, then: str = "") -> Answer:
    """Answers the texts in turn, the last one forever. `then`: "close" or "cut" after each."""
    left = list(texts)

    def answer(connection: socket.socket) -> str:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])
        return then

    return answer


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(lambda ip: None, "Tidings/test")
    yield made
    made.close()


def fetch(
    client: HttpClient,
    url: str,
    timeout_seconds: float = 5.0,
    headers: list[str] | None = None,
    *,
    tenant: str | None = None,
    body: bytes = b"hello",
    tls: Tls | None = None,
    method: str = "POST",
    wanted: AnswerLimits = A_GLANCE,
) -> Reply:
    """Send one request, and wait for what comes of it."""
    replies: list[Reply] = []
    client.send(HttpRequest(url, headers or [], body, timeout_seconds, tenant, tls, method, wanted), replies.append)
    while not replies:
        client.poll(1.0)
    return replies[0]


def failed(reply: Reply) -> str | None:
    """What failed; None if a whole answer came."""
    return None if reply.failure is None else reply.failure.kind


def reason(reply: Reply) -> str:
    """Why it failed, in words."""
    return "" if reply.failure is None else reply.failure.reason
