"""Write a response of any length, even without an end: piece by piece, no faster than the reader takes it.

The HTTP server below takes every piece at once into memory without a limit. So the socket's own queue is checked:
while much of what was written has not been sent, nothing more is written, and a reader that takes next to nothing for
a while is cut off. It can resume where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from tidings.model.digits import is_digits
from tidings.rules.limits.windows import LeastRate
from tidings.web.wire.feed import Feed

if TYPE_CHECKING:
    # An operation knows all parts, and one of them passes answers on.
    from tidings.web.operation import Stream

UNSENT_BYTES_MAX = 64 * 1024
STUCK_SECONDS = 60.0
LEAST_BYTES_PER_SECOND = 1_024
"""The minimum rate of a reader, on average over STUCK_SECONDS: a slower one is cut off, because it holds a place and
its response."""
BLIND_BYTES_MAX = 8 * 1024 * 1024
"""If the socket's queue cannot be checked, a stream ends after this many bytes; the reader reconnects with its
cursor."""
LOOK_SECONDS = 0.05

log = logging.getLogger("tidings.web")


class CutOff(Exception):
    """Ends a response early for a known reason; its reader must notice."""


async def run_stream(scope: Any, proto: Any, stream: Stream, headers: list[tuple[str, str]], feed: Feed) -> None:
    """Write the pieces until they end, the reader leaves, or the server stops."""
    headers = [*headers, *stream.headers, ("content-type", stream.media)]
    if scope.method == "HEAD":
        proto.response_empty(200, headers)
        return
    await pour(scope, proto, 200, headers, stream.pieces, feed, whole=stream.whole)


async def pour(
    scope: Any,
    proto: Any,
    status: int,
    headers: list[tuple[str, str]],
    pieces: AsyncIterator[bytes],
    feed: Feed,
    *,
    whole: bool,
) -> None:
    """`run_stream` for any response. `whole`: it has an end, and a reader that does not get that far must notice."""
    transport = proto.response_stream(status, headers)
    gone = asyncio.ensure_future(proto.client_disconnect())
    queue = _Queue(scope, is_whole=whole)
    is_at_end = False
    try:
        is_at_end = await _write(transport, pieces, queue, gone, feed)
    except RuntimeError:
        # What the server raises when the connection is closed already.
        return
    except CutOff as wrong:
        log.warning("a response broke off midway: %s", wrong)
    except Exception:
        log.exception("a response broke off midway")
    finally:
        if whole and not is_at_end:
            queue.cut()
        gone.cancel()
        queue.close()
        with contextlib.suppress(Exception):
            await pieces.aclose()  # type: ignore[attr-defined]


async def _write(
    transport: Any, pieces: AsyncIterator[bytes], queue: _Queue, gone: asyncio.Future[Any], feed: Feed
) -> bool:
    """Write the pieces; returns whether all were written."""
    while not feed.closed:
        following = asyncio.ensure_future(anext(pieces, None))
        await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not following.done():
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            return False
        piece = following.result()
        if piece is None or gone.done():
            return piece is None
        await transport.send_bytes(piece)
        if not await queue.drained(len(piece), gone):
            return False
    return False


class _Queue:
    """Data written to one connection that its reader has not taken yet."""

    def __init__(self, scope: Any, *, is_whole: bool = False) -> None:
        self._scope = scope
        self._is_whole = is_whole
        self._socket: socket.socket | None = None
        self._is_sought = False
        self._since_look = 0
        self._blind = 0

    async def drained(self, written: int, gone: asyncio.Future[Any]) -> bool:
        """Wait until little is unsent. False: the reader has taken nothing for too long, or left."""
        self._blind += written
        self._since_look += written
        if self._since_look < UNSENT_BYTES_MAX:
            return True
        self._seek()
        if self._socket is None:
            # What has an end cannot be resumed after a break, so it continues blindly.
            return self._is_whole or self._blind < BLIND_BYTES_MAX
        # A moment for what was written to get from the server's memory to the socket.
        await asyncio.sleep(0.001)
        before, rate = -1, LeastRate(LEAST_BYTES_PER_SECOND, STUCK_SECONDS)
        while (unsent := _unsent(self._socket)) > UNSENT_BYTES_MAX:
            if gone.done():
                return False
            if rate.too_slow(max(0, before - unsent), LOOK_SECONDS):
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                return False
            before = unsent
            await asyncio.sleep(LOOK_SECONDS)
        self._since_look = 0
        return True

    def cut(self) -> None:
        """Break the connection, so that the part written is not taken for the whole."""
        self._seek()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _seek(self) -> None:
        if not self._is_sought:
            # Only when it is needed: it is sought among all open files, and an idle stream never needs it.
            self._is_sought = True
            self._socket = _socket_of(self._scope.server, self._scope.client)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _unsent(sock: socket.socket) -> int:
    if sys.platform == "darwin":
        return sock.getsockopt(socket.SOL_SOCKET, 0x1024)  # SO_NWRITE
    found: int = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]
    return found


def _socket_of(server: str, client: str) -> socket.socket | None:
    """A duplicate of the connection's socket, found among the open files by its two addresses."""
    wanted = (_port(server), client)
    for name in os.listdir("/dev/fd"):
        try:
            fd = int(name)
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            sock = socket.socket(fileno=os.dup(fd))
        except (OSError, ValueError):
            continue
        try:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                peer = sock.getpeername()
                if (sock.getsockname()[1], f"{peer[0]}:{peer[1]}") == wanted:
                    return sock
        except OSError:
            pass
        sock.close()
    return None


def _port(address: str) -> int:
    port = address.rpartition(":")[2]
    return int(port) if is_digits(port) else 0
