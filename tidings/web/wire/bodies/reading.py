"""Read request bodies within limits: of size before and while reading, and of time.

The HTTP server below has neither for bodies. One sweeper looks after all reads in progress, so that a request needs no
timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from weakref import WeakKeyDictionary

from tidings.model.errors import Malformed, TooLarge, TooSlow, Unavailable
from tidings.rules.limits.windows import LeastRate
from tidings.rules.share import Share
from tidings.web.wire.bodies.memory import Memory

BODY_SECONDS = 9.0
"""A body that is not complete after this time is given up; with the sweep, the connection is closed within ten
seconds."""
SWEEP_SECONDS = 0.5
DISCARDED_BYTES_MAX, DISCARD_SECONDS = 8 * 1024 * 1024, 2.0
"""How much of a refused body is still read, and for how long."""
DISCARDED_NOWHERE_MAX = 64 * 1024
"""The same limit for a body sent to an unknown path: it is not worth reading more of it."""
LEAST_BYTES_PER_SECOND, LEAST_SECONDS = 1_024, 30.0
"""The minimum rate at which a file must arrive, on average over this many seconds of waiting for it."""
LARGE_BYTES = 16 * 1024
HELD_BYTES_MAX = 256 * 1024 * 1024
"""The maximum size of all large bodies of unanswered requests together; beyond it, requests are refused until some of
these are answered."""
RETRY_AFTER_SECONDS = 1.0


class BodyReader:
    """Reads bodies. Belongs to one event loop."""

    def __init__(self, *, seconds: float = BODY_SECONDS) -> None:
        self._seconds, self._least_seconds = seconds, LEAST_SECONDS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._sweeping = False
        self._begun: WeakKeyDictionary[asyncio.Task[Any], AsyncIterator[bytes]] = WeakKeyDictionary()
        """The iterators of bodies that are read in pieces, because a body can be iterated only once."""
        self._memory = Memory()
        self.share = Share("bodies", HELD_BYTES_MAX)
        """Bytes of large bodies whose requests have not been answered yet."""

    async def read(self, proto: Any, headers: dict[str, str], limit: int, tenant: str | None) -> bytes:
        """The whole body, at most `limit` bytes.

        Raises TooLarge, TooSlow, Malformed if it broke off, or Unavailable if too much is in progress, for the tenant
        or in total.
        """
        length = headers.get("content-length")
        if length is None:
            if "transfer-encoding" not in headers:
                return b""
        elif int(length) > limit:
            raise _too_large(limit)
        elif length == "0":
            return b""
        loop = self._loop
        if loop is None or loop.is_closed():
            # Asked once: each time it would be a system call.
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        size = limit if length is None else int(length)
        if size > LARGE_BYTES:
            self._hold(task, size, tenant)
        self._reading[task] = time.monotonic() + self._seconds
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_SECONDS, self._sweep)
        try:
            whole: bytes = await (proto() if length is not None else _counted(self._source(proto), limit))
            return whole
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise TooSlow(f"The body was not complete after {self._seconds:g} seconds.") from None
        except RuntimeError:
            # What the server raises where the connection or its framing broke.
            raise _broken_off() from None
        finally:
            del self._reading[task]
            self._late.discard(task)

    async def pieces(self, proto: Any, headers: dict[str, str], limit: int) -> AsyncGenerator[bytes]:
        """The body piece by piece, at most `limit` bytes; each piece must come within the time of a whole body, and all
        of them at LEAST_BYTES_PER_SECOND.

        Raises TooLarge, TooSlow, or Malformed if it broke off.
        """
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return
        if length is not None and int(length) > limit:
            raise _too_large(limit)
        source = self._source(proto)
        rate = LeastRate(LEAST_BYTES_PER_SECOND, self._least_seconds)
        size = empty = 0
        began = time.monotonic()
        while (piece := await self._piece(source)) is not None:
            size += len(piece)
            if rate.too_slow(len(piece), time.monotonic() - began):
                raise TooSlow(
                    f"For {self._least_seconds:g} seconds, the body arrived at less than {LEAST_BYTES_PER_SECOND:,} "
                    f"bytes per second. If the data is still being produced, send the finished part as a separate file."
                )
            if size > limit:
                raise _too_large(limit)
            if piece:
                yield piece
            else:
                empty += 1
            began = time.monotonic()
        if size < int(length or 0) or empty > 1:
            raise _broken_off()

    async def _piece(self, source: AsyncIterator[bytes]) -> bytes | None:
        """The next piece; None at the end."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._reading[task] = time.monotonic() + self._seconds
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_SECONDS, self._sweep)
        try:
            # Not anext(source, None): with the server's own kind of awaitable that ends the process (CPython 3.11).
            return await source.__anext__()
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise TooSlow(f"No further part of the body arrived for {self._seconds:g} seconds.") from None
        except RuntimeError:
            raise _broken_off() from None
        finally:
            del self._reading[task]
            self._late.discard(task)
            # The exception refers to this frame. If the frame still referred to the task, a task that ends with the
            # exception would stay in memory.
            del task

    async def discard(self, proto: Any, headers: dict[str, str], status: int) -> None:
        """Continue reading, within limits, after a request was refused with this status before its body was complete.

        A connection that is closed while its peer still sends is reset, and a reset can destroy an answer that has
        not been read yet: behind a proxy, the caller then gets a 502.
        """
        # With `Expect`, the body has not left its sender yet. A small one has left it as a whole.
        length = headers.get("content-length", "")
        if "expect" in headers or (int(length or 0) <= LARGE_BYTES and "transfer-encoding" not in headers):
            return
        left = DISCARDED_NOWHERE_MAX if status == 404 else DISCARDED_BYTES_MAX
        # RuntimeError: the whole body was read, or it broke off.
        with contextlib.suppress(RuntimeError, TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                async for piece in _onwards(self._source(proto)):
                    left -= len(piece)
                    if left < 0:
                        return

    def _source(self, proto: Any) -> AsyncIterator[bytes]:
        """The body of the request that this task takes, in pieces, from the current position on."""
        task = asyncio.current_task()
        assert task is not None
        source = self._begun.get(task)
        if source is None:
            source = self._begun[task] = aiter(proto)
        return source

    def _hold(self, task: asyncio.Task[Any], size: int, tenant: str | None) -> None:
        """Count a large body until its request is answered."""
        if not self.share.take(tenant, size):
            whose = "Too many large requests" if not self.share.held(tenant) else "Too many of your large requests"
            raise Unavailable(f"{whose} are in progress.", retry_after_seconds=RETRY_AFTER_SECONDS)

        def release(done: asyncio.Task[Any]) -> None:
            self.share.give_back(tenant, size)
            self._memory.worked(size)

        task.add_done_callback(release)

    def _sweep(self) -> None:
        now = time.monotonic()
        for task, deadline in self._reading.items():
            if deadline > now:
                break
            if task not in self._late:
                self._late.add(task)
                self._begun.pop(task, None)
                task.cancel()
        self._sweeping = bool(self._reading)
        if self._sweeping:
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)


async def _counted(source: AsyncIterator[bytes], limit: int) -> bytes:
    """A body of unknown length, given up as soon as it is over the limit."""
    pieces: list[bytes] = []
    size = empty = 0
    async for piece in _onwards(source):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        if piece:
            pieces.append(piece)
        else:
            # The server writes one empty piece at the end of a whole body, and one more where the framing broke.
            empty += 1
    if empty > 1:
        raise _broken_off()
    return b"".join(pieces)


async def _onwards(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is left of a body; `async for` would ask for its first piece again, which the server refuses."""
    while True:
        try:
            yield await source.__anext__()
        except StopAsyncIteration:
            return


def _broken_off() -> Malformed:
    return Malformed("The body ended before it was complete.")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body can be at most {limit:,} bytes long here.")
