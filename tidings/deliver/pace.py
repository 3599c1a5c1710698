"""Pace: few requests are young at a time, and under load rounds and settlements come in groups.

All by a clock that only goes forward: the time of day may be set back. The reasons and figures are in
docs/decisions/0006 and 0008.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tidings.model.moment import SECOND, Micros
from tidings.store.jobs import Job, Reply
from tidings.store.writer import Writer

YOUNG_MAX = 128
YOUNG_SECONDS = 0.01
BUSY_YOUNG = 8
"""With this many young requests or more, the server counts as under load."""
LONG_SECONDS = 0.02
"""A round that takes longer than this is long, which happens if many connections are new. Whatever becomes due in the
meantime waits for the end of the round."""
LEAST = 16
ROUND_SECONDS = 0.0005
SETTLE_SECONDS = 0.002
COMPANY_SECONDS = 0.01
"""How long a settlement of a joined node waits for other writes with which it can share a commit, because each commit
slows down all nodes."""
REST_LEAST, REST_MOST = SECOND // 10, 1 * SECOND


class Pace:
    """The requests under way, and since when. Belongs to the deliver thread."""

    def __init__(self, *, seeks_company: bool = False) -> None:
        """`seeks_company`: whether results wait for another reason to write a group."""
        self.young: dict[int, float] = {}
        """By a request's number, when it left. The stage adds it then, and removes it once it has finished."""
        self._most = YOUNG_MAX
        self._began_at = self._settled_at = 0.0
        self._seeks_company = seeks_company
        self.waits_until: float | None = None
        """Until when the results that the writer has wait for other writes; None if they do not wait, or are stored."""

    def room(self) -> int:
        """How many requests may leave now. Slow ones are not counted: they take nobody's place."""
        born = time.monotonic() - YOUNG_SECONDS
        while self.young:
            number, left = next(iter(self.young.items()))
            if left > born:
                break
            del self.young[number]
        return min(self._most, YOUNG_MAX - len(self.young))

    def polled(self, busy_seconds: float) -> None:
        """How long the last requests kept the network busy: after a long round, fewer leave in the next."""
        if busy_seconds > LONG_SECONDS:
            self._most = max(LEAST, self._most // 2)
        elif self._most < YOUNG_MAX:
            self._most *= 2

    def begin_round(self) -> None:
        """Start a round; under load no sooner than ROUND_SECONDS after the last: fewer rounds, with more in each."""
        if len(self.young) >= BUSY_YOUNG:
            left = self._began_at + ROUND_SECONDS - time.monotonic()
            if left > 0:
                time.sleep(left)
        self._began_at = time.monotonic()

    def may_settle(self) -> bool:
        """Whether results go to the store now; under load SETTLE_SECONDS after the last ones."""
        if len(self.young) >= BUSY_YOUNG and self._began_at < self._settled_at + SETTLE_SECONDS:
            return False
        self._settled_at = self._began_at
        return True

    def way(self, writer: Writer, *, at_once: bool) -> Callable[[Job, Reply], None]:
        """How the writer gets results; at a joined node they wait for company, unless somebody waits for them."""
        if at_once or not self._seeks_company:
            return writer.submit
        self.waits_until = time.monotonic() + COMPANY_SECONDS
        return writer.offer

    def company(self, patience: float, writer: Writer) -> float:
        """How long to wait for sockets, up to `patience`. Once results have waited long enough, the writer hears it."""
        if self.waits_until is None:
            return patience
        left = self.waits_until - time.monotonic()
        if left > 0:
            return min(patience, left)
        self.waits_until = None
        writer.speak()
        return patience


class Pause:
    """Until when nothing is read, sent or settled, because the store has refused something."""

    def __init__(self) -> None:
        self.until: Micros = 0
        self._next = REST_LEAST

    def begin(self, now: Micros) -> None:
        """The store has refused something: after a failover its connection is soon good again, a full disk is not."""
        self.until = now + self._next
        self._next = min(2 * self._next, REST_MOST)

    def briefly(self, now: Micros) -> None:
        """This server may not send at this moment. That is known without the store, so it costs nothing to ask."""
        self.until = now + REST_LEAST

    def succeeded(self) -> None:
        """Something was settled."""
        self._next = REST_LEAST
