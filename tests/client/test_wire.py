"""Both clients against scripted answers: retries, broken connections, and every way in which an answer can end."""

from __future__ import annotations

import json
import re
import socket
import threading
from typing import Any

import pytest

from tests.client.conftest import MakeFace, Script
from tidings.client import ApiError, BadAnswer, ConnectionFailed, Unavailable
from tidings.client.exchange import ClientReply, ClientRequest, delay_before_retry


def answer(status: int, value: Any = None, *headers: str, media: str = "application/json") -> bytes:
    body = b"" if value is None else json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {media}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def problem(status: int, *headers: str) -> bytes:
    return answer(status, {"code": "x", "detail": "So it is."}, *headers, media="application/problem+json")


def test_a_busy_server_is_asked_again_with_the_same_key(face: MakeFace, script: Script) -> None:
    script.answers = [problem(503, "Retry-After: 0"), problem(429, "Retry-After: 0"), answer(202, {"id": "evt_1"})]
    assert face(script.url).call("publish", "a.b", {}) == {"id": "evt_1"}
    keys = {re.search(rb"(?i)idempotency-key: (\S+)", request)[1] for request in script.requests}  # type: ignore[index]
    assert len(script.requests) == 3 and len(keys) == 1


def test_it_stops_retrying_and_says_why(face: MakeFace, script: Script) -> None:
    script.answers = [problem(503, "Retry-After: 0")] * 2
    with pytest.raises(Unavailable, match=r"So it is\."):
        face(script.url, retries=1).call("publish", "a.b", {})


def test_a_broken_connection_is_retried_if_that_is_safe(face: MakeFace, script: Script) -> None:
    script.answers = [Script.CLOSE, answer(202, {"id": "evt_1"})]
    assert face(script.url).call("publish", "a.b", {}) == {"id": "evt_1"}


def test_a_call_that_may_have_been_made_is_not_repeated(face: MakeFace, script: Script) -> None:
    script.answers = [Script.CLOSE]
    with pytest.raises(ConnectionFailed) as failed:
        face(script.url).call("test_endpoint", "ep_1")
    assert failed.value.sent and len(script.requests) == 1


def test_connections_are_kept_and_stale_ones_replaced(face: MakeFace, script: Script) -> None:
    client = face(script.url)
    script.answers = [answer(200, {}), answer(200, {}), answer(200, {}, "Connection: close"), answer(200, {})]
    for _ in range(4):
        client.call("send", ClientRequest("GET", "/"))
    assert script.connections == 2


@pytest.mark.parametrize(
    "text",
    [
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\n{"a":\r\n2\r\n1}\r\n0\r\nTrailer: x\r\n\r\n',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}',
        b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a":1}',
        b'HTTP/1.0 200 OK\r\n\r\n{"a":1}',
    ],
)
def test_responses_may_end_in_any_way(face: MakeFace, script: Script, text: bytes) -> None:
    script.answers = [text]
    assert face(script.url).call("send", ClientRequest("GET", "/")) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 500 Bad\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n[]",
    ],
)
def test_responses_of_other_servers_are_recognized(face: MakeFace, script: Script, text: bytes) -> None:
    script.answers = [text]
    with pytest.raises((BadAnswer, ConnectionFailed)):
        face(script.url, retries=0, timeout_seconds=2).call("send", ClientRequest("GET", "/"))


def test_a_proxys_limit_for_bodies_is_named(face: MakeFace, script: Script) -> None:
    """A relay of an outbox would only say that events stay where they are."""
    script.answers = [b"HTTP/1.1 413 Too Large\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno"]
    with pytest.raises(BadAnswer, match=r"A proxy, not the server, answered 413: .* client_max_body_size 0"):
        face(script.url, retries=0, timeout_seconds=2).call("send", ClientRequest("POST", "/", body=b"{}"))


def test_a_silent_server_times_out(face: MakeFace, script: Script) -> None:
    script.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"]
    with pytest.raises(ConnectionFailed, match="in time"):
        face(script.url, retries=0, timeout_seconds=0.2).call("send", ClientRequest("GET", "/"))


def test_a_path_before_the_api_and_the_key_are_sent(face: MakeFace, script: Script) -> None:
    script.answers = [answer(200, {"data": [], "next_cursor": None})]
    assert face(script.url + "/tidings/", "tdk_x").call("events", type="a&b", tenant=None) == []
    assert script.requests[0].startswith(b"GET /tidings/v1/events?type=a%26b HTTP/1.1\r\n")
    assert b"Authorization: Bearer tdk_x\r\n" in script.requests[0]


def test_lists_go_from_page_to_page(face: MakeFace, script: Script) -> None:
    script.answers = [
        answer(200, {"data": [1, 2], "next_cursor": "c"}),
        answer(200, {"data": [3], "next_cursor": None}),
    ]
    assert face(script.url).call("keys") == [1, 2, 3]
    assert b"cursor=c" in script.requests[1]


def test_a_header_cannot_be_split(face: MakeFace, script: Script) -> None:
    with pytest.raises(ValueError, match=r"(?i)header|control"):
        face(script.url).call("publish", "a.b", {}, idempotency_key="x\r\nEvil: 1")
    assert not script.requests


def test_an_unknown_kind_of_problem_is_an_api_error(face: MakeFace, script: Script) -> None:
    script.answers = [problem(418)]
    with pytest.raises(ApiError) as wrong:
        face(script.url).call("keys")
    assert (wrong.value.status, wrong.value.code) == (418, "x")


def test_retries_follow_the_response() -> None:
    get, post, once = (
        ClientRequest("GET", "/"),
        ClientRequest("POST", "/"),
        ClientRequest("POST", "/", headers={"Idempotency-Key": "k"}),
    )

    def delay(request: ClientRequest, status: int, *, after: str = "", tries: int = 1) -> float | None:
        reply = ClientReply(status, {"retry-after": after} if after else {}, b"")
        return delay_before_retry(request, reply, tries, 4, 0.5)

    assert delay(get, 503) == delay(once, 503) == 0.2
    assert delay(post, 503) is None, "it may have been done"
    assert delay(post, 429) == 0.2, "it was not done"
    assert delay(get, 503, tries=4) == 1.6 and delay(get, 503, tries=5) is None
    assert delay(get, 503, after="7") == 7 and delay(get, 503, after="3600") is None
    assert delay(get, 500) is None and delay(get, 404) is None
    lost, unsent = ConnectionFailed("x", sent=True), ConnectionFailed("x", sent=False)
    assert delay_before_retry(post, lost, 1, 4, 0.5) is None
    assert delay_before_retry(post, unsent, 1, 4, 0.5) == delay_before_retry(get, lost, 1, 4, 0.5) == 0.2


@pytest.mark.slow
def test_https_to_a_server_without_tls_is_explained(face: MakeFace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer_in_plain_text() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer_in_plain_text, daemon=True).start()
        with pytest.raises(ConnectionFailed, match=r"does not speak TLS\. Write its URL with http://\."):
            face(f"https://127.0.0.1:{plain.getsockname()[1]}", retries=0).call("send", ClientRequest("GET", "/"))


def test_a_host_that_does_not_exist_is_named(face: MakeFace) -> None:
    with pytest.raises(ConnectionFailed, match=r"nowhere\.invalid.* cannot be resolved"):
        face("http://nowhere.invalid", retries=0).call("send", ClientRequest("GET", "/"))
