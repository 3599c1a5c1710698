"""A lane: what the deliver stage holds in memory for one link. It is bounded, and can always be rebuilt from the store.

A lane *follows* while it takes deliveries from the head of the line as they are routed. If it cannot (its queue is
full, or it is paused or failing), it *lags*: waiting deliveries stay in the store as "my deliveries after my cursor",
and are read in windows once there is room. So a dead endpoint with a million waiting deliveries costs little here.

Only the files of this folder change its attributes or their contents; everything else calls its methods.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from tidings.deliver.actions.action import Action
from tidings.deliver.lane.gate import Gate
from tidings.deliver.lane.lines import Lines
from tidings.deliver.lane.queued import Queued
from tidings.deliver.lane.setbacks import Setbacks
from tidings.model.link import ALL_TENANTS, AnyLink, changes_requests, replaces
from tidings.model.moment import Micros
from tidings.rules.deliver import health
from tidings.rules.deliver.health import HEALTHY, EndpointHealth, Failure

QUEUE_MAX, HELD_MAX = 500, 1_000
LINE_MAX = 16
"""The maximum number of deliveries of one line in memory; the ones behind them exist only as rows."""
WINDOW_START = 16
"""How many requests may be in flight to an endpoint that has not answered any yet; each success allows one more."""
LATEST_MAX, SMALL_MAX = 32, 10_000


class Lane:
    """One link's queue, places, order and health. Only the deliver thread touches it."""

    def __init__(self, link: AnyLink, action: Action, gate: Gate, marks: set[int]) -> None:
        self.num = link.num
        """The number of its link."""
        self.gate = gate
        gate.nums.add(link.num)
        self._marks = marks
        self.queue: deque[Queued] = deque()
        """Deliveries that were never tried, oldest first."""
        self.due: deque[Queued] = deque()
        """Deliveries that were tried before and are due again."""
        self.latest: deque[Queued] = deque()
        """While lagging: the backlog's newest deliveries, which may be tried before their turn. They are not `busy`."""
        self.walked: int | None = None
        """The number from which `latest` is read on, backwards; None: from the backlog's end; 0: nothing is left."""
        self.jumped: set[int] = set()
        """Numbers of deliveries taken from `latest`, beyond `read_to`, whose result is not stored yet."""
        self.turn, self.setbacks = 0, Setbacks()
        self.moved = self.probed = 0
        """`moved`: when a request last left or came back; `probed`: when a probe last left."""
        self.small: dict[int, int] = {}
        """By delivery, the maximum size of a batch that contains it, because a larger batch with it was refused."""
        self.queued_since: Micros = 0
        self.flights = 0
        """Requests in flight."""
        self.window = WINDOW_START
        self.busy: set[int] = set()
        """Numbers of deliveries that are queued, are in flight, or have a result that is not stored yet."""
        self.flying: dict[int, Queued] = {}
        self.own: dict[int, None] = {}
        """Numbers of deliveries read from the lane's own backlog whose result is not stored yet, oldest first."""
        self.lagging = False
        self.lagging_since: Micros = 0
        self.read_to = 0
        """While lagging: the number of the last delivery read from the backlog."""
        self.next_due: Micros | None = None
        self.health = HEALTHY
        self.succeeded_at: Micros | None = None
        self.mended = False
        """Whether the link's requests were edited, or the link was disabled, and nothing has been sent since then."""
        self.edited_at: Micros = 0
        """When the endpoint was edited. Requests that left earlier failed at the endpoint as it was before."""
        self.lines = Lines()
        self.timer: Micros | None = None
        self._take(link, action)

    def _take(self, link: AnyLink, action: Action) -> None:
        """Determine, once, everything that depends only on the link and not on the delivery."""
        pacing = link.pacing
        self.link, self.action = link, action
        self.tenant = None if link.tenant == ALL_TENANTS else link.tenant
        """The tenant whose share the lane's work counts towards; None for the operator."""
        self.sendable = link.deleted is None and link.mode == "enabled"
        """Whether the lane's link exists and is enabled."""
        self.ordered_all, self.ordered_by_subject = pacing.order == "all", pacing.order == "subject"
        """Whether all events are sent in strict order; whether the events of each subject are."""
        self.replaces = replaces(link)
        self.most_in_flight = pacing.max_in_flight
        self.plain = pacing.order == "none" and pacing.batch is None and not self.gate.limited
        """Whether deliveries can be sent in the order in which they come as long as nothing fails."""

    @property
    def room(self) -> int:
        """How many more new deliveries may be queued here."""
        takes_more = (
            not self.lagging
            and self.sendable
            and not self.health.open
            and not self.gate.paused
            and not (self.ordered_all and self.blocked and not self.flights)
        )
        return max(0, QUEUE_MAX - len(self.queue)) if takes_more else 0

    @property
    def blocked(self) -> bool:
        """In strict order: whether a delivery that all others wait for is on its way or waits for a retry."""
        return self.ordered_all and "" in self.lines.blocking

    @property
    def has_lines_in_store(self) -> bool:
        """Whether lines continue in the store, so that it must be read whenever something is stored."""
        return bool(self.lines.beyond or self.lines.unread)

    @property
    def is_unswept(self) -> bool:
        """After a start, whether there may be free lines that were not released yet."""
        return self.lines.unswept is not None

    @property
    def slots(self) -> int:
        """How many requests may be in flight at once."""
        most = self.most_in_flight
        if self.moved < self.setbacks.slow_until:
            # Slow requests must not take every place, so some are left for the newest deliveries.
            most -= self.setbacks.reserved(most)
        return 1 if self.ordered_all else min(self.window, most)

    @property
    def queued(self) -> int:
        """How many are in memory, next in line."""
        return len(self.queue) + len(self.due)

    @property
    def ordinary(self) -> int:
        """Requests in flight within the window."""
        return self.flights - len(self.setbacks.express)

    def replace(self, link: AnyLink, action: Action, gate: Gate | None = None, *, resends: bool = False) -> AnyLink:
        """Continue with the present link; returns the previous one. `resends`: what or how it sends has changed."""
        was, self.gate = self.link, (gate or self.gate).instead_of(self.gate, self.num, self.flights)
        if was.pacing.rate != link.pacing.rate and not self.gate.shared:
            self.gate.set_limits(link.pacing.rate)
        self._take(link, action)
        self.mended |= resends or was.mode == "disabled" or changes_requests(was, link)
        return was

    def disable(self, reason: str) -> None:
        """Send nothing more from now on, even before that is stored."""
        self._take(msgspec.structs.replace(self.link, mode="disabled", reason=reason), self.action)

    def due_at(self, at: Micros) -> None:
        """Something is due at that time; 0: read the store at once."""
        if self.next_due is None or at < self.next_due:
            self.next_due = at

    # --- results of requests ------------------------------------------------------------------------------------------

    def arrived(self, items: Sequence[Queued], now: Micros) -> None:
        """A request has finished."""
        self.flights -= 1
        self.gate.flights -= 1
        self.moved = self.setbacks.silent_since = now
        self.setbacks.express.pop(items[0].number, None)
        for item in items:
            self.flying.pop(item.number, None)

    def unsent(self, items: Sequence[Queued], *, flown: bool) -> None:
        """These could not be sent. `flown`: they were a complete request, so its place is free again."""
        self.flights -= flown
        self.gate.flights -= flown
        for item in items:
            self.flying.pop(item.number, None)
            self.setbacks.express.pop(item.number, None)

    def succeeded(self, now: Micros, ended: Sequence[Queued] = ()) -> None:
        """A request succeeded, and ended these: one more may be in flight, and earlier failures no longer count."""
        for item in ended if self.small else ():
            self.small.pop(item.number, None)
        if self.window < self.most_in_flight:
            self.window += 1
        self.succeeded_at = now
        if self.health is not HEALTHY:
            self.setbacks.accepted(now)
            self.health = health.after_success(self.health, now)
            self.gate.paused_until(now)
            self.mark()

    def failed(self, now: Micros, chance: float, failure: Failure) -> None:
        """A request failed. Many endpoints that never respond must not be able to take every place."""
        if not failure.refused:
            self.window = max(1, min(self.window // 2, WINDOW_START))
        was_open = self.health.open
        self.health = health.after_failure(self.health, now, chance, self.succeeded_at, failure)
        if self.health.open and not was_open:
            # The first probe takes the newest.
            self.turn = 0
        self.mark()

    def hold(self, now: Micros, chance: float, status: int, asked_seconds: float | None) -> None:
        """The other side asked for a pause; `asked_seconds`: its length."""
        self.window, self.setbacks.retry_next = 1, True
        self.health = health.after_hold(self.health, now, chance, status, asked_seconds)
        self.gate.pause(self.health.held_until or now, self.health.held_status)
        self.mark()

    def is_news(self, created: Micros) -> bool:
        """Whether a delivery was made after the last success."""
        return self.succeeded_at is None or created > self.succeeded_at

    # --- its rests ----------------------------------------------------------------------------------------------------

    def rests_until(self, now: Micros) -> Micros | None:
        """When a pause that the other side asked for ends; None if there is none."""
        until = self.gate.paused_until(now)
        if until is None and self.health.held_until is not None:
            self.health = health.released(self.health)
            self.setbacks.pause_ended()
            self.mark()
        return until

    def probe_now(self, now: Micros, *, free: bool) -> None:
        """Something should be sent now: if the link is failing, a probe is due. `free`: its pause ends too."""
        if not self.health.open and not (free and (self.gate.paused or self.setbacks.holds_back)):
            return
        self.health = health.probed_now(self.health, now, free=free)
        if free:
            self.setbacks.resume()
            self.gate.resume()
        self.mark()

    def mend(self, now: Micros) -> None:
        """Its requests were edited, so what failed may succeed: a probe is due, and its own pause is over."""
        self.mended = False
        self.edited_at = now
        self.health = health.probed_now(self.health, now)
        self.setbacks.forget()
        if not self.gate.shared:
            self.gate.resume()
        self.mark()

    def recover(self) -> None:
        """It is enabled again: it may work now, and any pause ends."""
        self.health = HEALTHY
        self.setbacks.resume()
        if not self.gate.shared:
            self.gate.resume()
        self.mark()

    def restore(self, found: EndpointHealth, succeeded_at: Micros | None, back: Setbacks) -> None:
        """After a start: restore it as stored."""
        self.health, self.succeeded_at, self.setbacks = found, succeeded_at, back
        if found.held_until is not None:
            self.gate.pause(found.held_until, found.held_status)
            back.retry_next = True

    def move(self, by: Micros) -> None:
        """The clock was set: past and future moments keep their distance."""
        self.health = health.moved(self.health, by)
        self.timer = None
        self.setbacks.move(by)
        for name in ("queued_since", "lagging_since", "moved", "probed", "edited_at"):
            setattr(self, name, getattr(self, name) + by)
        self.lines.stuck = [(first + by, number, subject) for first, number, subject in self.lines.stuck]
        if self.succeeded_at is not None:
            self.succeeded_at += by
        if self.next_due:
            self.next_due += by
        if self.health != HEALTHY or self.setbacks.failed_to:
            self.mark()

    def stored(self, numbers: Iterable[int]) -> None:
        """The results of deliveries are on their way to the store: the lane's cursor may pass them."""
        for number in numbers if self.own or self.jumped else ():
            self.jumped.discard(number)
            if number in self.own:
                del self.own[number]
                self.mark()

    def forget(self, numbers: Sequence[int]) -> None:
        """The results of these are stored and may be read from the store, unless they are in flight again."""
        flying = self.flying
        self.busy.difference_update([number for number in numbers if number not in flying] if flying else numbers)

    def mark(self) -> None:
        """The lane's state has changed, and will be stored with the next settlement."""
        self._marks.add(self.num)

    def cancel_flying(self, number: int) -> bool:
        """Do not retry it if it fails; False if it is not in flight."""
        item = self.flying.get(number)
        if item is None:
            return False
        item.cancelled = True
        return True

    def enqueue(self, item: Queued, now: Micros) -> None:
        """Put an item at the end of the queue."""
        self.enqueue_all([item], now)

    def enqueue_all(self, items: Sequence[Queued], now: Micros) -> None:
        """Put several items at the end of the queue."""
        if not self.queue:
            self.queued_since = now
        self.queue.extend(items)
        self.busy.update([item.number for item in items])

    def enqueue_due(self, item: Queued) -> None:
        """Put an item that was tried before at the end of its queue."""
        self.due.append(item)
        self.busy.add(item.number)

    def put_back(self, items: list[Queued], *, tried: bool) -> None:
        """Put back items that were taken and do not leave yet, at the front."""
        if not items:
            return
        self.queued_since = 0
        line = self.lines.blocking.get("", set()) if self.ordered_all and not tried else set()
        for item in items:
            self.flying.pop(item.number, None)
            # If those that left before them fail, these must not overtake them.
            line.discard(item.number)
        (self.due if tried else self.queue).extendleft(reversed(items))

    def see_newest(self, item: Queued) -> None:
        """While lagging: remember the newest deliveries."""
        if self.ordered_all:
            return
        self.latest.append(item)
        if len(self.latest) > LATEST_MAX:
            self.latest.popleft()
            self.walked = None

    def forget_newest(self) -> None:
        """The newest deliveries were not seen; they will be read from the store."""
        self.latest.clear()
        self.walked = None

    def in_batches_of(self, number: int, most: int) -> None:
        """It was refused in a batch: from now on it is sent in smaller ones."""
        if len(self.small) >= SMALL_MAX:
            self.small.clear()
        self.small[number] = most

    def done_with(self, number: int) -> None:
        """It has ended."""
        if self.small:
            self.small.pop(number, None)

    def lag_from(self, position: int, now: Micros = 0) -> None:
        """Start to lag: everything after `position` that is not busy will be read from the backlog."""
        if not self.lagging or position < self.read_to:
            self.read_to = position
        if not self.lagging:
            self.lagging_since = now
            self.walked = None
        self.lagging = True
        self.mark()

    def fall_back(self, leave: Callable[[int], None], now: Micros) -> None:
        """Leave everything queued or held to the store again, because the lane is paused, disabled, failing or edited.

        `leave` is called with each number that was taken from the head of the line.
        """
        # The row of a released delivery says that it is held, so it would never be found again.
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
            leave(item.number)
            self.own.pop(item.number, None)
        if first is not None:
            self.lag_from(first - 1, now)

    def drop_due(self) -> None:
        """Leave retries to the store, where their rows are."""
        for item in self.due:
            self.busy.discard(item.number)
            self.next_due = 0
        self.due.clear()

    def cursor(self) -> int | None:
        """The value to store as the lane's cursor: everything up to it was attempted. None while it follows."""
        if self.own:
            return next(iter(self.own)) - 1 if not self.lagging else min(next(iter(self.own)) - 1, self.read_to)
        return self.read_to if self.lagging else None
