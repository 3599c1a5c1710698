"""A receiver of webhooks: a real HTTP/1.1 server on a loopback port, in its own thread.

It records requests, responds as configured (also slowly, wrongly or not at all), and can be down for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import msgspec

from tidings.testing.ports import reserve
from tidings.testing.script import OK, Reaction
from tidings.testing.waiting import LOOK_SECONDS, NotInTime

HOST = "127.0.0.1"
HEAD_BYTES_MAX = 256 * 1024
PIECE_BYTES = 64 * 1024
START_SECONDS = 10.0


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request that arrived completely. Header names are lowercase."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    """When the request had arrived, in seconds of `time.monotonic`."""

    @property
    def id(self) -> str:
        """Its `webhook-id`, the same in every attempt."""
        return self.headers.get("webhook-id", "")

    @property
    def timestamp(self) -> int:
        """Its `webhook-timestamp`: when this attempt was signed, in seconds since the epoch."""
        return int(self.headers["webhook-timestamp"])

    @property
    def json(self) -> Any:
        """The body as JSON values."""
        return json.loads(self.body)


Choose = Callable[[Received], Reaction | int | None]
"""Chooses the reaction to a request, or its status; None leaves the choice to the script."""
Check = Callable[[Received], object]
"""Raises if a request must not be accepted; the response is then 400."""


class Receiver:
    """One receiver; use it in a `with`, or `start` and `stop`. Any thread but its own may call its methods."""

    def __init__(self, check: Check | None = None, *, on_request: Callable[[Received], None] | None = None) -> None:
        self._check, self._on_request = check, on_request
        self._choose: Choose | None = None
        self._scripts: dict[str | None, list[Reaction]] = {None: [OK]}
        self._changed = threading.Condition()
        self._requests: list[Received] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._under_way = 0
        self._server: asyncio.Server | None = None
        self.connections = 0
        """The number of connections accepted so far."""
        self.most_at_once = 0
        """The maximum number of concurrent requests so far."""
        self.refused: list[tuple[Received, Exception]] = []
        """The requests that `check` refused, each with the reason."""
        # The port stays ours while we are down.
        self._reserved = reserve()
        self.port: int = self._reserved.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"receiver-{self.port}", daemon=True)

    def __enter__(self) -> Receiver:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> Receiver:
        """Begin to listen."""
        self._thread.start()
        self.up()
        return self

    def stop(self) -> None:
        """Close the port and every connection, and end the thread."""
        if not self._thread.is_alive():
            return
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._reserved.close()

    def url(self, path: str = "/", host: str = HOST) -> str:
        """The URL of one of its paths; every path exists."""
        return f"http://{host}:{self.port}{path}"

    def down(self) -> None:
        """Close the port and cut every connection: from now on connecting is refused."""
        self._do(self._close())

    def up(self) -> None:
        """Listen (again), on the same port as before."""
        self._do(self._listen())

    def answer(self, *reactions: Reaction | int, path: str | None = None) -> None:
        """From now on, react with each reaction once, in turn, and then always with the last. A number is a status.

        `path`: only to requests of this path (with its query, if any).
        """
        script = [Reaction(status=each) if isinstance(each, int) else each for each in reactions]
        if not script:
            raise ValueError("a script needs at least one reaction")
        with self._changed:
            self._scripts[path] = script

    def answer_by(self, choose: Choose | None) -> None:
        """From now on, let a function choose the reaction to each request; None ends this."""
        with self._changed:
            self._choose = choose

    def release(self) -> None:
        """Send the responses that reactions with `waits` hold back."""
        self._loop.call_soon_threadsafe(self._release)

    def requests(self, path: str | None = None) -> list[Received]:
        """The requests so far, in the order in which they had arrived completely."""
        with self._changed:
            return [each for each in self._requests if path is None or each.path == path]

    def wait_for(self, count: int, seconds: float = 10.0, path: str | None = None) -> list[Received]:
        """The requests so far, once there are at least `count` of them. Raises NotInTime."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                found = [each for each in self._requests if path is None or each.path == path]
                if len(found) >= count:
                    return found
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise NotInTime(f"expected {count} requests within {seconds:g} s, but got {len(found)}")

    def clear(self) -> None:
        """Drop the requests so far."""
        with self._changed:
            self._requests.clear()
            self.refused.clear()
            self.most_at_once = self._under_way

    # --- in the receiver's thread ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._free = asyncio.Event()
        try:
            self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, HOST, self.port, limit=HEAD_BYTES_MAX, backlog=1024, reuse_address=True
            )

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    def _release(self) -> None:
        self._free.set()
        self._free = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and react. Returns whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        pairs = [line.partition(":") for line in head[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        received = Received(method=method, path=path, headers=headers, body=body, at=time.monotonic())
        reaction = self._note(received)
        try:
            await self._rest(reaction, reader)
            return await _react(reaction, writer, head=method == "HEAD")
        finally:
            with self._changed:
                self._under_way -= 1

    def _note(self, received: Received) -> Reaction:
        """Record the request, and choose the reaction."""
        wrong: Exception | None = None
        if self._check is not None:
            try:
                self._check(received)
            except Exception as error:
                # Whatever a verifying library raises means that it refuses the request.
                wrong = error
        if self._on_request is not None:
            self._on_request(received)
        with self._changed:
            self._requests.append(received)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            self._changed.notify_all()
            if wrong is not None:
                self.refused.append((received, wrong))
                return Reaction(status=400, body=f"{type(wrong).__name__}: {wrong}".encode())
            chosen = None if self._choose is None else self._choose(received)
            if chosen is not None:
                return Reaction(status=chosen) if isinstance(chosen, int) else chosen
            script = self._scripts.get(received.path) or self._scripts[None]
            return script.pop(0) if len(script) > 1 else script[0]

    async def _rest(self, reaction: Reaction, reader: asyncio.StreamReader) -> None:
        """Hold the response back as long as the reaction says. Raises ConnectionError if the other side gives up."""
        free, until = self._free, time.monotonic() + reaction.delay_seconds
        while reaction.silent or (reaction.waits and not free.is_set()) or time.monotonic() < until:
            if reader.at_eof() or reader.exception() is not None:
                raise ConnectionError("the other side has gone")
            await asyncio.sleep(LOOK_SECONDS)


async def _react(reaction: Reaction, writer: asyncio.StreamWriter, *, head: bool) -> bool:
    """Send the response. Returns whether the connection stays open."""
    size = reaction.huge_bytes or len(reaction.body)
    lines = [f"HTTP/1.1 {reaction.status} So", *(f"{name}: {value}" for name, value in reaction.headers.items())]
    if reaction.status >= 200 and reaction.status not in (204, 304):
        lines.append(f"Content-Length: {size + 1 if reaction.breaks_off else size}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    if reaction.breaks_off:
        writer.write(reaction.body[: len(reaction.body) // 2])
        await writer.drain()
        return False
    if not head:
        await _send_body(reaction, writer)
    await writer.drain()
    return True


async def _send_body(reaction: Reaction, writer: asyncio.StreamWriter) -> None:
    if reaction.huge_bytes:
        piece, left = b"x" * PIECE_BYTES, reaction.huge_bytes
        while left > 0:
            writer.write(piece[:left])
            left -= PIECE_BYTES
            await writer.drain()
        return
    if not reaction.drip_seconds:
        writer.write(reaction.body)
        return
    for at in range(len(reaction.body)):
        writer.write(reaction.body[at : at + 1])
        await writer.drain()
        await asyncio.sleep(reaction.drip_seconds)
