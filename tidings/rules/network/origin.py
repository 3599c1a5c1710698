"""Where browsers reach this server: its public URL, and the origins whose pages may read its responses (CORS)."""

from __future__ import annotations

import re
from ipaddress import ip_address

import msgspec

from tidings.model.digits import is_digits
from tidings.rules.reading.refused import Refused

ANY = "*"
ORIGINS_MAX = 32
ORIGIN_CHARS_MAX = 300
URL_CHARS_MAX = 500

PATTERN = r"^([A-Za-z][A-Za-z0-9+.-]*://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?|\*)$"
"""What an origin looks like, for JSON Schema: the same as `_ORIGIN`, in either case, or `*`."""

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_PUBLIC = re.compile(r"(https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?)((?:/[A-Za-z0-9._~-]+)*)/?")
_PORTS = {"http": "80", "https": "443"}
"""The default ports, which browsers leave out of an origin."""


def origin(text: str, pointer: str = "") -> str:
    """One origin as a browser sends it, such as `https://app.example.com`; or `*`. Raises Refused."""
    if text == ANY:
        return ANY
    match = _ORIGIN.fullmatch(text.lower())
    if match is None or len(text) > ORIGIN_CHARS_MAX:
        raise Refused(pointer, "origin", _why_no_origin(text[:100]))
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" if port is None or _PORTS.get(scheme) == port else f"{scheme}://{host}:{port}"


def origins(texts: list[str] | tuple[str, ...], pointer: str = "") -> tuple[str, ...]:
    """Several origins, each once. Raises Refused."""
    if len(texts) > ORIGINS_MAX:
        raise Refused(pointer, "too_many", f"There may be at most {ORIGINS_MAX} origins.")
    return tuple(dict.fromkeys(origin(text, f"{pointer}/{index}") for index, text in enumerate(texts)))


def origins_of(text: str) -> tuple[str, ...]:
    """Origins from text such as `https://a.example,https://b.example`. Raises Refused."""
    return origins([each.strip() for each in text.split(",") if each.strip()])


class PublicUrl(msgspec.Struct, frozen=True):
    """Where the server is reached from outside: `origin` and `prefix`, neither of which ends with a slash."""

    origin: str
    prefix: str

    @property
    def whole(self) -> str:
        """Both: what comes before `/v1/...`."""
        return self.origin + self.prefix


def public_url(text: str) -> PublicUrl | None:
    """The public URL of a server; None for an empty text. Raises Refused."""
    if not text:
        return None
    match = _PUBLIC.fullmatch(text)
    if match is None or len(text) > URL_CHARS_MAX or re.search(r"/\.{1,2}(/|$)", match[2]):
        detail = (
            f"{text[:100]!r} is not a public URL. Write one such as https://example.com or https://example.com/hooks."
        )
        raise Refused("", "public_url", detail)
    return PublicUrl(match[1], match[2])


def node_url(text: str) -> None:
    """Check the URL at which other nodes reach this one; an empty text is valid. Raises Refused."""
    match = _PUBLIC.fullmatch(text)
    port = text.rpartition(":")[2]
    if text and (
        match is None or match[2] or len(text) > URL_CHARS_MAX or (is_digits(port) and not 0 < int(port) < 65_536)
    ):
        detail = f"{text[:100]!r} must be a server's URL without a path, such as http://10.0.0.5:8080."
        raise Refused("", "node_url", detail)


def is_loopback(host: str) -> bool:
    """Whether a host, as in a URL, can be reached only from its own machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def with_port_after(url: str, count: int) -> str:
    """The URL of a node whose port is this much higher than that of the given URL, which names its port."""
    before, _, port = url.rstrip("/").rpartition(":")
    return f"{before}:{int(port) + count}"


def _why_no_origin(text: str) -> str:
    if text.lower() == "null":
        return "The origin `null` cannot be allowed, because every sandboxed page and every local file has that origin."
    if "*" in text:
        return f"{text!r} is not an origin: patterns are not supported. List each origin, or allow all with *."
    match = _ORIGIN.match(text.lower())
    if match and text[match.end() :].startswith("/"):
        return f"{text!r} is not an origin: it has a path. Write {match[0]}."
    return f"{text!r} is not an origin. Write one such as https://app.example.com, or * for all."
