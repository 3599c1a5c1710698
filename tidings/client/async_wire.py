"""The transport of the async client: HTTP/1.1 (RFC 9112) on asyncio streams, with a few connections kept alive.

The standard library has no async HTTP client, and a thread per call is no replacement for one. What is needed is small:
requests with a length, answers with a length, in chunks, or until the end.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

from tidings.client.errors import BadAnswer
from tidings.client.exchange import Reply, Request, Target, encode, failed

IDLE_MAX = 10
HEAD_BYTES_MAX = 64 * 1024
WITHOUT_BODY = frozenset({204, 304})


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def is_usable(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    def close(self) -> None:
        self.writer.close()


class AsyncWire:
    """Sends requests to one server; belongs to one event loop."""

    def __init__(self, target: Target, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._context = context
        self._idle: list[_Connection] = []
        parts = target.parts
        self._host, self._https = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._https else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._where = f"{parts.scheme}://{self._authority}"

    async def send(self, request: Request) -> Reply:
        """Send once. Raises ConnectionFailed, or BadAnswer where the answer is no HTTP."""
        connection: _Connection | None = None
        sent = False
        try:
            async with asyncio.timeout(self._target.timeout_seconds):
                connection = await self._take()
            sent = True
            async with asyncio.timeout(self._target.timeout_seconds + request.extra_seconds):
                connection.writer.write(self._head(request) + encode(request.body))
                await connection.writer.drain()
                reply, keeps = await _read_reply(connection.reader, request.method)
        except (OSError, EOFError, asyncio.LimitOverrunError) as wrong:
            _close(connection)
            raise failed(wrong, self._where, sent=sent) from wrong
        except BaseException:
            _close(connection)
            raise
        if keeps and len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    async def close(self) -> None:
        """Close the connections that rest."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        for connection in idle:
            try:
                await connection.writer.wait_closed()
            except OSError:
                # It was broken already; closed is all it should be.
                pass

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        context = (self._context or ssl.create_default_context()) if self._https else None
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context, limit=HEAD_BYTES_MAX)
        return _Connection(reader, writer)

    def _head(self, request: Request) -> bytes:
        lines = [f"{request.method} {self._target.prefix}{request.target} HTTP/1.1", f"Host: {self._authority}"]
        headers = self._target.headers(request)
        if request.body is not None or request.method not in ("GET", "HEAD"):
            headers["Content-Length"] = str(len(encode(request.body)))
        for name, value in headers.items():
            if any(char in "\r\n\0" for char in name + value):
                raise ValueError(f"the header {name!r} contains a control character")
            lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _close(connection: _Connection | None) -> None:
    if connection is not None:
        connection.close()


async def _read_reply(reader: asyncio.StreamReader, method: str) -> tuple[Reply, bool]:
    """The final answer, and whether the connection may be used again."""
    status = 100
    while 100 <= status < 200:
        version, status, headers = _parse_head(await reader.readuntil(b"\r\n\r\n"))
    keeps = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()
    if method == "HEAD" or status in WITHOUT_BODY:
        return Reply(status, headers, b""), keeps
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].strip().lower() != "chunked":
            raise BadAnswer(f"The transfer encoding {headers['transfer-encoding']!r} is not known.")
        return Reply(status, headers, await _read_chunks(reader)), keeps
    if "content-length" in headers:
        length = headers["content-length"]
        if not length.isdigit():
            raise BadAnswer("The answer's Content-Length is no number.")
        return Reply(status, headers, await reader.readexactly(int(length))), keeps
    return Reply(status, headers, await reader.read()), False


def _parse_head(head: bytes) -> tuple[str, int, dict[str, str]]:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version not in ("HTTP/1.0", "HTTP/1.1") or not code.isdigit() or len(code) != 3:
        raise BadAnswer("The answer is no HTTP/1.1. Is the URL that of a Tidings server?")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadAnswer("The answer has a header that cannot be read.")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return version, int(code), headers


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    while True:
        size_text = (await reader.readuntil(b"\r\n")).partition(b";")[0].strip()
        try:
            size = int(size_text, 16)
        except ValueError:
            raise BadAnswer("The answer has a chunk without a size.") from None
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                # Trailers; nothing of ours is in them.
                pass
            return b"".join(pieces)
        pieces.append(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise BadAnswer("The answer has a chunk with a wrong end.")
