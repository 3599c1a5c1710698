"""Origins of pages, the public URL, and the address of whoever calls through proxies."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.network.address import parse_networks
from tidings.rules.network.client_address import client_address
from tidings.rules.network.origin import PATTERN, origin, origins_of, public_url
from tidings.rules.reading.refused import Refused

PROXIES = parse_networks("10.0.0.0/8,127.0.0.1,fd00::/8")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "*"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text: str, sent: str) -> None:
    assert origin(text) == sent


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("null", "sandboxed"),
        ("https://*.example.com", "patterns are not supported"),
        ("https://app.example.com/", "Write https://app.example.com."),
        ("https://app.example.com/page?x", "it has a path"),
        ("app.example.com", "Write one such as"),
        ("https://user@app.example.com", "Write one such as"),
        ("https://a.example\r\nx: y", "Write one such as"),
        ("https://bücher.example", "Write one such as"),
        ("", "Write one such as"),
    ],
)
def test_what_is_not_an_origin_is_refused(text: str, says: str) -> None:
    with pytest.raises(Refused, match=says.replace("*", r"\*")):
        origin(text)


def test_several_origins_stand_between_commas() -> None:
    assert origins_of(" https://a.example , https://b.example:443,https://b.example") == (
        "https://a.example",
        "https://b.example",
    )
    assert origins_of("") == ()


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com/hooks/", "https://example.com/hooks"),
        ("http://127.0.0.1:8443/a/b", "http://127.0.0.1:8443/a/b"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
    ],
)
def test_a_public_url_may_have_a_path(text: str, whole: str) -> None:
    found = public_url(text)
    assert found is not None and found.whole == whole


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "ftp://x.example",
        "https://x/?a=b",
        "https://x/#a",
        "https://u@x/",
        "https://x/../y",
        "https://x//y",
    ],
)
def test_what_is_not_a_public_url_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="is not a public URL"):
        public_url(text)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "forwarded", "caller"),
    [
        # Nobody vouches for what a stranger sends.
        ("203.0.113.9", ["198.51.100.1"], [], "203.0.113.9"),
        ("203.0.113.9", [], ["for=198.51.100.1"], "203.0.113.9"),
        ("127.0.0.1", [], [], "127.0.0.1"),
        # The rightmost address that is not a proxy of ours, whatever stands left of it.
        ("127.0.0.1", ["198.51.100.1"], [], "198.51.100.1"),
        ("127.0.0.1", ["8.8.8.8, 198.51.100.1"], [], "198.51.100.1"),
        ("127.0.0.1", ["10.0.0.1, 198.51.100.1, 10.2.3.4"], [], "198.51.100.1"),
        ("127.0.0.1", ["8.8.8.8", "198.51.100.1"], [], "198.51.100.1"),
        ("127.0.0.1", ["10.9.9.9, 10.2.3.4"], [], "10.9.9.9"),
        ("fd00::1", ["2001:db8::7"], [], "2001:db8::7"),
        # Ports, brackets, IPv4 inside of IPv6.
        ("127.0.0.1", ["198.51.100.1:4711"], [], "198.51.100.1"),
        ("127.0.0.1", ["[2001:db8::7]:4711"], [], "2001:db8::7"),
        ("127.0.0.1", ["::ffff:198.51.100.1"], [], "198.51.100.1"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], [], "198.51.100.1"),
        # What is not an address is believed no further than the proxy that wrote it.
        ("127.0.0.1", ["unknown"], [], "127.0.0.1"),
        ("127.0.0.1", ["8.8.8.8, _hidden, 10.2.3.4"], [], "10.2.3.4"),
        ("127.0.0.1", ["x" * 5000], [], "127.0.0.1"),
        ("127.0.0.1", ["10.0.0.1," * 5000], [], "127.0.0.1"),
        # RFC 7239.
        ("127.0.0.1", [], ["for=198.51.100.1;proto=https;by=10.1.1.1"], "198.51.100.1"),
        ("127.0.0.1", [], ['for=8.8.8.8, For="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17"),
        ("127.0.0.1", [], ["proto=https"], "127.0.0.1"),
        # A caller's own Forwarded passes through a proxy that writes the other header: neither is believed then.
        ("127.0.0.1", ["198.51.100.1"], ["for=8.8.8.8"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], ["for=198.51.100.1"], "198.51.100.1"),
    ],
)
def test_the_caller_is_the_last_whom_a_trusted_proxy_vouches_for(
    peer: str, forwarded_for: list[str], forwarded: list[str], caller: str
) -> None:
    assert client_address(peer, forwarded_for, forwarded, PROXIES) == caller


@given(st.from_regex(PATTERN, fullmatch=True))
def test_what_the_document_calls_an_origin_is_one(text: str) -> None:
    assert len(text) > 300 or origin(text)


@given(st.text(alphabet="htps:/[]*.-a1 ", max_size=12))
def test_what_is_no_origin_for_the_document_is_refused(text: str) -> None:
    if not re.search(PATTERN, text):
        with pytest.raises(Refused):
            origin(text)
