"""Large bodies that are under way at the same time are bounded, and small ones go on beside them."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

import pytest

from tidings.testing import TestServer
from tidings.web import reading

KEPT = 3


def test_too_many_large_bodies_are_refused_until_some_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 1_000_000
    monkeypatch.setattr(reading, "HELD_BYTES_MAX", KEPT * size)
    with TestServer(tmp_path / "tidings") as server:
        host, port = server.url.removeprefix("http://").split(":")
        begun = [half_sent(server, host, int(port), size) for _ in range(KEPT)]
        whole = json.dumps({"type": "a.b", "data": {"text": "x" * (size - 100)}})
        connection = http.client.HTTPConnection(host, int(port))
        headers = {"Authorization": f"Bearer {server.api.key}", "Content-Type": "application/json"}
        statuses = []
        for _ in range(2):
            connection.request("POST", "/v1/events", whole, headers)
            answer = connection.getresponse()
            statuses.append((answer.status, answer.getheader("Retry-After"), len(answer.read()) > 0))
            assert server.api.publish("small.one")
            begun.pop().close()
            server.api.publish("another.one")
        assert statuses[0] == (503, "1", True)
        for each in begun:
            each.close()
        connection.close()


def half_sent(server: TestServer, host: str, port: int, size: int) -> socket.socket:
    """A request whose body has begun and does not go on; read by the server once it says `100 Continue`."""
    connection = socket.create_connection((host, port))
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.api.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert b"100 Continue" in connection.recv(1024)
    connection.sendall(b'{"type":')
    return connection
