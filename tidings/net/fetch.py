"""Single requests for an event loop, such as for a certificate: one thread with its own client, started by the first
request.

It goes through the same guard as deliveries: the client decides which addresses may be dialled.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from tidings.net.http import AnswerLimits, HttpClient, HttpRequest, Reply

IDLE_SECONDS = 1.0
STOP_SECONDS = 5.0


class Fetcher:
    """Sends requests of one event loop."""

    def __init__(self, make: Callable[[], HttpClient]) -> None:
        """`make` is called once, by the thread that uses the client."""
        self._make = make
        self._client: HttpClient | None = None
        self._thread: threading.Thread | None = None
        self._given: deque[tuple[HttpRequest, Callable[[Reply | None], None]]] = deque()
        self._stopping = False

    async def fetch(self, request: HttpRequest) -> Reply | None:
        """The reply to a request; None if it could not be built, or the server is stopping."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply | None] = loop.create_future()

        def done(reply: Reply | None) -> None:
            try:
                loop.call_soon_threadsafe(_resolve, future, reply)
            except RuntimeError:
                # The loop has ended, and so have its waiters.
                return

        self.start(request, done)
        return await future

    def start(self, request: HttpRequest, done: Callable[[Reply | None], None]) -> None:
        """The same without waiting: `done` is called from the thread that sends, or from this one. Always called from
        the same thread."""
        if self._stopping:
            done(None)
            return
        self._given.append((request, done))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
            self._thread.start()
        elif self._client is not None:
            self._client.wake()

    async def content(
        self, url: str, method: str, body: bytes, seconds: float, bytes_max: int, tenant: str | None = None
    ) -> bytes | None:
        """The whole body of a 2xx response, at most `bytes_max`; None for any other result."""
        wanted = AnswerLimits(keep_bytes=bytes_max, read_bytes=bytes_max, seconds=seconds)
        headers = ["Content-Type: application/json"] if body else []
        reply = await self.fetch(HttpRequest(url, headers, body, seconds, tenant, method=method, wanted=wanted))
        if reply is None or reply.failure is not None or reply.status is None or not 200 <= reply.status < 300:
            return None
        return reply.body

    def stop(self) -> None:
        """Drop requests in progress."""
        self._stopping = True
        if self._thread is not None:
            if self._client is not None:
                self._client.wake()
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        client = self._client = self._make()
        waiting: dict[int, Callable[[Reply | None], None]] = {}

        def answered(number: int, reply: Reply) -> None:
            waiting.pop(number)(reply)

        number = 0
        while not self._stopping:
            while self._given:
                request, done = self._given.popleft()
                number += 1
                waiting[number] = done
                try:
                    client.send(request, partial(answered, number))
                except ValueError:
                    waiting.pop(number)(None)
            client.poll(IDLE_SECONDS)
        client.close()
        for done in (*waiting.values(), *(done for _, done in self._given)):
            done(None)


def _resolve(future: asyncio.Future[Reply | None], reply: Reply | None) -> None:
    if not future.done():
        future.set_result(reply)
