"""Large bodies that are under way at the same time are bounded, and small ones go on beside them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tidings.testing import TestServer, until
from tidings.web.wire.bodies import reading

KEPT = 3
SIZE = 1_000_000


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


def taken(server: TestServer) -> bool:
    with begin(server) as connection:
        return b"100 Continue" in connection.recv(4096)


def begin(server: TestServer, key: str = "") -> socket.socket:
    """The head of a request with a large body, which asks whether it may go on."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key or server.api.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {SIZE}\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    return connection
