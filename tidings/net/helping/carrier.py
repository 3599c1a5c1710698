"""What a helper does for the sender: it sends the requests that it is given, and reports the results."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from tidings.net.handle import HttpRequest
from tidings.net.helping.messages import ErrandAnswer, ErrandAnswers, Errands
from tidings.net.reply import Reply
from tidings.rules.nodes.helping import SILENT_SECONDS, Spare

Start = Callable[[HttpRequest, Callable[[Reply | None], None]], None]
"""Starts a request. The function is called, from any thread, with the reply; with None if nothing was sent."""


class Carrier:
    """The errands of one connection. Belongs to its event loop."""

    def __init__(self, start: Start, uptime: Callable[[], float]) -> None:
        """`uptime`: seconds on a clock that nobody sets, and that keeps running while the process or machine sleeps."""
        self._start, self._uptime = start, uptime
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._answers: deque[ErrandAnswer] = deque()
        self._is_told = False
        self.parts = 0
        """For how many parts of the endpoints it sends."""
        self.under_way = 0
        """How many errands it has not answered."""
        self.leaves = False
        """Whether it takes no more errands."""
        self._heard_at = uptime()
        self._spare = Spare(self._heard_at, time.process_time())

    @property
    def is_awaited(self) -> bool:
        """Whether there are errands that a sender who is there waits for."""
        return self.under_way > 0 and self._uptime() - self._heard_at < SILENT_SECONDS

    def take(self, message: Errands) -> None:
        """Begin with these errands, unless the sender may have given this node up since it sent them: then it sends
        them itself."""
        self._heard_at, self.parts = self._uptime(), message.parts
        self.under_way += len(message.errands)
        is_late = self._heard_at - message.heard > SILENT_SECONDS
        for errand in message.errands:
            if is_late or self.leaves:
                self._done(errand.number, None)
                continue
            request = HttpRequest(errand.url, errand.headers, errand.body, errand.timeout_seconds, errand.tenant)
            self._start(request, partial(self._done, errand.number))

    def leave(self) -> None:
        """Take no more errands, and say so."""
        self.leaves = True
        self._news.set()

    async def answers(self, seconds: float) -> ErrandAnswers:
        """What to say next: as soon as there are answers, or after this time."""
        if not self._answers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), seconds)
        self._news.clear()
        # An answer that comes from here on tells again.
        self._is_told = False
        found = [self._answers.popleft() for _ in range(len(self._answers))]
        self.under_way -= len(found)
        now = self._uptime()
        return ErrandAnswers(now, self.leaves, not self._spare.look(now, time.process_time()), found)

    def _done(self, number: int, reply: Reply | None) -> None:
        self._answers.append(ErrandAnswer(number, reply))
        if not self._is_told:
            self._is_told = True
            # If the loop has ended, nobody is left to be answered.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)
