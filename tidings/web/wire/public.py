"""This server's own address in responses: `Location` and `Link`, as seen from outside (`public_url`)."""

from __future__ import annotations

Headers = list[tuple[str, str]]


def from_outside(headers: Headers, base: str) -> Headers:
    """The headers with whole URLs in place of paths. `base` has no slash at its end."""
    return [(name, _whole(name, value, base)) for name, value in headers]


def _whole(name: str, value: str, base: str) -> str:
    if name == "location" and value.startswith("/"):
        return base + value
    if name == "link" and value.startswith("</"):
        return f"<{base}{value[1:]}"
    return value
