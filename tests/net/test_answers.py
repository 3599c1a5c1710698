"""The head of an answer decides; and a POST that left is never sent again."""

from __future__ import annotations

import inspect
import socket
import struct
import threading
import time
from typing import get_args

import pytest

from tests.net.world import FINE, Answer, client, failed, fetch, listening, reason, saying
from tidings.net import reply as replies
from tidings.net.http import CONNECTION_SECONDS, AnswerLimits, FailureKind, HttpClient
from tidings.net.reply import AFTER_STATUS

__all__ = ["client"]


def reset(connection: socket.socket) -> str:
    """Close without a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return "close"


def in_turn(*answers: Answer) -> Answer:
    """Each answer once, the last forever."""
    left = list(answers)
    return lambda connection: (left.pop(0) if len(left) > 1 else left[0])(connection)


@pytest.mark.parametrize(
    "status",
    [b"200", b"500", b"410", b"302"],
)
@pytest.mark.parametrize(
    ("rest", "read"),
    [
        (b"Content-Length: 100\r\n\r\nhello", 5),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 5),
        (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 0),
    ],
)
def test_a_complete_head_is_the_response_whatever_happens_to_the_body(
    client: HttpClient, status: bytes, rest: bytes, read: int
) -> None:
    with listening(saying(b"HTTP/1.1 " + status + b" So\r\n" + rest, then="close")) as server:
        reply = fetch(client, server.url())
    assert (reply.answered, reply.status, failed(reply)) == (True, int(status), "body_broken")
    assert reason(reply) == f"The response body broke off after {read} bytes."
    assert len(server.posts) == 1


def test_a_body_that_drips_is_not_waited_for(client: HttpClient) -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b"x")

    with listening(drip) as server:
        begun = time.monotonic()
        reply = fetch(client, server.url(), timeout_seconds=30, wanted=AnswerLimits(seconds=0.2))
        stop.set()
    assert (reply.answered, reply.status, failed(reply)) == (True, 200, "body_too_slow")
    assert "was not complete after" in reason(reply)
    assert time.monotonic() - begun < 10


def test_the_time_limit_ends_a_body_too(client: HttpClient) -> None:
    with listening(saying(b"HTTP/1.1 503 No\r\nRetry-After: 9\r\nContent-Length: 10\r\n\r\nx")) as server:
        reply = fetch(client, server.url(), timeout_seconds=0.3)
    assert (reply.answered, reply.status, reply.header("retry-after"), reply.body) == (True, 503, "9", b"x")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Len", "broke off before its headers were complete"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed before a response"),
        (b"HTTP/1.1 103 Early Hints\r\nno colon\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "not valid HTTP"),
        (b"", "closed before a response"),
        (b"HTTP/7.0 200 OK\r\n\r\n", "not HTTP"),
    ],
)
def test_an_incomplete_head_is_a_broken_answer_with_the_right_sentence(
    client: HttpClient, answer: bytes, why: str
) -> None:
    with listening(saying(answer, then="close")) as server:
        reply = fetch(client, server.url())
    assert failed(reply) == "answer"
    assert why in reason(reply)
    assert "curl" not in reason(reply)


@pytest.mark.parametrize("status", [b"200", b"422"])
@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (b"X: " + b"a" * 150_000 + b"\r\n\r\n", "response headers are too long"),
        (b"X: " * 6 + b"a" * 90_000 + b"\r\n" + b"Y: b\r\n" * 60_000 + b"\r\n", "are too long"),
        (b"X: a\r\n" * 5_001 + b"\r\n", "are too long"),
        (b"Content-Length: many\r\n\r\n", "not valid HTTP"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "not valid HTTP"),
        (b"Content-Length: -5\r\n\r\n", "not valid HTTP"),
        (b"no colon\r\n\r\n", "not valid HTTP"),
        (b"X: a\0b\r\n\r\n", "not valid HTTP"),
        (b"Transfer-Encoding: gzip\r\n\r\n", "encoding that cannot be read"),
    ],
)
def test_a_status_line_counts_whatever_nonsense_follows(
    client: HttpClient, status: bytes, rest: bytes, why: str
) -> None:
    nonsense = saying(b"HTTP/1.1 " + status + b" So\r\n" + rest)
    with listening(in_turn(nonsense, saying(FINE))) as server:
        reply = fetch(client, server.url())
        assert (reply.answered, reply.status, failed(reply)) == (True, int(status), "head")
        assert len(reply.lines) == 1
        assert "Only its status line was read. " in reason(reply) and why in reason(reply)
        # Nothing of the nonsense is taken for the answer to the next one.
        assert fetch(client, server.url()).status == 200
        assert server.connections == 2


def test_every_error_of_libcurl_has_a_sentence_without_its_words() -> None:
    for number in range(1, 102):
        failure = replies.failure(number, "", 0)
        assert failure.kind in get_args(FailureKind) and failure.kind not in AFTER_STATUS
        assert failure.reason[0].isupper() and failure.reason.endswith(".")
    assert "this server" in replies.failure(93, "", 0).reason


def test_interim_answers_and_trailers_are_not_the_answer(client: HttpClient) -> None:
    text = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\nHTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n"
    with listening(saying(text + b"0\r\nRetry-After: 2\r\n\r\n")) as server:
        reply = fetch(client, server.url())
    assert (reply.status, reply.header("retry-after")) == (503, None)


@pytest.mark.parametrize("broken", [lambda connection: "close", reset])
def test_a_request_on_a_kept_connection_that_breaks_is_not_repeated(client: HttpClient, broken: Answer) -> None:
    with listening(in_turn(saying(FINE), broken)) as server:
        assert fetch(client, server.url()).status == 200
        reply = fetch(client, server.url())
        assert (failed(reply), reply.status) == ("answer", None)
        assert "kept from an earlier request" in reason(reply)
        assert len(server.posts) == 2
        assert server.connections == 1


@pytest.mark.parametrize("leave", [lambda connection: "close", reset])
def test_a_server_that_silently_closes_after_each_response_gets_every_post(client: HttpClient, leave: Answer) -> None:
    def answer(connection: socket.socket) -> object:
        connection.sendall(FINE)
        return leave(connection)

    with listening(answer) as server:
        for count in range(1, 4):
            assert fetch(client, server.url(), body=b"%d" % count).status == 200
            server.until_closed(count)
        assert [post[-1:] for post in server.posts] == [b"1", b"2", b"3"]


def test_a_kept_connection_that_speaks_at_rest_is_not_used_and_disturbs_nobody(client: HttpClient) -> None:
    """As a server does that says 408 before it gives up an idle connection."""
    at_rest = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(FINE)
        at_rest.wait(5)
        connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

    with listening(in_turn(answer, saying(FINE))) as server:
        assert fetch(client, server.url()).status == 200
        at_rest.set()
        # What it said ends the first wait, and not the next one.
        client.poll(5.0)
        began = time.monotonic()
        client.poll(0.05)
        assert time.monotonic() - began > 0.04
        assert fetch(client, server.url()).status == 200
        assert (server.connections, len(server.posts)) == (2, 2)


def test_a_connection_with_the_number_of_a_closed_one_is_watched(client: HttpClient) -> None:
    kept = [1, 1, 1, 0, 1]

    def answer(connection: socket.socket) -> str:
        connection.sendall(FINE)
        return "" if kept.pop(0) else "close"

    with listening(answer) as first, listening(saying(FINE, then="close")) as second:
        for count in range(1, 6):
            # libcurl closes the second one's on its own, and opens others by the same number.
            assert fetch(client, first.url(), timeout_seconds=2.0).status == 200
            assert fetch(client, second.url(), timeout_seconds=2.0).status == 200
            second.until_closed(count)
        assert (first.connections, second.connections) == (2, 5)


@pytest.mark.slow
def test_a_connection_is_reused_but_not_forever() -> None:
    client = HttpClient(lambda ip: None, "Tidings/test", connection_seconds=1)
    with listening(saying(FINE)) as server:
        begun = time.monotonic()
        while time.monotonic() - begun < 0.5:
            assert fetch(client, server.url()).status == 200
        assert server.connections == 1
        while server.connections == 1 and time.monotonic() - begun < 10:
            assert fetch(client, server.url()).status == 200
        assert server.connections == 2
    client.close()


def test_a_connection_lives_two_minutes_at_most_by_default() -> None:
    assert inspect.signature(HttpClient).parameters["connection_seconds"].default == CONNECTION_SECONDS == 120
