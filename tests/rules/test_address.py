"""Addresses that may not be called, in every spelling; ranges that may be opened."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.rules.declare.connections import PRIVATE
from tidings.rules.network.address import METADATA, NONE_OPEN, Networks, check_url, parse_networks, refusal
from tidings.rules.reading.refused import Refused

LOOPBACK = parse_networks("127.0.0.0/8")


@pytest.mark.parametrize(
    ("ip", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.255", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "this network"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "CGNAT"),
        ("100.127.255.255", "CGNAT"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("168.63.129.16", "metadata"),
        ("100.100.100.200", "metadata"),
        ("192.0.0.1", "protocol"),
        ("192.0.2.1", "documentation"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("198.18.0.1", "benchmarking"),
        ("198.19.255.255", "benchmarking"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "metadata"),
        ("::ffff:0a00:0001", "private"),
        ("::127.0.0.1", "loopback"),
        ("::8.8.8.8", "obsolete"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("64:ff9b::8.8.8.8", "NAT64"),
        ("64:ff9b:1::1", "NAT64"),
        ("100::1", "reserved"),
        ("2001::1", "Teredo"),
        ("2001:2::1", "benchmarking"),
        ("2001:10::1", "ORCHID"),
        ("2001:20::1", "ORCHID"),
        ("2001:1::1", "protocol"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("2002:7f00:1::", "6to4"),
        ("5f00::1", "reserved"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("febf::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("4000::1", "reserved"),
        ("", "not an IP address"),
        ("localhost", "not an IP address"),
        ("127.1", "not an IP address"),
        ("0177.0.0.1", "not an IP address"),
        ("1.2.3.4\n", "not an IP address"),
    ],
)
def test_refused(ip: str, word: str) -> None:
    for spelling in (ip, ip.encode()):
        sentence = refusal(spelling, NONE_OPEN)
        assert sentence is not None
        assert word in sentence
        assert sentence.endswith(".")


@pytest.mark.parametrize(
    "ip",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860::8888",
        "2a00::1",
        "::ffff:8.8.8.8",
        "2001:200::1",
    ],
)
def test_public_addresses_may_be_called(ip: str) -> None:
    assert refusal(ip, NONE_OPEN) is None
    assert refusal(ip.encode()) is None


V4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)
V6 = st.one_of(
    st.integers(0, 2**128 - 1), st.integers(0, 2**125 - 1).map(lambda n: n + 2**125), st.integers(0, 2**48)
).map(ipaddress.IPv6Address)


@given(V4 | V6)
@example(ipaddress.ip_address("64:ff9b::1"))
def test_never_laxer_than_the_standard_library(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if refusal(str(ip)) is None:
        plain = getattr(ip, "ipv4_mapped", None) or ip
        assert plain.is_global
        assert not (plain.is_private or plain.is_multicast or plain.is_reserved or plain.is_loopback)


@given(V4)
def test_v4_agrees_with_the_standard_library(ip: ipaddress.IPv4Address) -> None:
    # Refused beyond it: the 6to4 relays, one cloud's metadata, and the protocol range as a whole.
    beyond = ("192.88.99.0/24", "168.63.129.16/32", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4")
    if not any(ip in ipaddress.ip_network(text) for text in beyond):
        assert (refusal(str(ip)) is None) == ip.is_global
    assert (refusal(f"::ffff:{ip}") is None) == (refusal(str(ip)) is None)


@given(V4 | V6 | V4.map(lambda ip: ipaddress.IPv6Address(f"::ffff:{ip}")))
@example(ipaddress.ip_address("127.0.0.1"))
@example(ipaddress.ip_address("::ffff:10.1.2.3"))
@example(ipaddress.ip_address("169.254.169.254"))
def test_what_a_refusal_says_to_set_allows_this_address_and_no_metadata_service(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    sentence = refusal(str(ip))
    if sentence is not None and "metadata" not in sentence:
        said = sentence.rpartition("TIDINGS_ALLOW_ADDRESSES=")[2].removesuffix(".")
        assert refusal(str(ip), parse_networks(said)) is None
    assert sentence is None or ("TIDINGS_ALLOW_ADDRESSES" in sentence) == ("metadata" not in sentence)


def test_opened_ranges() -> None:
    assert refusal("127.0.0.1", LOOPBACK) is None
    assert refusal("::ffff:127.0.0.1", LOOPBACK) is None
    assert refusal("::1", LOOPBACK)
    assert refusal("10.0.0.1", LOOPBACK)
    assert refusal("64:ff9b::7f00:1", LOOPBACK)
    assert refusal("2002:7f00:1::", LOOPBACK)
    opened = parse_networks(" 10.1.2.3 , fd00::/8,::1, 64:ff9b::/96 ")
    assert len(opened) == 4
    assert [refusal(ip, opened) for ip in ("10.1.2.3", "fd00::9", "fd00::9%lo", "::1", "64:ff9b::1")] == [None] * 5
    assert refusal("10.1.2.4", opened)
    assert parse_networks("") == NONE_OPEN == Networks()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.0.0.0/0", "nearly everything"),
        ("::/0", "nearly everything"),
        ("0.0.0.0/1,128.0.0.0/1", "nearly everything"),
        ("2000::/3", "nearly everything"),
        ("127.0.0.1/8", "write 127.0.0.0/8"),
        ("fd00::1/8", "write fd00::/8"),
        ("::ffff:127.0.0.0/104", "write 127.0.0.0/8"),
        ("localhost", "not an address range"),
        ("*", "not an address range"),
        ("10.0.0.0/33", "not an address range"),
        ("10.0.0", "not an address range"),
        (",".join(["10.0.0.0/8"] * 65), "At most"),
    ],
)
def test_ranges_that_cannot_be_opened(text: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        parse_networks(text)


@given(st.text(max_size=20))
def test_any_text_for_ranges_is_handled(text: str) -> None:
    try:
        parse_networks(text)
    except Refused:
        pass


@pytest.mark.parametrize("service", sorted(map(str, METADATA)))
def test_no_range_opens_a_metadata_service_but_its_own_address_does(service: str) -> None:
    alone = ipaddress.ip_network(service)
    around = parse_networks(str(alone.supernet(8)))
    private = parse_networks(",".join(PRIVATE))
    for opened in (NONE_OPEN, around, private):
        assert "metadata" in (refusal(service, opened) or ""), opened
    assert refusal(service, parse_networks(service)) is None
    assert refusal(service, parse_networks(str(alone))) is None


def test_a_metadata_service_stays_closed_in_every_spelling() -> None:
    opened = parse_networks("::/8,64:ff9b::/96,64:ff9b:1::/48,2002::/16,100.64.0.0/10,169.254.0.0/16,fc00::/7")
    spelt = ("::ffff:100.100.100.200", "64:ff9b::6464:64c8", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "::a9fe:a9fe")
    for ip in (*spelt, "fd00:ec2::254%eth0"):
        assert "metadata" in (refusal(ip, opened) or ""), ip
    with pytest.raises(Refused, match="metadata"):
        check_url("http://1684301000/", allow_http=True, allowed=opened)
    check_url("http://100.100.100.201/", allow_http=True, allowed=opened)
