"""Requests as people see them: without the credentials that some senders send instead of signing."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from functools import lru_cache

import msgspec

from tidings.rules.reading.hiding import HIDDEN, hiding
from tidings.rules.schemes import Scheme
from tidings.rules.schemes.form import Basic, Token

__all__ = ["HIDDEN", "headers_read", "is_credential", "kept", "masked", "shows_secret"]

_CREDENTIAL = re.compile(
    r"(^|[-_])(auth|authentication|authorization|cookie2?|credentials?|passw(or)?d|secret|token|api[-_]?key)$",
    re.IGNORECASE,
)
_HEADER = re.compile(r"header:\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)")

Headers = tuple[tuple[str, str], ...]


@lru_cache(maxsize=4_096)
def is_credential(name: str) -> bool:
    """Whether a header contains a credential, judged by its name."""
    return _CREDENTIAL.search(name) is not None


def headers_read(scheme: Scheme, *places: str) -> frozenset[str]:
    """The names, in lower case, of the headers that are read to check a request. `places`: read besides the scheme."""
    found = _HEADER.findall("\n".join((msgspec.json.encode(scheme).decode(), *places)))
    basic = ["authorization"] if any(isinstance(check, Basic) for check in scheme.checks) else []
    return frozenset(name.lower() for name in (*found, *basic))


def kept(headers: Headers, read: Container[str] = ()) -> Headers:
    """The headers to store: values of credentials are hidden, unless they are read to check the request."""
    return tuple(
        (name, HIDDEN if is_credential(name) and name.lower() not in read else value) for name, value in headers
    )


def shows_secret(scheme: Scheme, read: Iterable[str]) -> bool:
    """Whether requests of a scheme, of which these headers are read, hold the secret itself or another credential."""
    return any(isinstance(check, Token | Basic) for check in scheme.checks) or any(map(is_credential, read))


def masked(scheme: Scheme, secrets: Sequence[str], target: str, headers: Headers) -> tuple[str, Headers]:
    """The target and the headers, with this scheme's credentials and the hook's secrets hidden."""
    without = hiding(tuple(secrets)).text
    places = [each.strip() for check in scheme.checks for each in _places(check)]
    names = {place[7:].lower() for place in places if place.startswith("header:")}
    for name in [place[6:] for place in places if place.startswith("query:")]:
        target = re.sub(rf"([?&]{re.escape(name)}=)[^&]*", rf"\g<1>{HIDDEN}", target)
    hidden = tuple((name, HIDDEN if name.lower() in names else without(value)) for name, value in headers)
    return without(target), kept(hidden)


def _places(check: object) -> list[str]:
    if isinstance(check, Basic):
        return ["header:Authorization"]
    return re.split(r" [|&] ", check.source) if isinstance(check, Token) else []
