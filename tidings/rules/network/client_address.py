"""The real caller, if there are proxies in front of the server: read from X-Forwarded-For and Forwarded (RFC 7239).

Anybody can send these headers. They are believed only as far as our own proxies wrote them: starting from the
connection, each address that is a trusted proxy vouches for the one before it, and the first that is not one is the
caller.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence

from tidings.rules.network.address import Address, Networks

HOPS_MAX = 32
"""How many entries are read, starting from the right."""

_PORT = re.compile(r"(\[[^\]]*\]|[0-9.]+):[0-9]+")
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^\s;]+)', re.IGNORECASE)


def client_address(peer: str, forwarded_for: Sequence[str], forwarded: Sequence[str], trusted: Networks) -> str:
    """The caller's address. `peer` is the address of the connection, without its port.

    `forwarded_for`, `forwarded`: the values of X-Forwarded-For and Forwarded, in order. If both are present and
    disagree, one of them was sent by the caller and passed on, and nothing shows which: the peer's address is returned.
    """
    if not is_trusted(peer, trusted) or not (forwarded_for or forwarded):
        return peer
    found = [
        _caller(peer, _entries(values, read), trusted)
        for values, read in ((forwarded_for, _plain), (forwarded, _of_forwarded))
        if values
    ]
    return found[0] if found[0] == found[-1] else peer


def _caller(peer: str, entries: list[Address | None], trusted: Networks) -> str:
    """Go left from the connection; an entry that is not an address ends the search at the hop that wrote it."""
    caller = peer
    for entry in entries:
        if entry is None:
            break
        caller = str(entry)
        if not trusted.holds(entry):
            break
    return caller


def _entries(values: Sequence[str], read: Callable[[str], Address | None]) -> list[Address | None]:
    """The addresses, the nearest hop first."""
    hops = [hop.strip() for value in values for hop in value.split(",")]
    return [read(hop) for hop in hops[: -HOPS_MAX - 1 : -1]]


def _of_forwarded(hop: str) -> Address | None:
    match = _FOR.search(hop)
    return _plain(match[1].strip('"')) if match else None


def _plain(text: str) -> Address | None:
    """An address with or without a port; IPv4 inside IPv6 as IPv4."""
    match = _PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] if match else text).strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_trusted(peer: str, trusted: Networks) -> bool:
    """Whether the address of a connection is one of a trusted proxy."""
    address = _plain(peer)
    return address is not None and trusted.holds(address)
