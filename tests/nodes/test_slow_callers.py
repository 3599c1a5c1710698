"""Callers that send slowly, or leave: at a node that takes in they keep nobody else waiting, and leave nothing open."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.nodes.forwarding import Nodes, request
from tidings.store.engines.nodes import Sender
from tidings.testing import TestServer, until
from tidings.web.wire.forwarding import LARGE_MOST, Forwarding


def forwarding(taker: TestServer) -> Forwarding:
    assert taker.server is not None
    found = taker.server.parts.forwarding
    assert found is not None
    return found


@contextmanager
def slow(taker: TestServer, count: int, head: bytes) -> Iterator[list[socket.socket]]:
    """Callers that have sent this much of a request, and send no more."""
    host, _, port = taker.url.removeprefix("http://").rpartition(":")
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(count)]
        for each in made:
            each.sendall(head)
        yield made


SMALL = {
    "a known length": request("POST /v1/links/x:pause", "Content-Length: 10", body=b"{"),
    "chunks": request("POST /v1/links/x:pause", "Transfer-Encoding: chunked", body=b"1\r\n{\r\n"),
    "the console": request("POST /console/sign-in", "Content-Length: 10", body=b"k"),
}


@pytest.mark.parametrize("what", SMALL)
def test_a_small_body_that_arrives_slowly_takes_no_place(nodes: Nodes, what: str) -> None:
    taker = nodes[1]
    share = forwarding(taker)._share
    with slow(taker, 20, SMALL[what]) as callers:
        # These came later, and are answered.
        assert all(taker.api.call("GET", "/v1/links").status == 200 for _ in range(3))
        until(lambda: share.used == forwarding(taker)._large.used == 0, "those that were answered have left")
        callers[0].sendall(b"1\r\n \r\n0\r\n\r\n" if what == "chunks" else b" " * 9)
        assert callers[0].recv(12).startswith(b"HTTP/1.1 4")


def test_large_bodies_that_arrive_slowly_take_places_of_their_own(nodes: Nodes) -> None:
    _, taker, known = nodes
    large = forwarding(taker)._large
    head = request("PUT /v1/links/x", "Content-Length: 100000", "Content-Type: application/json", body=b"{")
    # A sender that answers only once it has the body.
    with socket.create_server(("127.0.0.1", 0), backlog=LARGE_MOST) as silent:
        known.sender = Sender("silent", f"http://127.0.0.1:{silent.getsockname()[1]}", 0.0)
        forwarding(taker)._ask_at = 0.0
        with slow(taker, LARGE_MOST, head) as callers:
            until(lambda: large.view().refusals > 0, "one address has its part of them")
            assert 0 < large.used < LARGE_MOST
            known.sender = Sender("sender", nodes[0].url, 0.0)
            forwarding(taker)._ask_at = 0.0
            assert taker.api.call("GET", "/v1/links").status == 200
            assert taker.api.call("POST", "/v1/links/x:pause").status == 404
            refused = callers[-1].recv(200)
            assert refused.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in refused
    until(lambda: not large.used, "all places are free again")


# --- what stays open -------------------------------------------------------------------------------------------------


def leaves(callers: list[socket.socket]) -> None:
    """The callers go without waiting for a response."""


def waits(callers: list[socket.socket]) -> None:
    """The callers wait for the response, and until the server closes the connection."""
    left = set(callers)
    for each in callers:
        each.setblocking(False)

    def is_over(caller: socket.socket) -> bool:
        try:
            return not caller.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def look() -> bool:
        left.difference_update([each for each in left if is_over(each)])
        return not left

    until(look, "the server has closed all connections")


LARGE = ("PUT /v1/links/x", "Content-Length: 900000", "Content-Type: application/json")
BEGUN = {
    "a large body breaks off": (request(*LARGE, body=b"{" * 50_000), leaves, "sender"),
    "a large body is refused early": (request(*LARGE, body=b"{" * 50_000, key="tdk_wrong"), waits, "sender"),
    "a large body is too slow": (request(*LARGE, body=b"{" * 50_000), waits, "sender"),
    "a small body breaks off": (request("POST /v1/links/x:pause", "Content-Length: 9", body=b"{"), leaves, "sender"),
    "a small body is too slow": (request("POST /v1/links/x:pause", "Content-Length: 9", body=b"{"), waits, "sender"),
    "chunks break off": (request("PUT /v1/links/x", "Transfer-Encoding: chunked", body=b"9\r\n{"), leaves, "sender"),
    "many chunks break off": (
        request("PUT /v1/links/x", "Transfer-Encoding: chunked", body=b"ffff\r\n" + b"{" * 50_000),
        leaves,
        "sender",
    ),
    "nobody waits for the response": (request("GET /v1/health"), leaves, "sender"),
    "nobody waits for a silent sender": (request("GET /v1/links"), leaves, "silent"),
    "a silent sender is replaced": (request("GET /v1/links"), waits, "silent"),
    "a large body for a silent sender": (request(*LARGE, body=b"{" * 50_000), leaves, "silent"),
    "a large body for a sender that closes": (request(*LARGE, body=b"{" * 50_000), waits, "closing"),
    "a large body without a sender": (request(*LARGE, body=b"{" * 50_000), waits, "gone"),
    "no sender": (request("GET /v1/links"), waits, "gone"),
}


def connections() -> set[str]:
    """The connections over TCP that this process, with both nodes, has open."""
    tables = [Path(f"/proc/self/net/{name}") for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    ends = {f"socket:[{row[9]}]": f"{row[1]} {row[2]}" for row in rows}
    found = set()
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(ends.get(os.readlink(f"/proc/self/fd/{each}"), ""))
    return found - {""}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux has /proc")
@pytest.mark.parametrize("what", BEGUN)
def test_nothing_stays_open_of_a_request_that_failed(nodes: Nodes, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the garbage collector does not run: a server runs it seldom."""
    sender, taker, known = nodes
    data, ends, whose = BEGUN[what]
    for each in (sender, taker):
        assert each.server is not None
        monkeypatch.setattr(each.server.parts.bodies, "_seconds", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closing:
        addresses = {
            "sender": sender.url,
            "gone": "http://127.0.0.1:9",
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "closing": f"http://127.0.0.1:{closing.getsockname()[1]}",
        }
        known.sender = Sender(whose, addresses[whose], 0.0)
        forwarding(taker)._ask_at = 0.0
        gc.collect()
        gc.disable()
        try:
            before = connections()
            with slow(taker, 8, data) as callers:
                if whose == "closing":
                    for _ in callers:
                        closing.accept()[0].close()
                if whose == "silent":
                    until(lambda: len(forwarding(taker)._onward._open) >= 8, "all are there")
                    if ends is waits:
                        known.sender = Sender("sender", sender.url, 0.0)
                ends(callers)
            until(lambda: connections() <= before, "all is closed again", 12)
            assert not forwarding(taker)._share.used and not forwarding(taker)._large.used
        finally:
            gc.enable()
            known.sender = Sender("sender", sender.url, 0.0)
            forwarding(taker)._ask_at = 0.0
