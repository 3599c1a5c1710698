"""A node that takes in, and the one that it passes requests on to, in the test's process; the test says who sends."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from tests.nodes.peers import peer
from tidings import server as module
from tidings.net.helping.client import Helpers
from tidings.store.engines.nodes import Sender
from tidings.testing import TestServer
from tidings.testing.api import OPERATOR_KEY
from tidings.web.elsewhere import among_others
from tidings.web.parts import Parts
from tidings.web.wire.forwarding import Forwarding


class Known:
    """Who sends, as the store would say it."""

    def __init__(self) -> None:
        self.sender: Sender | None = None


Nodes = tuple[TestServer, TestServer, Known]
"""The sender, the one that takes in, and what that one knows."""


def _with(node: str) -> Any:
    """Put a server together as one of several."""
    together = module.Server._together

    def put(self: module.Server, catalog: Any, sealer: Any, *rest: Any) -> Parts:
        parts = dataclasses.replace(together(self, catalog, sealer, *rest), sends=node == "sender")
        return among_others(parts, node, sealer, Helpers("never"), self._fetcher)

    return mock.patch.object(module.Server, "_together", put)


@contextlib.contextmanager
def two_nodes(url: str, folder: Path) -> Iterator[Nodes]:
    """The sender and the one that takes in."""
    known = Known()

    async def find(forwarding: Forwarding, parts: Parts) -> Sender | None:
        return known.sender

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Forwarding, "find", find))
        with _with("sender"):
            sender = stack.enter_context(peer(url, folder / "sender", 0))
        with _with("taker"):
            taker = stack.enter_context(peer(url, folder / "taker", 1))
        known.sender = Sender("sender", sender.url, 0.0)
        yield sender, taker, known


def raw(url: str, data: bytes, seconds: float = 5.0) -> bytes:
    """What a server answers to these bytes, until it closes the connection or is silent."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(data)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


def request(line: str, *headers: str, body: bytes = b"", key: str = OPERATOR_KEY, close: bool = True) -> bytes:
    """The bytes of a request with a key."""
    lines = [f"{line} HTTP/1.1", "Host: tidings.example", f"Authorization: Bearer {key}", *headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body
