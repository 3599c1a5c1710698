"""Which addresses we may call: the guard against server-side request forgery (SSRF).

`refusal` judges an address at the moment of connecting; `check_url` judges a URL when an endpoint is created.
Anything that is not plainly public is refused (IANA special-purpose registries, RFC 6890 and later): for IPv6 that is
everything outside 2000::/3. Ranges that the operator opens are the only exception.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

from tidings.rules.reading.refused import Refused

URL_CHARS_MAX = 2048
HOST_CHARS_MAX = 253
NETWORKS_MAX = 64
MAIL_PORTS = {"smtp": 25, "smtps": 465}
PREFIX_MIN_V4 = 4
PREFIX_MIN_V6 = 7
"""Ranges with shorter prefixes would open the whole internet by accident. fc00::/7 is the widest private range."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_RANGES: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(text), what)
    for text, what in (
        # The first match gives the description, so single addresses come before their range.
        ("255.255.255.255/32", "the broadcast address"),
        ("0.0.0.0/32", "the unspecified address"),
        ("0.0.0.0/8", "an address of this network itself"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier's shared address (CGNAT)"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a protocol's own address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarking"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "the unspecified address"),
        ("::1/128", "a loopback address"),
        ("::/96", "an IPv4 address inside an IPv6 one (obsolete form)"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001:2::/48", "an address for benchmarking"),
        ("2001:10::/28", "a cryptographic identifier (ORCHID)"),
        ("2001:20::/28", "a cryptographic identifier (ORCHID)"),
        ("2001::/23", "a protocol's own address"),
        ("2001:db8::/32", "an address for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("3fff::/20", "an address for documentation"),
        ("fc00::/7", "a private address (unique local)"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address (site-local)"),
        ("ff00::/8", "a multicast address"),
    )
)
_SPECIAL: dict[int, list[tuple[Network, str]]] = {
    version: [entry for entry in _RANGES if entry[0].version == version] for version in (4, 6)
}
METADATA: frozenset[Address] = frozenset(
    ipaddress.ip_address(text)
    for text in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    )
)
"""Cloud metadata services, which give credentials to anyone who asks. A range that contains one does not allow it."""
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_PUBLIC_V6 = IPv6Network("2000::/3")
_MAPPED_V6 = IPv6Network("::ffff:0:0/96")


class Networks(tuple[Network, ...]):
    """The ranges that an operator has opened. Made by `parse_networks`."""

    __slots__ = ()

    def holds(self, address: Address) -> bool:
        """Whether an address is in one of the ranges."""
        return any(address in network for network in self)

    def names(self, address: Address) -> bool:
        """Whether one of the ranges is exactly this address."""
        return ipaddress.ip_network(address) in self


NONE_OPEN = Networks()
EVERYWHERE = Networks((IPv4Network("0.0.0.0/0"), IPv6Network("::/0"), *map(ipaddress.ip_network, METADATA)))
"""Allows every address, to check only the form of a URL."""


@lru_cache(maxsize=8192)
def refusal(ip: str | bytes, allowed: Networks = NONE_OPEN) -> str | None:
    """Why this address may not be called, as a sentence; None if it may. `ip` is its text, possibly with a scope id.

    An IPv4 address mapped into IPv6 is judged as IPv4. Anything that is not an address is refused, and so is a
    metadata service that is not itself among the ranges, as 100.100.100.200 or 100.100.100.200/32.
    """
    text = ip.decode("ascii", "replace") if isinstance(ip, bytes) else ip
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return f"{text!r} is not an IP address."
    inner = _embedded(address)
    service = next((each for each in (inner, *_behind(address)) if each in METADATA), None)
    if service is not None and not (allowed.names(service) or allowed.names(address)):
        said = f"{address} is the metadata service of a cloud"
        return f"{said}, which is not called unless the operator allows exactly this address (`allow_addresses`)."
    if allowed.holds(address) or allowed.holds(inner):
        return None
    what = _what(inner) or _what(address)
    return None if what is None else _unless_allowed(f"{address} is {what}", inner)


def _unless_allowed(said: str, what: object) -> str:
    return (
        f"{said}, which is not called unless the operator allows it, for example with TIDINGS_ALLOW_ADDRESSES={what}."
    )


def parse_networks(text: str) -> Networks:
    """Ranges from text such as `127.0.0.0/8,10.1.2.3`. Raises Refused with what to write instead."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if len(entries) > NETWORKS_MAX:
        raise Refused("", "networks", f"At most {NETWORKS_MAX} ranges can be allowed.")
    return Networks(_network(entry) for entry in entries)


def check_url(url: str, allow_http: bool, allowed: Networks = NONE_OPEN, pointer: str = "") -> None:
    """Raise Refused for a URL that no webhook may go to. Names are resolved and judged only at the connection."""
    if len(url) > URL_CHARS_MAX:
        raise Refused(pointer, "url", f"A URL can be at most {URL_CHARS_MAX} characters long.")
    wrong = _wrong_form(url, allow_http)
    if wrong is None:
        match = _URL.fullmatch(url)
        wrong = (
            _wrong_host(match["host"], allowed)
            if match
            else "This is not a URL; write one such as https://example.com/hook."
        )
    if wrong:
        raise Refused(pointer, "url", wrong)


def check_proxy(url: str) -> None:
    """Raise Refused unless this is the URL of a proxy, or empty. It may contain a password, so it is not quoted."""
    if url and not _PROXY.fullmatch(url):
        detail = (
            "write it as http://HOST:PORT (or https://, socks5h://), with USER:PASSWORD@ before the host if needed."
        )
        raise Refused("", "proxy", detail)


class Target(msgspec.Struct, frozen=True, gc=False):
    """The host to which a URL leads.

    `name` is None if the host is an address in any spelling; `local`: it is this machine.
    """

    host: str
    port: int
    address: str | None = None
    """The canonical form of an address, however it is spelt."""
    name: str | None = None
    local: bool = False
    tls: bool = False


@lru_cache(maxsize=8192)
def target_of(url: str) -> Target:
    """The host and port of a URL that was checked."""
    match = _URL.fullmatch(url)
    if match is None:
        return Target("", 0)
    host = match["host"].lower()
    tls = match["scheme"].lower() == "https"
    port = int(match["port"]) if match["port"] else (443 if tls else 80)
    plain = host.removesuffix(".")
    if host.startswith("[") or _NUMBER.fullmatch(plain.rpartition(".")[2]):
        found = host[1:-1] if host.startswith("[") else _any_spelling(plain.split("."))
        return Target(host, port, found, tls=tls)
    return Target(host, port, None, host, _is_local(plain), tls)


def same_host(url: str, other: str) -> bool:
    """Whether both go to one host and port, both with TLS or both without."""
    one, two = target_of(url), target_of(other)
    return (one.host, one.port, one.tls) == (two.host, two.port, two.tls)


@lru_cache(maxsize=1024)
def mail_target(url: str) -> Target:
    """The same for a mail server: smtp:// or smtps://."""
    scheme, _, rest = url.partition("://")
    found = target_of(f"http://{rest}")
    port = found.port if ":" in rest.rpartition("]")[2] else MAIL_PORTS[scheme]
    return msgspec.structs.replace(found, port=port, tls=scheme == "smtps")


# --- addresses --------------------------------------------------------------------------------------------------------


def _embedded(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.packed[:10] == bytes(10):
        marker, inner = address.packed[10:12], address.packed[12:]
        if marker == b"\xff\xff" or (marker == b"\0\0" and inner[:3] != bytes(3)):
            return IPv4Address(inner)
    return address


def _behind(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address may reach through NAT64, 6to4 or the obsolete form."""
    if isinstance(address, IPv6Address):
        if address.sixtofour is not None:
            yield address.sixtofour
        if address in _NAT64[0] or address in _NAT64[1] or address.packed[:12] == bytes(12):
            yield IPv4Address(address.packed[12:])


def _what(address: Address) -> str | None:
    if address in _MAPPED_V6:
        return None
    for network, what in _SPECIAL[address.version]:
        if address in network:
            return what
    if address.version == 6 and address not in _PUBLIC_V6:
        return "a reserved address"
    return None


def _network(entry: str) -> Network:
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        detail = f"{entry!r} is not an address range; write one such as 10.0.0.0/8 or 127.0.0.1."
        raise Refused("", "networks", detail) from None
    least = PREFIX_MIN_V4 if network.version == 4 else PREFIX_MIN_V6
    if network.prefixlen < least:
        detail = f"{entry} would allow nearly everything; use a range with a prefix of /{least} or longer."
        raise Refused("", "networks", detail)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED_V6):
        plain = IPv4Network((network.network_address.packed[12:], network.prefixlen - 96))
        raise Refused("", "networks", f"{entry} is an IPv4 range written as IPv6; write {plain}.")
    if ipaddress.ip_interface(entry).ip != network.network_address:
        raise Refused(
            "", "networks", f"{entry} has bits set after its prefix; write {network}, or {entry.split('/')[0]}."
        )
    return network


# --- URLs -------------------------------------------------------------------------------------------------------------

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]/?]*\]|[^\[\]:/?]*)(?::(?P<port>[0-9]*))?(?P<rest>[/?].*)?", re.IGNORECASE
)
_PROXY = re.compile(
    r"(https?|socks5h)://([!-.0-9;-?A-~]+(:[!-.0-9:-?A-~]*)?@)?([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?",
    re.IGNORECASE,
)
_STRANGE = re.compile(r"[^\x21-\x7e]")
_UNSAFE = re.compile(r"[\\\"<>^`{|}]|%(?![0-9A-Fa-f]{2})")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback")


def _wrong_form(url: str, allow_http: bool) -> str | None:
    """What is wrong with the text as a URL, as a sentence. Strict, so that every parser sees the same host in it."""
    if _STRANGE.search(url):
        return (
            "A URL may not contain spaces, control characters or non-ASCII letters; percent-encode them, or use "
            "the xn-- form in a host name."
        )
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        return "A URL must begin with https:// (or http://, if the operator permits it)."
    if scheme == "http" and not allow_http:
        return "Only https:// URLs are called; the operator can permit http://."
    if "#" in url:
        return "A URL to call cannot have a fragment; leave out # and what follows it."
    if _UNSAFE.search(url):
        return (
            'A URL may not contain \\ " < > ^ ` { | }, or a % that is not followed by two hex digits; '
            "percent-encode them."
        )
    authority = re.split(r"[/?]", url.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        return "A URL may not contain a user name or password; send credentials in a header of the endpoint."
    match = _URL.fullmatch(url)
    if match is None:
        return "This is not a URL; write one such as https://example.com/hook."
    if not match["host"] or match["host"] == "[]":
        return "The URL has no host."
    port = match["port"]
    if port is not None and not (len(port) <= 5 and port and 1 <= int(port) <= 65535):
        return "A port must be a number from 1 to 65535."
    return None


def _wrong_host(host: str, allowed: Networks) -> str | None:
    if host.startswith("["):
        literal = host[1:-1]
        try:
            ipaddress.IPv6Address(literal)
        except ValueError:
            return f"{host} is not an IPv6 address."
        return "An address in a URL cannot have a scope id." if "%" in literal else refusal(literal, allowed)
    name = host.removesuffix(".").lower()
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Such a host is an IPv4 address to every URL parser, however it is spelt (WHATWG URL, section 3.5).
        address = _any_spelling(labels)
        return refusal(address, allowed) if address else f"{host} is not an IPv4 address."
    if len(name) > HOST_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        return f"{host} is not a host name."
    if _is_local(name):
        if allowed.holds(IPv4Address("127.0.0.1")) or allowed.holds(IPv6Address("::1")):
            return None
        return _unless_allowed(f"{host} is this machine itself", "127.0.0.0/8")
    return None


def _is_local(name: str) -> bool:
    return name in _LOCAL_NAMES or name.endswith(".localhost")


def _any_spelling(labels: list[str]) -> str | None:
    """The canonical form of an IPv4 address in any spelling that inet_aton reads: 2130706433, 0x7f.1, 0177.0.0.1."""
    if len(labels) > 4:
        return None
    numbers = []
    for label in labels:
        if re.fullmatch(r"0x[0-9a-f]+", label):
            numbers.append(int(label, 16))
        elif re.fullmatch(r"0[0-7]*", label):
            numbers.append(int(label, 8))
        elif re.fullmatch(r"[1-9][0-9]{0,10}", label):
            numbers.append(int(label))
        else:
            return None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    value = last
    for index, number in enumerate(first):
        value += number << (8 * (3 - index))
    return str(IPv4Address(value))
