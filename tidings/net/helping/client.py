"""The HTTP client of a sender that has helpers: it gives them some requests, and repeats what they lose.

Those who send through it notice nothing: `done` is called from `poll`, once for each request. A request that a helper
has lost may have arrived, so it may arrive twice, with the same id, as after a crash of the sender.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from tidings.net.handle import Done, HttpRequest
from tidings.net.helping.helper import Helper
from tidings.net.helping.messages import ERRAND_BYTES_MAX
from tidings.net.http import HttpClient
from tidings.net.reply import Reply, TransportFailure
from tidings.rules.nodes.helping import Load, assigned, part_of

LOOK_SECONDS = 1.0
"""How often to look at the load, and for helpers that owe an answer."""
OVERDUE_SECONDS = 5.0
"""How much longer than the request itself its answer may take."""
ANSWERED, REPEATED = "answered", "repeated"


class Helpers:
    """The helpers that there are, and whose each part is. The event loop changes it, the thread that sends reads it."""

    def __init__(self, share: str) -> None:
        self.load = Load(share)
        self.wake: Callable[[], None] = lambda: None
        """Ends the wait of the thread that sends; set by its client."""
        self.of: Mapping[int, Helper] = MappingProxyType({})
        """The helper of each part that is given away."""
        self.all: tuple[Helper, ...] = ()
        """Those that may have errands, also if they get no new ones."""
        self.requests: dict[str, int] = dict.fromkeys((ANSWERED, REPEATED), 0)
        """How many requests helpers have answered, and how many they had lost."""

    def share_out(self, present: Mapping[str, Helper], leaving: tuple[Helper, ...]) -> None:
        """Give parts to these helpers, by id. `leaving`: others that may still answer."""
        whose = assigned(self.load.given, present)
        count = Counter(whose.values())
        for node, helper in present.items():
            helper.parts = count[node]
        for helper in leaving:
            helper.parts = 0
        self.all = (*present.values(), *leaving)
        self.of = MappingProxyType({part: present[node] for part, node in whose.items()})


class HelpedClient(HttpClient):
    """An `HttpClient` that leaves requests with a `link` to helpers, if they have its part."""

    def __init__(self, helpers: Helpers, may_send: Callable[[], bool], *options: Any, **more: Any) -> None:
        """`may_send`: whether this node may send; what helpers have lost waits until then. The rest: `HttpClient`'s."""
        super().__init__(*options, **more)
        self._helpers, self._may_send = helpers, may_send
        self._again: deque[tuple[HttpRequest, Done]] = deque()
        self._looked_at, self._used = time.monotonic(), (time.thread_time(), time.process_time())
        self._own = 0  # requests sent from here since the last look
        helpers.wake = self.wake

    def send(self, request: HttpRequest, done: Done) -> None:
        """As of `HttpClient`, wherever it is sent."""
        if request.link is not None:
            helper = self._helpers.of.get(part_of(request.link))
            if helper is not None and helper.takes_errands and _fits(request):
                helper.give(request, time.monotonic() + request.timeout_seconds + OVERDUE_SECONDS, done)
                return
        self._own += 1
        super().send(request, done)

    def poll(self, timeout_seconds: float) -> None:
        """As of `HttpClient`; calls back for what helpers have answered, too."""
        helpers = self._helpers
        for helper in helpers.all:
            if helper.answers or (helper.is_lost and helper.waiting):
                timeout_seconds = 0.0
        super().poll(timeout_seconds)
        for helper in helpers.all:
            if helper.waiting:
                self._collect_from(helper)
        if self._again and self._may_send():
            self._repeat()
        if (now := time.monotonic()) >= self._looked_at + LOOK_SECONDS:
            self._look(now)

    def _collect_from(self, helper: Helper) -> None:
        # First of all: what it answered before it was lost has arrived.
        is_lost = helper.is_lost
        while helper.answers:
            answer = helper.answers.popleft()
            found = helper.waiting.pop(answer.number, None)
            if found is None:
                continue
            _, request, done = found
            if answer.reply is None:
                self._again.append((request, done))
            else:
                self._helpers.requests[ANSWERED] += 1
                done(answer.reply)
        if is_lost:
            self._again.extend((request, done) for _, request, done in helper.waiting.values())
            helper.waiting.clear()

    def _repeat(self) -> None:
        while self._again:
            request, done = self._again.popleft()
            self._helpers.requests[REPEATED] += 1
            try:
                super().send(request, done)
            except ValueError as wrong:
                done(Reply(None, (), b"", 0, TransportFailure("url", f"The request cannot be built: {wrong}")))

    def _look(self, now: float) -> None:
        before, seconds = self._used, now - self._looked_at
        self._looked_at, self._used = now, (time.thread_time(), time.process_time())
        sending, process = (self._used[0] - before[0], self._used[1] - before[1])
        self._helpers.load.look(sending / seconds, process / seconds, sending / max(1, self._own))
        self._own = 0
        for helper in self._helpers.all:
            if any(until < now for until, _, _ in helper.waiting.values()):
                helper.lose()


def _fits(request: HttpRequest) -> bool:
    """Whether a helper can send it as it is; the keys of client certificates stay here."""
    is_plain = request.tls is None and not request.opens and request.method == "POST"
    return is_plain and len(request.body) <= ERRAND_BYTES_MAX
