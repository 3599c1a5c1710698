"""Requests as raw bytes on a socket, and the answer that came, if one came."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tidings.testing.api import OPERATOR_KEY

KEY_LINE = f"Authorization: Bearer {OPERATOR_KEY}\r\n".encode()


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `status` 0: nothing. `closed`: the server closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def places(self) -> list[str]:
        """The pointers and parameters of a problem answer."""
        return [place.get("pointer", place.get("parameter")) for place in self.json["errors"]]


def dial(url: str, seconds: float = 15.0) -> socket.socket:
    """A connection to a server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=seconds)


def send(url: str, raw: bytes, seconds: float = 15.0) -> Said:
    """Send bytes, and read one answer."""
    with dial(url, seconds) as sock:
        try:
            sock.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass  # It was cut off while sending; an answer may stand there all the same.
        return read(sock, bodiless=raw.startswith(b"HEAD "))


def read(sock: socket.socket, *, bodiless: bool = False) -> Said:
    """Read one answer: head, and as much body as it says. `bodiless`: that of a HEAD, which only says how much."""
    data, closed = b"", False
    while not _whole(data, bodiless):
        try:
            piece = sock.recv(65_536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            closed = True
            break
        data += piece
    if not closed and b"connection: close" in data.lower():
        try:
            closed = sock.recv(1) == b""
        except ConnectionResetError:
            closed = True
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    status = int(lines[0].split()[1]) if data else 0
    return Said(status=status, headers=headers, body=body, closed=closed)


def post(body: bytes, path: str = "/v1/events", more: bytes = b"", media: bytes = b"application/json") -> bytes:
    """A POST with the operator's key."""
    head = f"POST {path} HTTP/1.1\r\nHost: tidings\r\nContent-Length: {len(body)}\r\n".encode()
    return head + KEY_LINE + b"Content-Type: " + media + b"\r\n" + more + b"\r\n" + body


def get(path: str, more: bytes = b"") -> bytes:
    """A GET with the operator's key."""
    return f"GET {path} HTTP/1.1\r\nHost: tidings\r\n".encode() + KEY_LINE + more + b"\r\n"


def _whole(data: bytes, bodiless: bool) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    if bodiless or b" 204 " in head[:20] or b" 304 " in head[:20]:
        return True
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return False
