"""Large bodies that are under way at the same time are bounded, and small ones continue next to them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web import wire
from tidings.testing import TestServer, until
from tidings.web.wire.bodies import reading

KEPT = 3
SIZE = 1_000_000
LONG, PIECE = 3_000_000, 65_536
ENDLESS = 10_000
CHUNK = b"8000\r\n" + bytes(0x8000) + b"\r\n"


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with TestServer(tmp_path_factory.mktemp("large")) as server:
        server.api.post("/v1/hooks", {"path": "large", "scheme": "github", "secrets": ["s"]})
        server.api.post("/v1/forms", {"path": "large", "fields": {"name": {}}})
        yield server


@pytest.mark.slow
def test_too_many_large_bodies_are_refused_until_some_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "HELD_BYTES_MAX", (KEPT + 1) * SIZE)
    with TestServer(tmp_path / "tidings") as server:
        begun = [begin(server) for _ in range(KEPT)]
        assert all(b"100 Continue" in each.recv(1024) for each in begun)
        refused = begin(server)
        answer = refused.recv(4096)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        assert server.api.publish("small.one")
        # Another tenant has its share, whatever this one does.
        acme = server.api.post("/v1/keys", {"scopes": ["events:write"], "tenant": "acme"})["key"]
        with begin(server, acme) as other:
            assert b"100 Continue" in other.recv(1024)
        begun[0].close()
        until(lambda: taken(server), "there is room again")
        for each in [*begun, refused]:
            each.close()


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/events", True, 413),
        ("/v1/events", False, 401),
        ("/in/large", False, 413),
        ("/f/large", False, 413),
    ],
)
def test_an_answer_reaches_even_those_who_send_the_whole_body_first(
    lasting: TestServer, framing: str, path: str, key: bool, status: int
) -> None:
    """A connection that is closed too early is reset, and its peer, often a proxy, may never read the answer."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"Authorization: Bearer {lasting.api.key}"] if key else []
    lines += [f"Content-Length: {LONG}" if framing == "length" else "Transfer-Encoding: chunked", "", ""]
    body = bytes(LONG) if framing == "length" else CHUNK * (LONG // len(CHUNK)) + b"0\r\n\r\n"
    with wire.dial(lasting.url) as connection:
        connection.sendall("\r\n".join(lines).encode())
        for start in range(0, len(body), PIECE):
            connection.sendall(body[start : start + PIECE])
        assert wire.read(connection).status == status


@pytest.mark.parametrize("path", ["/v1/nothing", "/in/nothing", "/f/nothing"])
def test_a_body_to_nowhere_is_read_only_a_little(lasting: TestServer, path: str) -> None:
    for size, is_cut_off in ((PIECE - 1, False), (LONG, True)):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        with wire.dial(lasting.url) as connection:
            connection.sendall(head.encode())
            assert wire.read(connection).status == 404
            with contextlib.suppress(ConnectionError):
                connection.sendall(bytes(size) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (wire.read(connection).status != 200) == is_cut_off


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/in/large", "/v1/events", "/in/nothing"])
def test_chunks_without_end_are_cut_off(lasting: TestServer, path: str) -> None:
    """After 413 the rest is read for a while only."""
    with wire.dial(lasting.url) as connection:
        lines = f"Host: x\r\nAuthorization: Bearer {lasting.api.key}\r\nContent-Type: application/json"
        connection.sendall(f"POST {path} HTTP/1.1\r\n{lines}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with pytest.raises(ConnectionError):
            for _ in range(ENDLESS):
                connection.sendall(CHUNK)


def taken(server: TestServer) -> bool:
    with begin(server) as connection:
        return b"100 Continue" in connection.recv(4096)


def begin(server: TestServer, key: str = "") -> socket.socket:
    """The head of a request with a large body, which asks whether it may continue."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key or server.api.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {SIZE}\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    return connection
