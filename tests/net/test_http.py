"""The HTTP client against real sockets: every way to fail has its name, and no private address is dialled."""

from __future__ import annotations

import socket

import pytest

from tests.net.world import FINE, client, failed, fetch, listening, reason, saying
from tidings.net.http import A_GLANCE, HttpClient, HttpRequest, Reply
from tidings.rules.network import address

__all__ = ["client"]


def test_a_good_answer(client: HttpClient) -> None:
    with listening(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as server:
        reply = fetch(client, server.url("/hook"), headers=["webhook-id: e1"])
    assert (reply.failure, reply.status, reply.body) == (None, 200, b"ok")
    head, _, body = server.posts[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"webhook-id: e1" in head
    assert b"User-Agent: Tidings/test" in head
    assert body == b"hello"


@pytest.mark.parametrize(
    ("answer", "why", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None, 204),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", None, 500),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", None, 410),
        (b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", None, 302),
        (b"this is not HTTP\r\n\r\n", "answer", None),
        (b"", "answer", None),
    ],
)
def test_each_response_is_reported_as_received(
    client: HttpClient, answer: bytes, why: str | None, status: int | None
) -> None:
    with listening(saying(answer, then="close")) as server:
        reply = fetch(client, server.url())
    assert (failed(reply), reply.status) == (why, status)
    assert len(server.posts) == 1, "a redirect is not followed, a broken answer is not asked for again"


def test_a_huge_answer_is_cut_while_reading(client: HttpClient) -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 50_000_000:
            sent += 65536
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    with listening(flood) as server:
        reply = fetch(client, server.url())
    assert (reply.answered, failed(reply)) == (True, "body_too_long")
    assert reply.body == b"x" * A_GLANCE.keep_bytes
    assert sent < 50_000_000


def test_headers_do_not_stay_for_the_next_request(client: HttpClient) -> None:
    with listening(saying(FINE)) as server:
        fetch(client, server.url(), headers=["Authorization: Bearer of-the-first"])
        fetch(client, server.url())
    assert [b"of-the-first" in post for post in server.posts] == [True, False]


def test_nobody_listens(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert failed(fetch(client, f"http://127.0.0.1:{port}/")) == "connection"


def test_an_unknown_name(client: HttpClient) -> None:
    assert failed(fetch(client, "http://does-not-exist.invalid/")) == "name"


def test_plain_http_behind_https(client: HttpClient) -> None:
    with listening(saying(FINE, then="close")) as server:
        assert failed(fetch(client, server.url().replace("http:", "https:"))) == "tls"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
        "100.64.0.1",
    ],
)
def test_no_private_address_is_dialled_in_any_spelling(host: str) -> None:
    client = HttpClient(address.refusal, "Tidings/test")
    with listening(saying(FINE)) as server:
        reply = fetch(client, f"http://{host}:{server.port}/")
    client.close()
    assert failed(reply) == "address"
    assert reason(reply)
    assert server.connections == 0


def test_the_address_is_judged_at_the_moment_of_connecting() -> None:
    """A name that was harmless when it was registered and points inwards now (rebinding) is refused all the same."""
    asked: list[str] = []

    def judge(ip: str) -> str | None:
        asked.append(ip)
        return address.refusal(ip) if len(asked) > 1 else None

    client = HttpClient(judge, "Tidings/test")
    with listening(saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) as server:
        first = fetch(client, server.url())
        second = fetch(client, server.url())
    client.close()
    assert first.status == 200
    assert failed(second) == "address"
    assert len(server.posts) == 1


def test_a_proxy_of_the_environment_is_not_used(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with listening(saying(FINE)) as server:
        assert fetch(client, server.url()).status == 200


@pytest.mark.slow
def test_many_at_once_over_few_connections(client: HttpClient) -> None:
    replies: list[Reply] = []
    with listening(saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) as server:
        for _ in range(50):
            client.send(HttpRequest(server.url(), [], b"x", 10.0), replies.append)
        assert client.in_flight == 50
        while len(replies) < 50:
            client.poll(1.0)
    assert {reply.failure for reply in replies} == {None}
    assert len(server.posts) == 50


def test_a_header_that_breaks_the_line_cannot_be_built(client: HttpClient) -> None:
    with pytest.raises(ValueError, match="cannot be built"):
        client.send(HttpRequest("http://127.0.0.1:1/", ["x: \ud800"], b"", 1.0), lambda reply: None)
    assert client.in_flight == 0
