"""A lane: what the deliver stage holds in memory of one link. Bounded, and rebuilt from the store at any time.

A lane *follows* while it takes deliveries from the head of the line as they are routed. When it cannot (its queue
is full, it is paused or failing) it *lags*: what waits stays in the store as "my deliveries after my cursor", and is
read in windows once there is room. So a dead endpoint with a million waiting costs a few numbers here.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import msgspec

from tidings.deliver.actions.webhook import signer_for
from tidings.model.delivery import Waiting
from tidings.model.link import ALL_TENANTS, Endpoint, LinkState
from tidings.model.moment import Micros
from tidings.rules.deliver import health
from tidings.rules.deliver.health import HEALTHY
from tidings.rules.limit import TokenBucket
from tidings.rules.schemes.standard import Signer

QUEUE_MAX = 500
HELD_MAX = 1_000
LINE_MAX = 16
"""How many of one line stand in memory; those behind them have only their rows."""
WINDOW_START = 16
"""Requests in flight at once to an endpoint that has not answered yet; each success allows one more."""
LATEST_MAX = 32
EXPRESS_MAX = 16
"""How many requests beyond its window may carry its newest deliveries, while those before are slow or fail."""
SMALL_MAX = 10_000


class Taken(Protocol):
    """Numbers taken from the head of the line."""

    def pop(self, number: int) -> None:
        """Leave this one to the store again."""


class Queued(msgspec.Struct, gc=False):
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
    def of(cls, row: Waiting) -> Queued:
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
        self.queue: deque[Queued] = deque()
        """Never tried, oldest first."""
        self.due: deque[Queued] = deque()
        """Tried before, and due again."""
        self.latest: deque[Queued] = deque()
        """While lagging: the newest of its backlog, which may be tried before their turn. They are not busy."""
        self.walked: int | None = None
        """Where `latest` is read on, downwards, from the backlog; None: from its end; 0: there is no more."""
        self.jumped: set[int] = set()
        """Numbers taken from `latest` whose result is not stored yet, and which the backlog was not read up to."""
        self.turn = 0
        self.express: dict[int, Micros] = {}
        """Numbers of deliveries in flight beyond the window, and when they left."""
        self.slow_until: Micros = 0
        """It was slow, or did not answer, less than SLOW_KEPT before."""
        self.moved = self.probed = 0
        """When a request last left or came back; left as a probe."""
        self.small: dict[int, int] = {}
        """How large a batch may be that carries this delivery: it was refused in a larger one."""
        self.queued_since: Micros = 0
        self.flights = 0
        self.window = WINDOW_START
        self.busy: set[int] = set()
        """Numbers that are queued, in flight, or whose result is not stored yet."""
        self.flying: dict[int, Queued] = {}
        self.own: dict[int, None] = {}
        """Numbers read from the lane's own backlog whose result is not stored yet, oldest first."""
        self.lagging = False
        self.lagging_since: Micros = 0
        self.read_to = 0
        """While lagging: the last number read from the backlog."""
        self.next_due: Micros | None = None
        self.health = HEALTHY
        self.succeeded_at: Micros | None = None
        self.mended = False
        """What it sends was edited, or it was disabled, and it did not send since."""
        self.edited_at: Micros = 0
        """What left before failed at what the endpoint was before."""
        self._begin_lines()
        self.timer: Micros | None = None

    @property
    def tenant(self) -> str | None:
        """Whose share its work counts in: its endpoint's tenant, or None, the operator."""
        tenant = None if self.endpoint is None else self.endpoint.tenant
        return None if tenant == ALL_TENANTS else tenant

    def _begin_lines(self) -> None:
        self.blocking: dict[str, set[int]] = {}
        """Ordered links: per subject, the deliveries that the later ones wait for."""
        self.held: dict[str, deque[Queued]] = {}
        self.held_count = 0
        self.beyond: dict[str, int] = {}
        """Lines that go on in the store behind what is held here: the number of the last one."""
        self.unread: set[str] = set()
        """Those of which none is left here: they are to be read."""
        self.stuck: list[tuple[Micros, int, str]] = []
        """A heap of those that failed while others wait for them: since when, the delivery, its subject."""
        self.unswept: int | None = None
        """After a start, the highest number found held: once all before it are in their lines, free lines may go."""

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
            and self.health.held_until is None
            and len(self.queue) < QUEUE_MAX
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
        most = self.endpoint.options.max_in_flight
        if self.moved < self.slow_until:
            # What is slow must not take every place: some are left for the newest.
            most -= min(EXPRESS_MAX, most // 4)
        return 1 if self.ordered_all else min(self.window, most)

    @property
    def queued(self) -> int:
        """How many stand in memory, next in line."""
        return len(self.queue) + len(self.due)

    @property
    def ordinary(self) -> int:
        """Requests in flight within the window."""
        return self.flights - len(self.express)

    def widen(self) -> None:
        """A request succeeded: one more may be in flight."""
        if self.endpoint is not None and self.window < self.endpoint.options.max_in_flight:
            self.window += 1

    def narrow(self) -> None:
        """A request failed: many endpoints that never answer must not take every place there is."""
        self.window = max(1, min(self.window // 2, WINDOW_START))

    def move(self, by: Micros) -> None:
        """The clock was set: what was so long ago, or is so far ahead, stays so."""
        self.health = health.moved(self.health, by)
        self.timer = None
        self.express = {number: left + by for number, left in self.express.items()}
        for name in ("queued_since", "lagging_since", "moved", "probed", "slow_until", "edited_at"):
            setattr(self, name, getattr(self, name) + by)
        self.stuck = [(first + by, number, subject) for first, number, subject in self.stuck]
        if self.succeeded_at is not None:
            self.succeeded_at += by
        if self.next_due:
            self.next_due += by
        if self.health.fails or self.health.held_until is not None:
            self.mark()

    def mark(self) -> None:
        """Its state has changed and is to be stored with the next settlement."""
        self._marks.add(self.link)

    def sign_with(self, now: Micros) -> Signer:
        """The signer with the secrets that are valid now."""
        if self.signer is None or (self.signer_until is not None and now >= self.signer_until):
            assert self.endpoint is not None
            self.signer, self.signer_until = signer_for(self.endpoint, now)
        return self.signer

    def enqueue(self, item: Queued, now: Micros) -> None:
        """Put an item at the end of the queue."""
        if not self.queue:
            self.queued_since = now
        self.queue.append(item)
        self.busy.add(item.number)

    def enqueue_due(self, item: Queued) -> None:
        """Put an item that was tried before at the end of its queue."""
        self.due.append(item)
        self.busy.add(item.number)

    def put_back(self, items: list[Queued], *, tried: bool) -> None:
        """Items that were taken do not leave yet; they are next."""
        if not items:
            return
        self.queued_since = 0
        line = self.blocking.get("", set()) if self.ordered_all and not tried else set()
        for item in items:
            self.flying.pop(item.number, None)
            # Should those that left before them fail, these must not overtake them.
            line.discard(item.number)
        (self.due if tried else self.queue).extendleft(reversed(items))

    def see_newest(self, item: Queued) -> None:
        """While lagging: remember what has come last."""
        if self.ordered_all:
            return
        self.latest.append(item)
        if len(self.latest) > LATEST_MAX:
            self.latest.popleft()
            self.walked = None

    def forget_newest(self) -> None:
        """What has come last was not seen; it is read from the store."""
        self.latest.clear()
        self.walked = None

    def in_batches_of(self, number: int, most: int) -> None:
        """It was refused in a batch: from now on it travels in smaller ones."""
        if len(self.small) >= SMALL_MAX:
            self.small.clear()
        self.small[number] = most

    def lag_from(self, position: int, now: Micros = 0) -> None:
        """Begin to lag: everything after `position` that is not busy will be read from the backlog."""
        if not self.lagging or position < self.read_to:
            self.read_to = position
        if not self.lagging:
            self.lagging_since = now
            self.walked = None
        self.lagging = True
        self.mark()

    def fall_back(self, outstanding: Taken, now: Micros) -> None:
        """Leave all that is queued or held to the store again (paused, disabled, failing, edited)."""
        # The row of a freed one says that it is held, so nobody would find it again.
        self.drop_due()
        left = [item for item in self.queue if not item.freed]
        self.queue = deque(item for item in self.queue if item.freed)
        first: int | None = None
        for item in left:
            self.busy.discard(item.number)
            if item.stored:
                self.next_due = 0
                continue
            if item.number in self.jumped:
                self.jumped.discard(item.number)
                continue
            first = item.number if first is None else min(first, item.number)
            outstanding.pop(item.number)
            self.own.pop(item.number, None)
        if first is not None:
            self.lag_from(first - 1, now)

    def drop_due(self) -> None:
        """Leave what is due again to the store, where its row is."""
        for item in self.due:
            self.busy.discard(item.number)
            self.next_due = 0
        self.due.clear()

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
            succeeded_at=self.succeeded_at,
            new_fails=health.new_fails,
            refusing=health.refusing,
            held_until=health.held_until,
            held_status=health.held_status,
            hold_delay_seconds=health.hold_delay_seconds,
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
    held_until: Micros | None = None
    held_status: int | None = None


def view(lane: Lane) -> LaneView:
    """The lane at this moment."""
    health = lane.health
    return LaneView(
        lane.queued,
        lane.flights,
        lane.lagging,
        health.open,
        health.fails,
        health.failing_since,
        health.probe_at,
        health.held_until,
        health.held_status,
    )
