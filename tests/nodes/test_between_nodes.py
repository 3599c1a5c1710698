"""Ways from one node to another: over IPv6, and over TLS with certificates that are checked."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console.visitor import Visitor
from tests.net.certificates import Authority
from tests.nodes.joined import KEY
from tidings.testing import TestServer
from tidings.testing.api import OPERATOR_KEY

pytestmark = pytest.mark.postgres


def node(folder: Path, url: str, **settings: Any) -> TestServer:
    return TestServer(folder, database=url, join=True, secret_key=KEY, **settings)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_node_is_reached_over_ipv6(tmp_path: Path, postgres_url: str) -> None:
    with node(tmp_path / "six", postgres_url, host="::1"), node(tmp_path / "four", postgres_url) as taker:
        made = taker.api.call("PUT", "/v1/connections/other", {"base": "http://127.0.0.1:9"})
        assert made.status == 201, made.body
        servers = taker.api.get("/v1/server")["nodes"]
        assert [each["role"] for each in servers] == ["sends", "takes in"]
        assert servers[0]["address"].startswith("http://[::1]:")


class Front:
    """What ends TLS in front of a node, as a proxy does. `url` is its address; `to` the node's port."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listening.getsockname()[1]}"
        self.to = 0
        self.connections = 0

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                with contextlib.suppress(OSError):
                    outer = self._context.wrap_socket(here, server_side=True)
                    self.connections += 1
                    inner = socket.create_connection(("127.0.0.1", self.to))
                    for pair in ((outer, inner), (inner, outer)):
                        threading.Thread(target=copy, args=pair, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def behind_tls(
    folder: Path, url: str, context: ssl.SSLContext, trusted: Authority
) -> Iterator[tuple[TestServer, Front]]:
    """A node that takes in, whose sender is behind TLS."""
    front = Front(context)
    (folder / "ca.pem").write_text(trusted.pem)
    try:
        with node(folder / "sender", url, node_url=front.url) as sender:
            front.to = int(sender.url.rpartition(":")[2])
            threading.Thread(target=front.serve, daemon=True).start()
            with node(folder / "taker", url, ca_file=str(folder / "ca.pem")) as taker:
                yield taker, front
    finally:
        front.close()


def test_a_node_is_reached_over_tls(tmp_path: Path, postgres_url: str) -> None:
    authority = Authority()
    with behind_tls(tmp_path, postgres_url, authority.server(), authority) as (taker, front):
        links = {
            f"l{n}": {"when": {"every": "1h"}, "call": {"via": "other", "get": f"/{'x' * 900}"}} for n in range(300)
        }
        assert taker.api.call("PUT", "/v1/connections/other", {"base": "http://127.0.0.1:9"}).status == 201
        planned = taker.api.call("POST", "/v1/links:plan", {"links": links})
        assert planned.status == 200, planned.body[:300]
        assert planned.body.count(b"create") >= 300, planned.body[:300]
        visitor = Visitor(taker.url)
        assert visitor.sign_in(OPERATOR_KEY).status == 303
        assert "<main" in visitor.get("/endpoints")
        assert front.connections > 0


@pytest.mark.parametrize("what", ["another authority", "another name", "expired"])
def test_what_could_be_anybody_gets_no_request(
    tmp_path: Path, postgres_url: str, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority()
    trusted = Authority("Other") if what == "another authority" else authority
    issued = authority.issue("elsewhere.example", here=False) if what == "another name" else None
    context = authority.server(issued=issued, days=-1 if what == "expired" else 10)
    with behind_tls(tmp_path, postgres_url, context, trusted) as (taker, front):
        reply = taker.api.call("GET", "/v1/links")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.json["detail"] == "The sending node cannot be reached from here."
        assert "certificate verify failed" in caplog.text
        assert not front.connections
