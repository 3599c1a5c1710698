"""The transport of the async client: HTTP/1.1 (RFC 9112) on asyncio streams, with a few connections kept alive.

The standard library has no async HTTP client, and a thread per call does not replace one. Little is needed: requests
with a length; responses with a length, chunked, or until the connection closes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tidings.client.errors import BadAnswer
from tidings.client.exchange import ClientReply, ClientRequest, ServerAddress, encode, failed
from tidings.client.uploads import Pieces, Upload

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

    def __init__(self, target: ServerAddress, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._context = context
        self._idle: list[_Connection] = []
        parts = target.parts
        self._host, self._https = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._https else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._where = f"{parts.scheme}://{self._authority}"

    async def send(self, request: ClientRequest) -> ClientReply:
        """Send once. Raises ConnectionFailed, or BadAnswer if the response is not HTTP."""
        connection: _Connection | None = None
        sent = False
        try:
            async with asyncio.timeout(self._target.timeout_seconds):
                connection = await self._take()
            sent = True
            if request.upload is not None:
                reply, keeps = await self._send_pieces(connection, request, request.upload)
            else:
                async with asyncio.timeout(self._target.timeout_seconds + request.extra_seconds):
                    connection.writer.write(self._head(request) + encode(request.body))
                    await connection.writer.drain()
                    if request.streamed:
                        return await self._begin(connection, request)
                    reply, keeps = await _read_reply(connection.reader, request.method)
        except (OSError, EOFError, asyncio.LimitOverrunError) as wrong:
            _close(connection)
            raise failed(wrong, self._where, sent=sent) from wrong
        except BaseException:
            _close(connection)
            raise
        self._give_back(connection, keeps=keeps)
        return reply

    async def _send_pieces(
        self, connection: _Connection, request: ClientRequest, upload: Upload
    ) -> tuple[ClientReply, bool]:
        """Write the body in chunks, until its end or until the server responds; returns the response."""
        answer = asyncio.ensure_future(_read_reply(connection.reader, request.method))
        writer, is_chunked, is_whole = connection.writer, upload.length is None, False
        try:
            writer.write(self._head(request))
            async for piece in _as_async(upload.begin()):
                # drain() alone lets no other task run, so an early response would be lost if a later write fails.
                await asyncio.sleep(0)
                if answer.done():
                    break
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                async with asyncio.timeout(self._target.timeout_seconds):
                    await writer.drain()
            else:
                is_whole = True
                writer.write(b"0\r\n\r\n" if is_chunked else b"")
        except (BrokenPipeError, ConnectionResetError):
            # The server has sent a response that says why, or is about to.
            is_whole = False
        except BaseException:
            answer.cancel()
            raise
        async with asyncio.timeout(self._target.timeout_seconds + request.extra_seconds):
            reply, keeps = await answer
        return reply, keeps and is_whole

    async def _begin(self, connection: _Connection, request: ClientRequest) -> ClientReply:
        """The response; its body is still to be read, unless it is a refusal."""
        status, headers, keeps = await _read_head(connection.reader)
        if status < 300:
            return ClientReply(status, headers, b"", self._rest(connection, headers, keeps=keeps))
        body = b"".join([piece async for piece in _pieces(connection.reader, headers)])
        self._give_back(connection, keeps=keeps)
        return ClientReply(status, headers, body)

    async def _rest(self, connection: _Connection, headers: dict[str, str], *, keeps: bool) -> AsyncIterator[bytes]:
        """The chunks of a response. Raises ConnectionFailed if it breaks off."""
        is_whole = False
        pieces = _pieces(connection.reader, headers)
        try:
            while True:
                async with asyncio.timeout(self._target.timeout_seconds):
                    piece = await anext(pieces, None)
                if piece is None:
                    break
                yield piece
            is_whole = True
        except (OSError, EOFError, asyncio.LimitOverrunError) as wrong:
            raise failed(wrong, self._where, sent=True) from wrong
        finally:
            self._give_back(connection, keeps=keeps and is_whole)

    def _give_back(self, connection: _Connection, *, keeps: bool) -> None:
        if keeps and len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    async def close(self) -> None:
        """Close idle connections."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        for connection in idle:
            try:
                await connection.writer.wait_closed()
            except OSError:
                # It was already broken; it only has to be closed.
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

    def _head(self, request: ClientRequest) -> bytes:
        lines = [f"{request.method} {self._target.prefix}{request.target} HTTP/1.1", f"Host: {self._authority}"]
        headers = self._target.headers(request)
        if request.upload is not None:
            length = request.upload.length
            headers |= {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        elif request.body is not None or request.method not in ("GET", "HEAD"):
            headers["Content-Length"] = str(len(encode(request.body)))
        for name, value in headers.items():
            if any(char in "\r\n\0" for char in name + value):
                raise ValueError(f"the header {name!r} contains a control character")
            lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _close(connection: _Connection | None) -> None:
    if connection is not None:
        connection.close()


async def _read_reply(reader: asyncio.StreamReader, method: str) -> tuple[ClientReply, bool]:
    """The final response, and whether the connection can be reused."""
    status, headers, keeps = await _read_head(reader)
    if method == "HEAD" or status in WITHOUT_BODY:
        return ClientReply(status, headers, b""), keeps
    return ClientReply(status, headers, b"".join([piece async for piece in _pieces(reader, headers)])), keeps


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bool]:
    """Status and headers of the final response, and whether the connection can be reused after its body."""
    status = 100
    while 100 <= status < 200:
        version, status, headers = _parse_head(await reader.readuntil(b"\r\n\r\n"))
    keeps = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()
    has_end = "transfer-encoding" in headers or "content-length" in headers or status in WITHOUT_BODY
    return status, headers, keeps and has_end


async def _pieces(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """The body: chunked, with a length, or until the connection closes."""
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].strip().lower() != "chunked":
            raise BadAnswer(f"The transfer encoding {headers['transfer-encoding']!r} is not supported.")
        async for piece in _chunks(reader):
            yield piece
    elif "content-length" in headers:
        length = headers["content-length"]
        if not (length.isascii() and length.isdigit()):
            raise BadAnswer("The response's Content-Length is not a number.")
        yield await reader.readexactly(int(length))
    else:
        yield await reader.read()


async def _as_async(pieces: Pieces) -> AsyncIterator[bytes]:
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            yield piece
    else:
        for each in pieces:
            yield each


def _parse_head(head: bytes) -> tuple[str, int, dict[str, str]]:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version not in ("HTTP/1.0", "HTTP/1.1") or not (code.isascii() and code.isdigit()) or len(code) != 3:
        raise BadAnswer("The response is not HTTP/1.1. Is this the URL of a Tidings server?")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadAnswer("The response has a malformed header.")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return version, int(code), headers


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        size_text = (await reader.readuntil(b"\r\n")).partition(b";")[0].strip()
        try:
            size = int(size_text, 16)
        except ValueError:
            raise BadAnswer("The response has a chunk without a size.") from None
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                # Trailers; we use none.
                pass
            return
        piece = await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadAnswer("The response has a chunk that does not end correctly.")
        yield piece
