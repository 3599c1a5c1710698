"""The port of a server: it listens alone."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from tidings.listening import http_server, listening, opened
from tidings.testing import TestServer


class Answering:
    """An application that says hello."""

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        proto.response_str(200, [], "hello")


@pytest.mark.slow
def test_two_servers_that_start_at_once_never_share_a_port(tmp_path: Path) -> None:
    """The kernel would hand every other connection to a server that does not know the key."""
    with TestServer(tmp_path / "a") as first:
        with pytest.raises(OSError, match=f"port {first.server.port} is in use by another process"):  # type: ignore[union-attr]
            TestServer(tmp_path / "b", port=first.server.port).start()  # type: ignore[union-attr]
        # Not even for somebody who offers to share it.
        with socket.socket() as sharing, pytest.raises(OSError):
            sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sharing.bind(("127.0.0.1", first.server.port))  # type: ignore[union-attr]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_port_is_free_once_the_server_has_stopped(host: str) -> None:
    async def round_trip(port: int) -> int:
        taken = opened(host, port)
        port = taken.getsockname()[1]
        http = http_server(Answering(), taken)
        serving = asyncio.create_task(http.serve())
        await listening(host, port, serving)
        http.stop()  # type: ignore[no-untyped-call]
        await serving
        return port

    async def rounds() -> None:
        port = await round_trip(0)
        for _ in range(3):
            assert await round_trip(port) == port

    asyncio.run(rounds())


def test_what_keeps_it_from_listening_is_said() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1 port 0: Cannot assign"):
        opened("192.0.2.1", 0)
