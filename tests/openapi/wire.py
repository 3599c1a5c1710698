"""The calls of Schemathesis over one kept connection, with nothing around them.

A run makes twelve thousand calls. `requests`, urllib3 and `http.client` took more than a third of its processor time:
they merge settings, keep cookies and read headers as if they were a mail. What is sent is the same, byte for byte.
"""

from __future__ import annotations

import atexit
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests
from schemathesis.core.transport import STREAM_CUT_SHORT_ATTRIBUTE, is_event_stream, read_event_stream
from schemathesis.transport import requests as transport
from urllib3 import HTTPHeaderDict
from urllib3._version import __version__ as urllib3_version

PIECE_BYTES = 65_536
KNOWN = {"method", "url", "cookies", "headers", "params", "json", "data", "files", "timeout", "allow_redirects"}
KNOWN |= {"verify", "cert"}  # Of TLS, which there is none of.
"""What a call may say to be made here. `requests` makes those that say more."""
ASSUMED = {"Accept-Encoding": "identity", "User-Agent": f"python-urllib3/{urllib3_version}"}
"""Headers that urllib3 adds to a request without them."""
WITHOUT_BODY = (204, 304)


class Unusual(Exception):
    """Something that `requests` knows how to handle, and this does not."""


class Connection:
    """One connection to a server, for one call after the other."""

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        self._socket = socket.create_connection(address, timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self.is_open = True

    def close(self) -> None:
        """End it, in the middle of a response too."""
        self.is_open = False
        self._socket.close()

    def send(self, request: bytes, timeout: float) -> tuple[list[bytes], HTTPHeaderDict]:
        """Send a request; the parts of the status line and the headers of its response."""
        self._socket.settimeout(timeout)
        self._socket.sendall(request)
        begin, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        headers = HTTPHeaderDict()
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            headers.add(name, value.strip())
        if "close" in headers.get("connection", "").lower():
            self.is_open = False
        return begin.split(b" ", 2), headers

    def body(self, headers: HTTPHeaderDict) -> Iterator[bytes]:
        """The rest of a response, piece by piece as it arrives."""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            while size := int(self._until(b"\r\n").partition(b";")[0], 16):
                yield from self._of_length(size)
                self._until(b"\r\n")
            while self._until(b"\r\n"):
                pass
        elif "content-length" in headers:
            yield from self._of_length(int(headers["content-length"]))
        else:
            raise Unusual("no length")

    def _of_length(self, size: int) -> Iterator[bytes]:
        while size:
            self._more()
            piece, self._read = self._read[:size], self._read[size:]
            size -= len(piece)
            yield piece

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more(whole=True)
        found, _, self._read = self._read.partition(end)
        return found

    def _more(self, whole: bool = False) -> None:
        if self._read and not whole:
            return
        piece = self._socket.recv(PIECE_BYTES)
        if not piece:
            raise Unusual("the server has closed the connection")
        self._read += piece


COUNTS = "calls.json"
"""Where it says, at the end of a run, how many calls were made here and by `requests`; read by the test."""
_counts = {"here": 0, "by_requests": 0}
atexit.register(lambda: Path(COUNTS).write_text(json.dumps(_counts)))
_kept = threading.local()
_by_requests = transport._request


def request(session: requests.Session, data: dict[str, Any], max_stream_events: int) -> Any:
    """The response to a call, as much of it as Schemathesis reads; in place of its own `_request`."""
    if session.auth is None and not data["cookies"] and not data.keys() - KNOWN:
        try:
            found = _asked(data, max_stream_events)
            _counts["here"] += 1
            return found
        except (OSError, ValueError, TypeError, Unusual):
            # It is sent again by `requests`, which says what is wrong in the words that Schemathesis knows.
            getattr(_kept, "connection", SimpleNamespace(close=lambda: None)).close()
    _counts["by_requests"] += 1
    return _by_requests(session, data, max_stream_events)


def _asked(data: dict[str, Any], max_stream_events: int) -> Any:
    began, timeout = time.perf_counter(), data["timeout"]
    prepared = requests.PreparedRequest()
    prepared.prepare_method(data["method"])
    prepared.prepare_url(data["url"], data["params"])
    prepared.prepare_headers(data["headers"])
    prepared.prepare_body(data.get("data") or [], data.get("files") or [], data.get("json"))
    place = urlsplit(prepared.url or "")
    connection = getattr(_kept, "connection", None)
    if connection is None or not connection.is_open:
        _kept.connection = connection = Connection((place.hostname or "", place.port or 80), timeout)
    (version, status, *reason), headers = connection.send(_written(prepared, place.netloc), timeout)
    has_body = prepared.method != "HEAD" and int(status) not in WITHOUT_BODY
    pieces = connection.body(headers) if has_body else iter(())
    if status.startswith(b"3") and "location" in headers and data.get("allow_redirects", True):
        raise Unusual("to be followed")
    is_cut = False
    if is_event_stream(headers.get("content-type")):
        content, is_cut = read_event_stream(pieces, timeout, max_stream_events)
        connection.close()
    else:
        content = _decoded(b"".join(pieces), headers.get("content-encoding"))
    return SimpleNamespace(
        status_code=int(status),
        reason=b" ".join(reason).decode("latin-1"),
        content=content,
        encoding=requests.utils.get_encoding_from_headers(headers),  # type: ignore[arg-type]
        elapsed=timedelta(seconds=time.perf_counter() - began),
        request=prepared,
        raw=SimpleNamespace(headers=headers, version=11 if version == b"HTTP/1.1" else 10),
        **{STREAM_CUT_SHORT_ATTRIBUTE: is_cut},
    )


def _decoded(content: bytes, encoding: str | None) -> bytes:
    """What was sent, as it was before it was packed."""
    if encoding is None or not content:
        return content
    if encoding != "gzip":
        raise Unusual(f"packed with {encoding}")
    return gzip.decompress(content)


def _written(prepared: requests.PreparedRequest, host: str) -> bytes:
    """A request as it is sent."""
    body = prepared.body or b""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        raise Unusual("a body that is read")
    lines = [f"{prepared.method} {prepared.path_url} HTTP/1.1"]
    assumed = {"Host": host, **ASSUMED}
    for name, value in (
        *((each, assumed[each]) for each in assumed if each not in prepared.headers),
        *prepared.headers.items(),
    ):
        lines.append(f"{name}: {value.decode('latin-1') if isinstance(value, bytes) else value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
