"""How a receiver reacts to a request: the response, its pace, and the ways in which it can misbehave."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """One reaction. The default is a quick, empty 204."""

    status: int = 204
    headers: Mapping[str, str] = {}
    body: bytes = b""
    delay_seconds: float = 0.0
    """How long the first byte of the response is held back."""
    drip_seconds: float = 0.0
    """If set, the body is sent byte by byte, with a pause of this many seconds after each byte."""
    huge_bytes: int = 0
    """If set, this many bytes are sent, in chunks, instead of `body`."""
    silent: bool = False
    """Never responds; the connection stays open until the other side gives up."""
    breaks_off: bool = False
    """Announces the whole body, sends half of it, and closes the connection."""
    waits: bool = False
    """Holds the response back until `Receiver.release` is called."""

    @classmethod
    def redirect(cls, to: str, status: int = 302) -> Reaction:
        """A redirect to another URL."""
        return cls(status=status, headers={"Location": to})


OK = Reaction()
