"""Any method leaves as it was asked for, and as much of an answer comes back as was asked for."""

from __future__ import annotations

import socket

import pytest

from tests.net.world import FINE, Answer, client, failed, fetch, listening, saying
from tidings.net.http import AnswerLimits, HttpClient

__all__ = ["client"]

METHODS = ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH"]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_without_a_body(client: HttpClient, method: str) -> None:
    with listening(saying(FINE)) as server:
        reply = fetch(client, server.url("/x?a=b"), method=method, body=b"", headers=["Content-Type:"])
    assert (failed(reply), reply.status, reply.body) == (None, 200, b"")
    head, _, body = server.posts[0].partition(b"\r\n\r\n")
    assert head.startswith(f"{method} /x?a=b HTTP/1.1\r\n".encode()) and body == b""
    assert (b"Content-Length: 0" in head) is (method in ("POST", "PUT", "PATCH"))
    assert b"content-type" not in head.lower() and b"transfer-encoding" not in head.lower()


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT", "PATCH", "REPORT"])
def test_a_method_with_a_body(client: HttpClient, method: str) -> None:
    with listening(saying(FINE)) as server:
        reply = fetch(client, server.url(), method=method, body=b"some", headers=["Content-Type: text/plain"])
    assert reply.status == 200
    head, _, body = server.posts[0].partition(b"\r\n\r\n")
    assert head.startswith(method.encode() + b" / ") and body == b"some"
    assert b"Content-Type: text/plain" in head


def test_one_method_after_another_on_one_connection(client: HttpClient) -> None:
    sent = [(method, b"") for method in METHODS if method not in ("POST", "PATCH")]
    sent += [(method, b"x") for method in METHODS if method != "HEAD"]
    sent += sent[::-1]
    with listening(saying(FINE)) as server:
        for method, body in sent:
            assert fetch(client, server.url(), method=method, body=body).status == 200
        assert server.connections == 1
    assert [(each.split()[0].decode(), each.partition(b"\r\n\r\n")[2]) for each in server.posts] == sent


@pytest.mark.parametrize(
    ("method", "body"), [("POST", b""), ("POST", b"x"), ("PATCH", b""), ("PATCH", b"x"), ("PUT", b"x"), ("REPORT", b"")]
)
def test_an_unrepeatable_request_is_sent_once_if_connections_break(
    client: HttpClient, method: str, body: bytes
) -> None:
    answers: list[Answer] = [saying(FINE), lambda connection: "close"]

    def answer(connection: socket.socket) -> object:
        return (answers.pop(0) if len(answers) > 1 else answers[0])(connection)

    with listening(answer) as server:
        assert fetch(client, server.url(), method=method, body=body).status == 200
        reply = fetch(client, server.url(), method=method, body=body)
    assert (failed(reply), reply.status, len(server.posts)) == ("answer", None, 2)


def test_every_header_of_the_answer_can_be_read(client: HttpClient) -> None:
    text = b'HTTP/1.1 503 No\r\nRETRY-after:  17 \r\nETag: "a"\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 0\r\n\r\n'
    with listening(saying(text)) as server:
        reply = fetch(client, server.url())
    assert (reply.header("retry-after"), reply.header("etag"), reply.header("x-two")) == ("17", '"a"', "1")
    assert reply.header("x") is None and reply.header("http/1.1 503 no") is None
    assert [line.partition(b":")[0] for line in reply.lines[1:]] == [
        b"RETRY-after",
        b"ETag",
        b"X-Two",
        b"X-Two",
        b"Content-Length",
    ]


def test_an_earlier_reply_keeps_its_headers(client: HttpClient) -> None:
    answers = saying(
        b"HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: 2\r\nContent-Length: 0\r\n\r\n"
    )
    with listening(answers) as server:
        first, second = fetch(client, server.url()), fetch(client, server.url())
    assert (first.header("x"), second.header("x")) == ("1", "2")


def test_the_body_is_cut_at_the_requested_length(client: HttpClient) -> None:
    with listening(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)) as server:
        whole = fetch(client, server.url(), wanted=AnswerLimits(keep_bytes=1_000_000, read_bytes=1_000_000))
        some = fetch(client, server.url(), wanted=AnswerLimits(keep_bytes=10, read_bytes=1_000_000))
        assert server.connections == 1
        cut = fetch(client, server.url(), wanted=AnswerLimits(keep_bytes=100_000, read_bytes=100_000))
    assert (failed(whole), whole.body) == (None, b"x" * 300_000)
    assert (failed(some), some.body) == (None, b"x" * 10)
    assert (failed(cut), cut.status, cut.body) == ("body_too_long", 200, b"x" * 100_000)
