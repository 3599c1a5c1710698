"""The HTTP client of a sender that has helpers: it gives them some requests, and repeats what they lose.

Those who send through it notice nothing: `done` is called from `poll`, once for each request. A request that a helper
has lost may have arrived, so it may arrive twice, with the same id, as after a crash of the sender.

A request that was given away is in exactly one place: in its helper's `waiting`, or among those to be repeated. A
helper that has any is in `_owing`, whatever the event loop does with it in the meantime.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from tidings.net.handle import Done, HttpRequest
from tidings.net.helping.helper import Helper
from tidings.net.helping.messages import ERRAND_BYTES_MAX
from tidings.net.http import HttpClient
from tidings.net.reply import FailureKind, Reply, TransportFailure
from tidings.rules.nodes.helping import Load, assigned, part_of

LOOK_SECONDS = 1.0
"""How often to look at the load, and for helpers that owe an answer."""
OVERDUE_SECONDS = 5.0
"""How much longer than the request itself its answer may take."""
REPEATED_MOST, YOUNG_SECONDS = 64, 1.0
"""The maximum number of repeated requests that are under way and younger than this: a helper that is lost may leave
thousands, and each may open a connection."""
ANSWERED, REPEATED, UNREACHED = "answered", "repeated", "unreached"
_BEFORE_SENDING: frozenset[FailureKind] = frozenset(("url", "name", "address", "connection", "tls"))
"""Failures before a request was sent. They may be the helper's: another network, or other settings."""

log = logging.getLogger("tidings.nodes")


class Helpers:
    """The helpers that there are, and whose each part is. The event loop changes it, the thread that sends reads it."""

    def __init__(self, share: str) -> None:
        self.load = Load(share)
        self.wake: Callable[[], None] = lambda: None
        """Ends the wait of the thread that sends; set by its client."""
        self.may_send: Callable[[], bool] = lambda: True
        """Whether this node may send; set by the client."""
        self.ends = False
        """Whether this node stops: nothing is repeated any longer, as the next sender does that."""
        self.of: Mapping[int, Helper] = MappingProxyType({})
        """The helper of each part that is given away."""
        self.requests: dict[str, int] = dict.fromkeys((ANSWERED, REPEATED, UNREACHED), 0)
        """How many requests helpers have answered, how many they had lost, and for how many they did not reach the
        endpoint, so that the sender tried it as well."""

    def share_out(self, present: Mapping[str, Helper], leaving: tuple[Helper, ...] = ()) -> None:
        """Give parts to these helpers, by id. `leaving`: others that may still answer."""
        whose = assigned(self.load.given, present)
        count = Counter(whose.values())
        for node, helper in present.items():
            helper.parts = count[node]
        for helper in leaving:
            helper.parts = 0
        self.of = MappingProxyType({part: present[node] for part, node in whose.items()})


class HelpedClient(HttpClient):
    """An `HttpClient` that leaves requests with a `link` to helpers, if they have its part."""

    def __init__(self, helpers: Helpers, may_send: Callable[[], bool], *options: Any, **more: Any) -> None:
        """`may_send`: whether this node may send; what helpers have lost waits until then. The rest: `HttpClient`'s."""
        super().__init__(*options, **more)
        self._helpers = helpers
        self._owing: set[Helper] = set()
        """Helpers that have not answered everything."""
        self._again: deque[tuple[HttpRequest, Done]] = deque()
        """What is to be repeated."""
        self._young: dict[int, float] = {}
        """When repeated requests that are under way began, by number."""
        self._repeats = 0
        self._looked_at, self._used = time.monotonic(), (time.thread_time(), time.process_time())
        self._own = 0  # requests sent from here since the last look
        helpers.wake, helpers.may_send = self.wake, may_send

    @property
    def held(self) -> int:
        """How many requests are not sent, because this node may not send, or stops."""
        is_held = self._helpers.ends or not self._helpers.may_send()
        return len(self._again) if is_held else 0

    def send(self, request: HttpRequest, done: Done) -> None:
        """As of `HttpClient`, wherever it is sent."""
        if request.link is not None:
            helper = self._helpers.of.get(part_of(request.link))
            if helper is not None and helper.takes_errands and _fits(request):
                self._owing.add(helper)
                helper.give(request, time.monotonic() + request.timeout_seconds + OVERDUE_SECONDS, done)
                return
        self._own += 1
        super().send(request, done)

    def poll(self, timeout_seconds: float) -> None:
        """As of `HttpClient`; calls back for what helpers have answered, too."""
        if any(helper.answers or helper.is_lost for helper in self._owing):
            timeout_seconds = 0.0
        elif self._again:
            timeout_seconds = min(timeout_seconds, 0.02)
        super().poll(timeout_seconds)
        for helper in [each for each in self._owing if each.answers or each.is_lost]:
            self._collect_from(helper)
        if self._again and not self._helpers.ends and self._helpers.may_send():
            self._repeat()
        if (now := time.monotonic()) >= self._looked_at + LOOK_SECONDS:
            self._look(now)

    def _collect_from(self, helper: Helper) -> None:
        # Read first: what it answered before it was lost has arrived.
        is_lost = helper.is_lost
        while helper.answers:
            answer = helper.answers.popleft()
            found = helper.waiting.pop(answer.number, None)
            if found is None:
                continue
            _, request, done = found
            failure = None if answer.reply is None else answer.reply.failure
            if failure is not None and failure.kind in _BEFORE_SENDING:
                self._helpers.requests[UNREACHED] += 1
                self._again.append((request, done))
            elif answer.reply is None:
                self._helpers.requests[REPEATED] += 1
                self._again.append((request, done))
            else:
                self._helpers.requests[ANSWERED] += 1
                done(answer.reply)
        if is_lost:
            self._helpers.requests[REPEATED] += len(helper.waiting)
            self._again.extend((request, done) for _, request, done in helper.waiting.values())
            helper.waiting.clear()
        if not helper.waiting:
            self._owing.discard(helper)

    def _repeat(self) -> None:
        born = time.monotonic() - YOUNG_SECONDS
        while self._young and (number := next(iter(self._young))) and self._young[number] < born:
            del self._young[number]
        for _ in range(min(len(self._again), REPEATED_MOST - len(self._young))):
            request, done = self._again.popleft()
            self._repeats += 1
            self._young[self._repeats] = time.monotonic()
            try:
                super().send(request, partial(self._repeated, self._repeats, done))
            except Exception as wrong:
                log.exception("a request that another node has lost cannot be repeated")
                self._repeated(self._repeats, done, _unsendable(wrong))

    def _repeated(self, number: int, done: Done, reply: Reply) -> None:
        self._young.pop(number, None)
        done(reply)

    def _look(self, now: float) -> None:
        before, seconds = self._used, now - self._looked_at
        self._looked_at, self._used = now, (time.thread_time(), time.process_time())
        sending, process = (self._used[0] - before[0], self._used[1] - before[1])
        self._helpers.load.look(sending / seconds, process / seconds, sending / max(1, self._own))
        self._own = 0
        for helper in self._owing:
            if any(until < now for until, _, _ in helper.waiting.values()):
                log.warning("another node owes answers for too long, so its requests are repeated")
                helper.lose()


def _fits(request: HttpRequest) -> bool:
    """Whether a helper can send it as it is; the keys of client certificates stay here."""
    is_plain = request.tls is None and not request.opens and request.method == "POST"
    return is_plain and len(request.body) <= ERRAND_BYTES_MAX


def _unsendable(wrong: Exception) -> Reply:
    return Reply(None, (), b"", 0, TransportFailure("url", f"The request cannot be built: {wrong}"))
