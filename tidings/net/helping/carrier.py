"""What a helper does for the sender: it sends the requests that it is given, and reports the results."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from tidings.net.handle import HttpRequest
from tidings.net.helping.messages import ERRAND_BYTES, ErrandAnswer, ErrandAnswers, Errands
from tidings.net.helping.unsaid import Unsaid
from tidings.net.reply import Reply
from tidings.rules.nodes.helping import SILENT_SECONDS, Spare

Start = Callable[[HttpRequest, Callable[[Reply | None], None], Callable[[], bool]], None]
"""Starts a request. The second argument is called, from any thread, with the reply; with None if nothing was sent, as
when the third one, asked right before, says that it is no longer wanted."""


class Carrier:
    """The errands of one connection. Belongs to its event loop."""

    def __init__(self, start: Start, uptime: Callable[[], float]) -> None:
        """`uptime`: seconds on a clock that nobody sets, and that keeps running while the process or machine sleeps."""
        self._start, self._uptime = start, uptime
        self._unsaid, self._has_ended = Unsaid(_size), False
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
        """Begin with these errands."""
        self._heard_at, self.parts = self._uptime(), message.parts
        self.under_way += len(message.errands)
        for errand in message.errands:
            request = HttpRequest(errand.url, errand.headers, errand.body, errand.timeout_seconds, errand.tenant)
            self._start(request, partial(self._done, errand.number), partial(self._is_wanted, message.heard))

    def leave(self) -> None:
        """Take no more errands, and say so."""
        self.leaves = True
        self._unsaid.wake()

    def end(self) -> None:
        """The connection has ended: begin nothing more."""
        self._has_ended = True

    async def answers(self, seconds: float) -> ErrandAnswers:
        """What to say next: as soon as there are answers, or after this time. `said` follows."""
        found = await self._unsaid.message(seconds)
        now = self._uptime()
        return ErrandAnswers(now, self.leaves, not self._spare.look(now, time.process_time()), found)

    def said(self, message: ErrandAnswers) -> None:
        """This was sent."""
        self.under_way -= len(message.answers)

    def _is_wanted(self, heard: float) -> bool:
        """Whether the sender cannot have given this node up, and taken back what it was given, when it had last heard
        what was said at `heard`. From any thread."""
        return not (self.leaves or self._has_ended) and self._uptime() - heard <= SILENT_SECONDS

    def _done(self, number: int, reply: Reply | None) -> None:
        self._unsaid.add(ErrandAnswer(number, reply))


def _size(answer: ErrandAnswer) -> int:
    reply = answer.reply
    return ERRAND_BYTES + (0 if reply is None else len(reply.body) + sum(map(len, reply.lines)))
