"""Requests from one node to another: HTTP/1.1 on the event loop, bodies piece by piece in both directions.

libcurl (`net/http.py`) sends many short requests to strangers, from its own thread. Here an event loop passes on what
it reads, no faster than the other side takes it, and the other side is a Tidings server: anything that is not
understood here ends the connection. Nothing is sent twice, except a GET or HEAD whose connection turned out to be
closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tidings.net.http1 import Framing, Headers, head_of, read_head

CONNECT_SECONDS = 4.0
IDLE_SECONDS = 3.0
"""How long an idle connection is kept, which is much less than the HTTP server keeps it (9 s)."""
IDLE_MAX = 64
BUFFER_BYTES = 64 * 1024
DISCARDED_BYTES_MAX, DISCARD_SECONDS = 8 * 1024 * 1024, 2.0
"""How many bytes of a request's body are still read after the response, and for how long. A connection that is closed
while the peer is still sending is reset, and a reset can destroy a response that has not been read yet."""

SAFE = ("GET", "HEAD")
"""Methods whose requests may be sent again if the connection turns out to be closed."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotConnected(Exception):
    """No connection could be made, so nothing was sent."""


class BrokenOff(Exception):
    """The connection broke once the request, or a part of it, had been sent: whether it was carried out is unknown."""


class OnwardRequest(msgspec.Struct, frozen=True):
    """A request to pass on."""

    method: str
    target: str
    """The path and the query, in ASCII without spaces."""
    headers: Callable[[], Headers]
    """Returns the headers without those that frame the body. Called again if the request is sent again."""
    body: AsyncGenerator[bytes] | None = None
    length: int | None = None
    """The length of the body in bytes; None if it is unknown, so that the body is sent in chunks."""


class _Connection:
    """One connection to another node."""

    def __init__(self, streams: Streams) -> None:
        self.reader, self.writer = streams
        self.is_new = self.may_be_kept = True
        self.idle_since = 0.0

    @property
    def is_usable(self) -> bool:
        is_fresh = time.monotonic() - self.idle_since < IDLE_SECONDS
        return is_fresh and not self.reader.at_eof() and not self.writer.is_closing()

    def close(self) -> None:
        # Abort rather than close, because nobody wants what is unsent.
        self.writer.transport.abort()


class _Body:
    """The body on its way, sent by its own task: the other side may answer before it is complete."""

    def __init__(self, connection: _Connection, request: OnwardRequest) -> None:
        self._connection, self._request = connection, request
        self._is_answered = False

    def answered(self) -> None:
        """The response has begun before the end of the body: what is left is only read."""
        # It would be taken for the next request.
        self._is_answered, self._connection.may_be_kept = True, False

    async def send(self) -> None:
        """Send it. Raises what the body raises."""
        body, length = self._request.body, self._request.length
        if body is None:
            return
        sent = discarded = 0
        async with contextlib.aclosing(body):
            async for piece in body:
                if self._is_answered:
                    discarded += len(piece)
                    if discarded > DISCARDED_BYTES_MAX:
                        return
                    continue
                sent += len(piece)
                await self._write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        if length is None:
            await self._write(b"0\r\n\r\n")
        elif sent != length and not self._is_answered:
            raise BrokenOff("the body's length differs from its Content-Length")

    async def _write(self, data: bytes) -> None:
        writer = self._connection.writer
        try:
            writer.write(data)
            await writer.drain()
        except OSError as wrong:
            # The other side has closed; it may have answered before.
            _said(wrong)
            self.answered()


class OnwardReply:
    """A response whose body is read as it arrives."""

    def __init__(
        self, status: int, headers: Headers, length: int | None, sending: asyncio.Task[None], close: Callable[[], None]
    ) -> None:
        self.status, self.headers = status, headers
        self.length = length
        """The length of the body in bytes, if it is known before the body has arrived."""
        self.pieces: AsyncGenerator[bytes]
        """The body. Raises BrokenOff."""
        self.is_over = False
        """Whether its connection is no longer in use."""
        self._close, self._sending = close, sending

    async def end(self) -> None:
        """Wait a moment for the rest of the request's body, if it was answered early; the response may be unread."""
        if not self.is_over:
            await self.pieces.aclose()
        if not self.is_over:
            # Not even its beginning was read.
            self._close()
        if not self._sending.done():
            await asyncio.wait({self._sending}, timeout=DISCARD_SECONDS)
        await _dropped(self._sending)


class Onward:
    """Passes requests on, and keeps connections for the next ones. Belongs to one event loop."""

    def __init__(self, ca_file: str | None = None) -> None:
        """`ca_file`: certificates to trust, if the other nodes are behind TLS; None for the system's."""
        self._ca_file = ca_file
        self._idle: dict[str, list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._is_closed = False

    async def send(self, base: str, request: OnwardRequest) -> OnwardReply:
        """Send a request to the node at `base` (`http://host:port`); returns once the response's head is there.

        Raises NotConnected, BrokenOff, or what the request's body raises.
        """
        head = _head(request)
        connection = await self._connection(base)
        try:
            return await self._exchange(base, connection, head, request)
        except BrokenOff:
            if connection.is_new or request.method not in SAFE or request.body is not None or self._is_closed:
                raise
        # It was closed while it was idle, or at that moment.
        for idle in self._idle.pop(base, ()):
            self._end(idle)
        return await self._exchange(base, await self._connection(base), _head(request), request)

    def close(self) -> None:
        """Close all connections, also those in use: what waits for them ends with BrokenOff."""
        self._is_closed = True
        for connection in list(self._open):
            self._end(connection)
        self._idle.clear()

    async def _connection(self, base: str) -> _Connection:
        idle = self._idle.get(base, [])
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                connection.is_new = False
                return connection
            self._end(connection)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = _Connection(await dial(base, self._ca_file))
        except (OSError, ValueError, TimeoutError) as wrong:
            raise NotConnected(str(wrong) or f"no connection after {CONNECT_SECONDS:g} s") from None
        self._open.add(connection)
        if self._is_closed:
            self._end(connection)
            raise NotConnected("this node is stopping")
        return connection

    async def _exchange(self, base: str, connection: _Connection, head: bytes, request: OnwardRequest) -> OnwardReply:
        """Send, and read the head of the response. If it raises, the connection is closed."""
        connection.writer.write(head)
        body = _Body(connection, request)
        sending, reading = asyncio.ensure_future(body.send()), asyncio.ensure_future(read_head(connection.reader))
        try:
            await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                sending.result()
            status, headers = await reading
            framing = Framing.of_response(request.method, status, headers)
        except BaseException as wrong:
            self._end(connection)
            await _dropped(sending, reading)
            # What a task raised has this frame. If that had the task, the caller's connection would stay open.
            del sending, reading
            if isinstance(wrong, OSError | EOFError | ValueError | asyncio.LimitOverrunError):
                raise BrokenOff(_said(wrong)) from None
            raise
        if not sending.done():
            body.answered()
        reply = OnwardReply(status, headers, framing.length, sending, partial(self._end, connection))
        reply.pieces = self._pieces(base, connection, framing, reply)
        return reply

    async def _pieces(
        self, base: str, connection: _Connection, framing: Framing, reply: OnwardReply
    ) -> AsyncGenerator[bytes]:
        """The body; then the connection is kept, if that was all. Raises BrokenOff."""
        is_whole = False
        try:
            async with contextlib.aclosing(framing.pieces(connection.reader)) as pieces:
                async for piece in pieces:
                    yield piece
            is_whole = framing.keeps_alive and connection.may_be_kept
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as wrong:
            raise BrokenOff(_said(wrong)) from None
        finally:
            reply.is_over = True
            if is_whole and not self._is_closed:
                self._keep(base, connection)
            else:
                self._end(connection)

    def _keep(self, base: str, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        for address, idle in list(self._idle.items()):
            self._idle[address] = [each for each in idle if each.is_usable]
            for each in idle:
                if not each.is_usable:
                    self._end(each)
            if not self._idle[address]:
                del self._idle[address]
        idle = self._idle.setdefault(base, [])
        idle.append(connection)
        if len(idle) > IDLE_MAX:
            self._end(idle.pop(0))

    def _end(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.close()


def dial(base: str, ca_file: str | None) -> Awaitable[Streams]:
    """A connection to the node at `base` (`http://host:port`). Raises ValueError, or OSError when it is awaited."""
    parts = urlsplit(base)
    is_safe = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"{base!r} is not the address of a node")
    port = parts.port or (443 if is_safe else 80)
    tls = ssl.create_default_context(cafile=ca_file) if is_safe else None
    return asyncio.open_connection(parts.hostname, port, ssl=tls, limit=BUFFER_BYTES)


def _head(request: OnwardRequest) -> bytes:
    """Raises ValueError if a part of it cannot be sent."""
    framing = Framing.of_request(request.length, has_body=request.body is not None)
    return head_of(request.method, request.target, [*request.headers(), *framing])


def _said(wrong: BaseException) -> str:
    """The text of an exception.

    The stream keeps the exceptions that it raised, with all frames that they passed, including the caller's.
    """
    return str(wrong.with_traceback(None))


async def _dropped(*tasks: asyncio.Task[Any]) -> None:
    """End tasks whatever they do: afterwards nobody reads the request's body, and others may."""
    for each in tasks:
        each.cancel()
    await asyncio.wait(tasks)
    for each in tasks:
        if not each.cancelled():
            each.exception()
