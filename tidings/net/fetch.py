"""Single requests for an event loop, such as for a certificate: one thread with its own client, started by the first
request.

It goes through the same guard as deliveries: the client decides which addresses may be dialled.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from tidings.net.http import AnswerLimits, HttpClient, HttpRequest, Reply

IDLE_SECONDS = 1.0
STOP_SECONDS = 5.0

log = logging.getLogger("tidings.net")


class Fetcher:
    """Sends requests of one event loop."""

    def __init__(self, make: Callable[[], HttpClient]) -> None:
        """`make` is called once, by the thread that uses the client."""
        self._make = make
        self._client: HttpClient | None = None
        self._thread: threading.Thread | None = None
        self._given: deque[tuple[HttpRequest, Callable[[Reply | None], None], Callable[[], bool]]] = deque()
        self._stopping = False
        self._changing = threading.Lock()

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

    def start(
        self, request: HttpRequest, done: Callable[[Reply | None], None], is_wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """The same without waiting: `done` is called from the thread that sends, or from this one. `is_wanted` is
        asked right before the request is sent."""
        if self._stopping:
            done(None)
            return
        with self._changing:
            self._given.append((request, done, is_wanted))
            client = self._client
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
                self._thread.start()
        if client is not None:
            client.wake()

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
        thread, client = self._thread, self._client
        if thread is not None:
            if client is not None:
                client.wake()
            thread.join(STOP_SECONDS)

    def _run(self) -> None:
        waiting: dict[int, Callable[[Reply | None], None]] = {}
        try:
            client = self._client = self._make()
            try:
                self._serve(client, waiting)
            finally:
                client.close()
        except Exception:
            log.exception("requests in progress are dropped")
        finally:
            with self._changing:
                # The next request starts another thread.
                self._thread = self._client = None
                left = [done for _, done, _ in self._given]
                self._given.clear()
            for done in (*waiting.values(), *left):
                done(None)

    def _serve(self, client: HttpClient, waiting: dict[int, Callable[[Reply | None], None]]) -> None:
        """Send what is given, until the server stops."""

        def answered(number: int, reply: Reply) -> None:
            waiting.pop(number)(reply)

        number = 0
        while not self._stopping:
            while self._given:
                request, done, is_wanted = self._given.popleft()
                number += 1
                waiting[number] = done
                try:
                    if not is_wanted():
                        waiting.pop(number)(None)
                        continue
                    client.send(request, partial(answered, number))
                except ValueError:
                    waiting.pop(number)(None)
            client.poll(IDLE_SECONDS)


def _resolve(future: asyncio.Future[Reply | None], reply: Reply | None) -> None:
    if not future.done():
        future.set_result(reply)
