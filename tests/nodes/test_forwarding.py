"""Any node answers any call: what only the sender can do is passed on to it, and nobody can tell but by the clock."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.console.visitor import Visitor
from tests.nodes.forwarding import Nodes, raw, request
from tidings.store.engines.nodes import Sender
from tidings.testing import TestServer
from tidings.testing.api import OPERATOR_KEY


@pytest.fixture
def taker(nodes: Nodes) -> Iterator[TestServer]:
    """The node that takes in; its sender is the real one again afterwards."""
    sender, taker, known = nodes
    known.sender = Sender("sender", sender.url, 0.0)
    yield taker
    known.sender = Sender("sender", sender.url, 0.0)


def forget(taker: TestServer) -> None:
    """Have it ask again who sends."""
    assert taker.server is not None
    forwarding = taker.server.parts.forwarding
    assert forwarding is not None
    forwarding._ask_at = 0.0


@contextmanager
def scripted(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A sender that reads the head of a request and does as told; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
                        head += piece
                    answer(connection, head)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            done.set()
            listening.shutdown(socket.SHUT_RDWR)


def test_what_is_about_lanes_is_answered_by_the_sender_wherever_it_is_asked(nodes: Nodes, taker: TestServer) -> None:
    sender = nodes[0]
    made = taker.api.call("POST", "/v1/endpoints", {"url": "http://127.0.0.1:9/"}).json
    # It was made where it arrived, and the request after it finds it at the other node at once.
    for node in (taker, sender):
        read = node.api.call("GET", f"/v1/endpoints/{made['id']}?counts=true")
        assert read.status == 200
        assert read.json["health"]["fails"] == 0
    edited = taker.api.call("PATCH", f"/v1/endpoints/{made['id']}", {"description": "edited"})
    assert (edited.status, edited.json["description"]) == (200, "edited")
    # Who edits through a node finds the edit in that node's own catalogue.
    assert taker.server is not None
    assert taker.server.parts.catalog.now.endpoints_by_id[made["id"]].description == "edited"
    tested = taker.api.call("POST", f"/v1/endpoints/{made['id']}:test")
    assert tested.status == 202
    # The sender has routed it in its own transaction.
    assert tested.json["delivery"] is not None
    assert taker.api.call("DELETE", f"/v1/endpoints/{made['id']}").status == 204
    assert taker.api.call("GET", f"/v1/endpoints/{made['id']}").status == 404


def echo(connection: socket.socket, head: bytes) -> None:
    """Answer with what was received, up to the end of the body."""
    wanted = re.search(rb"content-length: (\d+)", head)
    whole = head
    if wanted is not None:
        end = head.index(b"\r\n\r\n") + 4 + int(wanted[1])
        while len(whole) < end:
            whole += connection.recv(65536)
    elif b"transfer-encoding: chunked" in head:
        while not whole.endswith(b"0\r\n\r\n"):
            whole += connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(whole), whole))


@contextmanager
def other_sender(nodes: Nodes, answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """Have another sender, which answers as told."""
    _, taker, known = nodes
    with scripted(answer) as address:
        known.sender = Sender("other", address, 0.0)
        forget(taker)
        yield address
    forget(taker)


def passed(nodes: Nodes, data: bytes) -> bytes:
    """What the sender receives of a request to the node that takes in."""
    with other_sender(nodes, echo):
        answer = raw(nodes[1].url, data)
    assert answer.startswith(b"HTTP/1.1 200 OK"), answer[:500]
    return answer.partition(b"\r\n\r\n")[2]


def test_a_request_arrives_as_it_was_sent(nodes: Nodes, taker: TestServer) -> None:
    target = "/console/a%2Fb%20%E2%82%AC;x?q=%41&b=a+b&c='%27|[]"
    got = passed(nodes, request(f"GET {target}", "X-Two: 1", "X-Two: 2", "Accept-Encoding: gzip", "X-Tab: a\tb"))
    line, *headers = got.decode().split("\r\n")
    # The HTTP server decodes paths, and so does the sender's: it reads the same one.
    assert line == "GET /console/a/b%20%E2%82%AC;x?q=%41&b=a+b&c='%27|[] HTTP/1.1"
    assert [each for each in headers if not each.startswith("tidings-forwarded: ")] == [
        "host: tidings.example",
        "authorization: Bearer tdk_tests-only-operator-key-0000000000000000000",
        "x-two: 1",
        "x-two: 2",
        "accept-encoding: gzip",
        "x-tab: a\tb",
        "",
        "",
    ]


def test_headers_of_the_connection_stay_behind_and_the_body_is_framed_afresh(nodes: Nodes, taker: TestServer) -> None:
    hop = ("Keep-Alive: 5", "TE: trailers", "Trailer: X", "Upgrade: h2c", "HTTP2-Settings: AAM", "Proxy-Connection: x")
    got = passed(
        nodes,
        request(
            "PUT /v1/links/x",
            *hop,
            "Connection: X-Private, keep-alive, tidings-forwarded, host",
            "X-Private: 1",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            body=b"3\r\n{ }\r\n1;ext=1\r\n \r\n0\r\n\r\n",
            close=False,
        ),
    )
    head, _, body = got.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
    # In which pieces it came is of no interest, only that nothing was added or lost.
    assert names == [b"host", b"authorization", b"tidings-forwarded", b"content-length"]
    assert body == b"{ } "


def test_a_large_body_in_chunks_arrives_in_chunks(nodes: Nodes, taker: TestServer) -> None:
    chunks = [bytes([65 + at]) * 9_000 for at in range(5)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
    head, _, got = passed(nodes, request("PUT /v1/links/x", "Transfer-Encoding: chunked", body=body)).partition(
        b"\r\n\r\n"
    )
    assert b"transfer-encoding: chunked" in head and b"content-length" not in head
    assert b"".join(re.findall(rb"[0-9a-f]+\r\n([A-Z]*)\r\n", got)) == b"".join(chunks)
    assert got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("length", [0, 1, 200_000])
def test_a_body_of_known_length_keeps_it(nodes: Nodes, taker: TestServer, length: int) -> None:
    got = passed(nodes, request("POST /v1/links:apply", f"Content-Length: {length}", body=b"x" * length))
    head, _, body = got.partition(b"\r\n\r\n")
    assert f"content-length: {length}".encode() in head
    assert body == b"x" * length


def test_the_sender_knows_who_calls(nodes: Nodes, taker: TestServer) -> None:
    forged = "Tidings-Forwarded: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
    got = passed(nodes, request("GET /v1/links/x", forged, forged)).decode()
    assert got.count("tidings-forwarded: ") == 1
    header = re.findall("tidings-forwarded: (.*)\r", got)[0]
    # It says nothing to those who read it, and works for nobody else.
    assert "127.0.0.1" not in base64.urlsafe_b64decode(header + "==").decode("latin-1")
    assert b"503 " in raw(nodes[0].url, request("GET /v1/links/x", f"Tidings-Forwarded: {header}"))[:20]


def test_what_was_passed_on_is_not_passed_on_again(nodes: Nodes, taker: TestServer) -> None:
    _, _, known = nodes
    # The store says that this node itself were the sender, under another name: a loop, if there could be one.
    known.sender = Sender("other", taker.url, 0.0)
    forget(taker)
    began = time.monotonic()
    reply = taker.api.call("GET", "/v1/links")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json["code"] == "unavailable"
    assert reply.json["detail"] == "The sending node has just changed."
    assert time.monotonic() - began < 2
    # Under its own name, not even that.
    known.sender = Sender("taker", taker.url, 0.0)
    forget(taker)
    assert taker.api.call("GET", "/v1/links").json["detail"].startswith("No node is sending right now")
    forget(taker)


@pytest.mark.parametrize(
    ("sender", "said"),
    [
        (None, "No node is sending"),
        (Sender("gone", "http://127.0.0.1:9", 0.0), "cannot be reached"),
        (Sender("silent", "http://127.0.0.1:9", 10.5), "No node is sending"),
        (Sender("odd", "file:///etc/passwd", 0.0), "cannot be reached"),
        (Sender("odd", "http://someone@127.0.0.1:9", 0.0), "cannot be reached"),
        (Sender("odd", "127.0.0.1", 0.0), "cannot be reached"),
        # Nobody answers there (RFC 5737), and nobody refuses.
        pytest.param(Sender("nowhere", "http://192.0.2.1:9", 0.0), "cannot be reached", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("path", ["/v1/links", "/console", "/portal/x"])
def test_without_a_sender_the_caller_hears_when_to_try_again(
    nodes: Nodes, taker: TestServer, sender: Sender | None, said: str, path: str
) -> None:
    nodes[2].sender = sender
    forget(taker)
    began = time.monotonic()
    reply = taker.api.call("GET", path)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert said in reply.body.decode()
    assert "127.0.0.1" not in reply.body.decode()
    assert time.monotonic() - began < 5
    forget(taker)


def answers(data: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, head: connection.sendall(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    ],
)
def test_an_answer_that_cannot_be_read_is_a_sentence(nodes: Nodes, taker: TestServer, data: bytes) -> None:
    with other_sender(nodes, answers(data)):
        reply = taker.api.call("POST", "/v1/links/x:pause")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert "It is unknown whether the request was carried out" in reply.json["detail"]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX",
    ],
)
def test_a_long_answer_that_breaks_off_is_not_taken_for_whole(nodes: Nodes, taker: TestServer, head: bytes) -> None:
    with other_sender(nodes, answers(head + b"x" * 1_000)), pytest.raises(OSError):
        taker.api.call("GET", "/v1/links")


def test_an_answer_of_any_size_and_framing_arrives_whole(nodes: Nodes, taker: TestServer) -> None:
    content = b"0123456789" * 50_000
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(each), each) for each in (content[:7], content[7:300_000], content[300_000:])
    )
    for framed in (
        b"Content-Length: %d\r\n\r\n%b" % (len(content), content),
        b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: 1\r\n\r\n",
        b"\r\n" + content,
    ):
        with other_sender(
            nodes, answers(b"HTTP/1.1 201 Created\r\nX-Own: 1\r\nConnection: X-Own\r\nX-Two: 2\r\n" + framed)
        ):
            reply = taker.api.call("GET", "/v1/links")
        assert reply.status == 201
        assert reply.body == content
        assert "x-own" not in reply.headers
        assert reply.headers["x-two"] == "2"


def test_statuses_without_a_body_and_head(nodes: Nodes, taker: TestServer) -> None:
    for status in (b"204 No Content", b"304 Not Modified"):
        with other_sender(nodes, answers(b"HTTP/1.1 " + status + b'\r\nETag: "1"\r\n\r\n')):
            reply = taker.api.call("GET", "/v1/links")
        assert (reply.status, reply.body, reply.headers["etag"]) == (int(status[:3]), b"", '"1"')
    with other_sender(nodes, answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")):
        answer = raw(taker.url, request("HEAD /v1/links"))
    assert b"content-length: 1234" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_who_waits_for_a_sender_that_was_replaced_is_answered(nodes: Nodes, taker: TestServer) -> None:
    """A frozen sender keeps its connections; what waits for it must not wait for longer than it is the sender."""
    sender, _, known = nodes
    reached, over = threading.Event(), threading.Event()

    def frozen(connection: socket.socket, head: bytes) -> None:
        reached.set()
        over.wait(30)

    with other_sender(nodes, frozen), ThreadPoolExecutor() as pool:
        waiting = pool.submit(taker.api.call, "POST", "/v1/links/x:pause")
        assert reached.wait(5)
        known.sender = Sender("sender", sender.url, 0.0)
        began = time.monotonic()
        reply = waiting.result(10)
        over.set()
    assert (reply.status, reply.json["code"]) == (503, "unavailable")
    assert time.monotonic() - began < 3


def test_a_refusal_before_the_end_of_the_body_reaches_the_caller(nodes: Nodes, taker: TestServer) -> None:
    """As at the sender itself: it answers once it has seen enough, while the caller still sends."""
    for length, status in ((900_000, 401), (6_000_000, 413)):
        headers = [f"Content-Length: {length}", "Content-Type: application/json"]
        data = request("PUT /v1/links/x", *headers, body=b"x" * length, key="tdk_wrong")
        assert raw(taker.url, data).startswith(f"HTTP/1.1 {status} ".encode())
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (6_000_000, b"x" * 6_000_000)
    headers = ["Transfer-Encoding: chunked", "Content-Type: application/json"]
    assert raw(taker.url, request("PUT /v1/links/x", *headers, body=chunked)).startswith(b"HTTP/1.1 413 ")


def test_connections_are_used_again(nodes: Nodes, taker: TestServer) -> None:
    seen: list[int] = []

    def keeps(connection: socket.socket, head: bytes) -> None:
        seen.append(connection.getpeername()[1])
        for _ in range(4):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            if not connection.recv(65536):
                return

    with other_sender(nodes, keeps):
        for _ in range(4):
            assert taker.api.call("GET", "/v1/links").status == 200
        assert len(seen) == 1
        # It closes after four answers; a GET is then sent again, on another connection.
        assert taker.api.call("GET", "/v1/links").status == 200
        assert len(seen) == 2


def test_the_console_is_served_through_any_node_live_parts_included(nodes: Nodes, taker: TestServer) -> None:
    visitor = Visitor(taker.url)
    assert visitor.sign_in("tdk_wrong").status == 401
    assert visitor.sign_in(OPERATOR_KEY).status == 303
    assert "<main" in visitor.get("/endpoints")
    style = re.findall(r'href="(/console/@/[^"]*\.css[^"]*)"', visitor.get())[0]
    packed = taker.api.call("GET", style, headers={"Accept-Encoding": "gzip"})
    assert packed.status == 200
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection = http.client.HTTPConnection(taker.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/console/live?page=", headers={"Cookie": cookie})
    with contextlib.closing(connection):
        stream = connection.getresponse()
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        assert stream.read1(10)


def test_the_pages_of_a_portal_are_served_through_any_node(nodes: Nodes, taker: TestServer) -> None:
    tenant = taker.api.call("POST", "/v1/tenants", {"id": "acme", "name": "Acme"})
    assert tenant.status == 201, tenant.body
    link = taker.api.call("POST", "/v1/tenants/acme/portal-links", {}).json
    url, _, token = link["url"].partition("#")
    path, anybody = f"/portal{url.partition('/portal')[2]}", taker.api.with_key(None)
    # It was made at this node, and is opened at the other one.
    assert anybody.call("GET", path).status == 200
    opened = anybody.call("POST", f"{path}/@/session", {"token": token.rpartition("=")[2]})
    assert opened.status == 201, opened.body


def test_a_caller_that_leaves_frees_its_place(nodes: Nodes, taker: TestServer) -> None:
    arrived, left = threading.Event(), threading.Event()

    def waits(connection: socket.socket, head: bytes) -> None:
        arrived.set()
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            if not connection.recv(1):
                left.set()

    with other_sender(nodes, waits):
        host, _, port = taker.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(request("POST /v1/links/x:pause"))
            assert arrived.wait(5)
        assert left.wait(5)


def test_one_address_cannot_take_all_places(nodes: Nodes, taker: TestServer) -> None:
    assert taker.server is not None
    forwarding = taker.server.parts.forwarding
    assert forwarding is not None
    share = forwarding._share
    share.hold("192.0.2.7", 750)
    try:
        assert taker.api.call("GET", "/v1/links").status == 200
        share.hold("127.0.0.1", 190)
        refused = taker.api.call("GET", "/v1/links")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    finally:
        share.give_back("127.0.0.1", 190)
        share.give_back("192.0.2.7", 750)
    assert taker.api.call("GET", "/v1/links").status == 200


HOSTILE = {
    "two lengths": (
        b"POST /v1/links/x:pause HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
    ),
    "a length with a sign": (b"POST /v1/links/x:pause HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400),
    "no host": (b"GET /v1/links HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /v1/links HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two keys": (request("GET /v1/links", "Authorization: Bearer other"), 400),
    "a hundred headers": (request("GET /v1/links", *[f"X-{n}: 1" for n in range(98)], close=False), 200),
    "a hundred headers and a body": (
        request("PUT /v1/links/x", *[f"X-{n}: 1" for n in range(97)], "Content-Length: 2", body=b"{}", close=False),
        422,
    ),
    "a hundred headers of one name": (request("GET /v1/links", *["X: 1"] * 98, close=False), 200),
    "more than a hundred headers": (request("GET /v1/links", *[f"X-{n}: 1" for n in range(99)], close=False), 431),
    "large headers": (request("GET /v1/links", "X: " + "a" * 300_000), 431),
    "a line break in the path": (request("GET /v1/links/a%0d%0aX:%201"), 400),
    "a path that is not UTF-8": (request("GET /v1/links/a%ff"), 400),
    "an upgrade": (request("GET /v1/links", "Upgrade: websocket", "Connection: Upgrade", close=False), 200),
    "a wish": (request("PUT /v1/links/x", "Expect: 100-continue", "Content-Length: 2", body=b"{}"), 100),
    "a folded header": (b"GET /v1/links HTTP/1.1\r\nHost: a\r\nX: 1\r\n Y: 2\r\n\r\n", 400),
    "an unknown method": (request("FOO /v1/links"), 405),
    "an unknown method at the console": (request("FOO /console"), 404),
    "a short body": (
        request("PUT /v1/links/x", "Content-Length: 9", "Content-Type: application/json", body=b"{}"),
        408,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_odd_is_refused_as_at_the_sender_itself(nodes: Nodes, taker: TestServer, what: str) -> None:
    """Nothing of a request can become another one on the connection between the nodes."""
    data, status = HOSTILE[what]
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda url: raw(url, data, 12 if status == 408 else 2), (nodes[0].url, taker.url)))
    got = [int(re.findall(rb"HTTP/1\.1 (\d+) ", each)[0]) for each in said]
    assert got == [status, status], said
    counts = [len(re.findall(rb"^HTTP/1\.1 ", each, re.MULTILINE)) for each in said]
    assert counts[0] == counts[1]
    assert taker.api.call("GET", "/v1/links").status == 200


def test_a_second_request_in_a_body_is_only_a_body(nodes: Nodes, taker: TestServer) -> None:
    inner = request("DELETE /v1/links/x")
    for headers, body in (
        ([f"Content-Length: {len(inner)}"], inner),
        (["Transfer-Encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)),
        (["Content-Length: 3", "Transfer-Encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)),
    ):
        heads: list[bytes] = []

        def count(connection: socket.socket, head: bytes, heads: list[bytes] = heads) -> None:
            heads.append(head)
            echo(connection, head)

        with other_sender(nodes, count):
            raw(taker.url, request("PUT /v1/links/x", *headers, body=body))
        assert len(heads) == 1
