"""A lane: what the deliver stage holds in memory of one link. Bounded, and rebuilt from the store at any time.

A lane *follows* while it takes deliveries from the head of the line as they are routed. When it cannot (its queue
is full, it is paused or failing) it *lags*: what waits stays in the store as "my deliveries after my cursor", and is
read in windows once there is room. So a dead endpoint with a million waiting costs a few numbers here.
"""

from __future__ import annotations

from collections import deque

import msgspec

from tidings.deliver.compose import signer_for
from tidings.model.delivery import Waiting
from tidings.model.link import Endpoint, LinkState
from tidings.model.moment import Micros
from tidings.rules.health import Health
from tidings.rules.limit import TokenBucket
from tidings.rules.sign import Signer

QUEUE_MAX = 500
HELD_MAX = 1_000
WINDOW_START = 16
"""Requests in flight at once to an endpoint that has not answered yet; each success allows one more."""


class Item(msgspec.Struct, gc=False):
    """One delivery in memory. `stored`: it has a row in `waiting`."""

    number: int
    event: int
    created: Micros
    n: int = 0
    earlier: int = 0
    first: Micros = 0
    stored: bool = False
    subject: str | None = None
    known: bool = False
    """Its subject was looked up (of an ordered link)."""
    freed: bool = False
    """It was held, its row still says so, and it stands in the queue: its line waits for it."""
    cancelled: bool = False

    @classmethod
    def of(cls, row: Waiting) -> Item:
        """The item of a row in `waiting`."""
        return cls(row.delivery, row.event, row.first, row.n, row.earlier, row.first, True, row.subject, True)


class Lane:
    """One link's queue, slots, order and health. Only the deliver thread touches it."""

    def __init__(self, link: int, marks: set[int]) -> None:
        self.link = link
        self._marks = marks
        self.endpoint: Endpoint | None = None
        self.signer: Signer | None = None
        self.signer_until: Micros | None = None
        self.bucket: TokenBucket | None = None
        self.queue: deque[Item] = deque()
        self.queued_since: Micros = 0
        self.flights = 0
        self.window = WINDOW_START
        self.busy: set[int] = set()
        """Numbers that are queued, in flight, or whose result is not stored yet."""
        self.flying: dict[int, Item] = {}
        self.own: dict[int, None] = {}
        """Numbers read from the lane's own backlog whose result is not stored yet, oldest first."""
        self.lagging = False
        self.read_to = 0
        """While lagging: the last number read from the backlog."""
        self.next_due: Micros | None = None
        self.health = Health()
        self.blocking: dict[str, set[int]] = {}
        """Ordered links: per subject, the deliveries that the later ones wait for."""
        self.held: dict[str, deque[Item]] = {}
        self.held_count = 0
        self.unswept: int | None = None
        """After a start, the highest number found held: once all before it are in their lines, free lines may go."""
        self.timer: Micros | None = None

    @property
    def sendable(self) -> bool:
        """Whether its endpoint exists and is enabled."""
        return self.endpoint is not None and self.endpoint.deleted is None and self.endpoint.mode == "enabled"

    @property
    def takes_more(self) -> bool:
        """Whether a new delivery may be queued here."""
        return (
            not self.lagging
            and self.sendable
            and not self.health.open
            and len(self.queue) < QUEUE_MAX
            and self.held_count < HELD_MAX
            and not (self.blocked and not self.flights)
        )

    @property
    def ordered_all(self) -> bool:
        """Strict order over all events."""
        return self.endpoint is not None and self.endpoint.options.order == "all"

    @property
    def blocked(self) -> bool:
        """Strict order: whether one is on its way, or waits for a retry, that all others wait for."""
        return self.ordered_all and "" in self.blocking

    @property
    def ordered_by_subject(self) -> bool:
        """Order within each subject."""
        return self.endpoint is not None and self.endpoint.options.order == "subject"

    @property
    def slots(self) -> int:
        """How many requests may be in flight at once."""
        if self.endpoint is None:
            return 0
        return 1 if self.ordered_all else min(self.window, self.endpoint.options.max_in_flight)

    def widen(self) -> None:
        """A request succeeded: one more may be in flight."""
        if self.endpoint is not None and self.window < self.endpoint.options.max_in_flight:
            self.window += 1

    def narrow(self) -> None:
        """A request failed: many endpoints that never answer must not take every place there is."""
        self.window = max(1, min(self.window // 2, WINDOW_START))

    def mark(self) -> None:
        """Its state has changed and is to be stored with the next settlement."""
        self._marks.add(self.link)

    def sign_with(self, now: Micros) -> Signer:
        """The signer with the secrets that are valid now."""
        if self.signer is None or (self.signer_until is not None and now >= self.signer_until):
            assert self.endpoint is not None
            self.signer, self.signer_until = signer_for(self.endpoint, now)
        return self.signer

    def enqueue(self, item: Item, now: Micros) -> None:
        """Put an item at the end of the queue."""
        if not self.queue:
            self.queued_since = now
        self.queue.append(item)
        self.busy.add(item.number)

    def lag_from(self, position: int) -> None:
        """Begin to lag: everything after `position` that is not busy will be read from the backlog."""
        if not self.lagging or position < self.read_to:
            self.read_to = position
        self.lagging = True
        self.mark()

    def fall_back(self, outstanding: dict[int, None]) -> None:
        """Leave all that is queued or held to the store again (paused, disabled, failing, edited)."""
        # The row of a freed one says that it is held, so nobody would find it again.
        left = [item for item in self.queue if not item.freed]
        self.queue = deque(item for item in self.queue if item.freed)
        first: int | None = None
        for item in left:
            self.busy.discard(item.number)
            if item.stored:
                self.next_due = 0
                continue
            first = item.number if first is None else min(first, item.number)
            outstanding.pop(item.number, None)
            self.own.pop(item.number, None)
        if first is not None:
            self.lag_from(first - 1)

    def cursor(self) -> int | None:
        """What to store as the lane's cursor: everything up to it was attempted; None while it follows."""
        if self.own:
            return next(iter(self.own)) - 1 if not self.lagging else min(next(iter(self.own)) - 1, self.read_to)
        return self.read_to if self.lagging else None

    def state(self) -> LinkState:
        """The row to store."""
        health = self.health
        return LinkState(
            link=self.link,
            cursor=self.cursor(),
            fails=health.fails,
            failing_since=health.failing_since,
            last_failure=health.last_failure,
            open=health.open,
            probe_at=health.probe_at,
            probe_delay_seconds=health.probe_delay_seconds,
        )


class LaneView(msgspec.Struct, frozen=True):
    """What others may see of a lane."""

    queued: int
    in_flight: int
    lagging: bool
    open: bool
    fails: int
    failing_since: Micros | None
    probe_at: Micros | None


def view(lane: Lane) -> LaneView:
    """The lane at this moment."""
    health = lane.health
    return LaneView(
        len(lane.queue), lane.flights, lane.lagging, health.open, health.fails, health.failing_since, health.probe_at
    )
