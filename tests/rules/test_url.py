"""URLs that webhooks may go to, and the many that look like one."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.network.address import check_url, parse_networks, refusal
from tidings.rules.reading.refused import Refused

LOOPBACK = parse_networks("127.0.0.0/8")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "https://example.com/hook?a=b&c[]=%20",
        "HTTPS://Example.COM:8443/x",
        "https://example.com./x",
        "https://a_b.example/",
        "https://xn--bcher-kva.example",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]:443/",
        "https://[::ffff:8.8.8.8]/",
        "https://e.com?x=1",
        "https://134744072/",
        "https://e.com/a@b",
        "https://e.com/?u=https://x@y:1/",
        "https://1password.com",
        "https://0x.example",
    ],
)
def test_good_urls(url: str) -> None:
    check_url(url, allow_http=False)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "0",
        "0x0",
        "00000.0",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "0xa9fea9fe",
        "2852039166",
        "[64:ff9b::a9fe:a9fe]",
        "10.1",
        "192.168.257",
    ],
)
def test_inner_addresses_in_every_spelling(host: str) -> None:
    for url in (f"http://{host}/x", f"https://{host}", f"http://{host}:8080/?q"):
        with pytest.raises(Refused, match="not called unless"):
            check_url(url, allow_http=True)


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "a.localhost", "localhost.localdomain", "ip6-localhost"])
def test_names_of_this_machine(host: str) -> None:
    with pytest.raises(Refused, match="this machine"):
        check_url(f"https://{host}/", allow_http=False)
    check_url(f"https://{host}/", allow_http=False, allowed=LOOPBACK)


def test_what_is_opened_may_be_in_urls() -> None:
    for host in ("127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"):
        check_url(f"http://{host}:9/", allow_http=True, allowed=LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://x",
        "javascript:1",
        "https:/example.com",
        "https:example.com",
        "https://",
        "https:///x",
        "https://:80/",
        "https://?x",
        "https://[]/",
        "https://u:p@example.com",
        "https://u@example.com",
        "https://@example.com",
        "https://example.com@127.0.0.1/",
        "https://a b.com",
        " https://e.com",
        "https://e.com ",
        "https://e.com/\r\nX: y",
        "https://e.com/\x00",
        "https://é.com",
        "https://e.com/é",
        "https://e.com/#f",
        "https://e.com#",
        "https://e.com\\@x/",
        "https://e.com/\\",
        "https://e.com/%0",
        "https://e.com:0",
        "https://e.com:65536",
        "https://e.com:",
        "https://e.com:x",
        "https://e.com:-1",
        "https://e.com:1:2",
        "https://e.com:٣",
        "https://%31.com/",
        "https://127.0.0.1%2f@e.com",
        "https://①.com",
        "https://e。com",
        "https://.com",
        "https://a..b",
        "https://-a.com",
        "https://a-.com",
        "https://" + "a" * 64 + ".com",
        "https://e.com..",
        "https://256.1.1.1",
        "https://1.2.3.4.5",
        "https://09.1.1.1",
        "https://1.2.3.0x",
        "https://a.1",
        "https://4294967296",
        "https://[::1",
        "https://::1/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.x]/",
        "https://[::1]x/",
        "https://[1.2.3.4]",
        "https://e.com/" + "a" * 2048,
        "https://" + ".".join(["abcdefgh"] * 30),
        "https://e.com/<x>",
    ],
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(Refused) as caught:
        check_url(url, allow_http=True, pointer="/url")
    assert caught.value.pointer == "/url"
    assert caught.value.detail.endswith(".")


def test_plain_http_is_a_choice() -> None:
    check_url("http://example.com", allow_http=True)
    with pytest.raises(Refused, match="https"):
        check_url("http://example.com", allow_http=False)


@given(st.integers(0, 2**32 - 1), st.data())
def test_spellings_agree_with_inet_aton(number: int, data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, 4))
    values = [number >> (8 * (3 - index)) & 255 for index in range(parts - 1)]
    values.append(number & (2 ** (8 * (5 - parts)) - 1))
    spellings: list[Callable[[int], str]] = [str, hex, lambda n: f"0{n:o}"]
    forms = [data.draw(st.sampled_from(spellings)) for _ in values]
    host = ".".join(form(value) for form, value in zip(forms, values, strict=True))
    address = socket.inet_ntoa(socket.inet_aton(host))
    try:
        check_url(f"https://{host}/", allow_http=False)
    except Refused as refused:
        assert refused.detail == refusal(address)
    else:
        assert refusal(address) is None


@given(st.text(max_size=30), st.text(st.sampled_from("0123456789abx.:[]%@/?#-"), max_size=20))
def test_any_text_as_a_url_is_handled(text: str, host: str) -> None:
    for url in (text, f"https://{text}", f"https://{host}/"):
        try:
            check_url(url, allow_http=True)
        except Refused:
            pass
