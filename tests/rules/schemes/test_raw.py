"""Requests as HTTP writes them, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, read_request, write_request

NOW = 1_790_000_000.0


def test_a_written_request_is_read_again() -> None:
    for scheme in schemes.schemes():
        request = schemes.sample(scheme, "https://a.example/in?x=%20y")
        again = read_request(write_request(request))
        assert (again.method, again.url, again.body) == (request.method, request.url, request.body)
        assert request.headers.items() <= again.headers.items()


@given(st.binary(max_size=100))
def test_a_body_is_kept_byte_for_byte(body: bytes) -> None:
    assert read_request(write_request(HookRequest("POST", "https://a.example/", {}, body))).body == body


def test_lines_may_end_with_lf_and_a_header_may_hold_utf_8() -> None:
    read = read_request(b"post /in?a=b HTTP/1.1\nHost: a.example\nX-A:  caf\xc3\xa9 \nX-B:\n\nbody\n\nmore\n")
    assert (read.method, read.url) == ("POST", "https://a.example/in?a=b")
    assert (read.headers["x-a"], read.headers["x-b"], read.body) == ("café", "", b"body\n\nmore\n")
    assert read_request(b"GET / HTTP/1.0").url == ""
    assert read_request(b"GET http://b.example/p HTTP/1.1\r\nHost: a.example\r\n\r\n").url == "http://b.example/p"
    assert read_request(b"GET / HTTP/1.1\r\n\r\n", "https://public.example/").url == "https://public.example/"


def test_the_announced_length_is_read() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"
    assert read_request(head % 3 + b"abc\n").body == b"abc"
    with pytest.raises(Refused, match="are missing"):
        read_request(b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\nabc")
    with pytest.raises(Refused, match="some bytes are missing"):
        read_request(head % 4 + b"abc")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b'{"a":1}',
        b"POST /\r\n\r\n",
        b"POST / HTTP/1.1\r\nno header\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_not_a_request_is_refused_in_a_sentence(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_request(raw)
    assert caught.value.detail.endswith(".")
