"""All lanes, and how deliveries come into them: the head of the line, a lane's own backlog, and what is due again."""

from __future__ import annotations

from tidings.deliver import order
from tidings.deliver.lane import QUEUE_MAX, Item, Lane
from tidings.deliver.serve import serve
from tidings.deliver.settle import Settlement, waiting_from
from tidings.model.event import Event
from tidings.model.link import Endpoint
from tidings.model.moment import Micros
from tidings.rules import health
from tidings.rules.health import Health
from tidings.rules.limit import TokenBucket
from tidings.store import events
from tidings.store.base import Db, Row
from tidings.store.catalog import Snapshot

HEAD_ROWS = 500
QUEUED_MAX = 50_000
REFILL_BELOW = QUEUE_MAX // 2
CURSOR_STEP = 1_000
EVENT_BYTES_KEPT = 8 * 1024 * 1024


class Lanes:
    """The lanes by link, and the head of the line that they follow."""

    def __init__(self, db: Db, snapshot: Snapshot, now: Micros) -> None:
        self._db = db
        self.by_link: dict[int, Lane] = {}
        self.active: dict[int, Lane] = {}
        self.outstanding: dict[int, None] = {}
        """Numbers taken from the head whose result is not stored yet, oldest first."""
        self._marks: set[int] = set()
        self._head = self._stored = self._position("deliver")
        self._horizon = self._position("delivery")
        self._events: dict[int, Event] = {}
        self._event_bytes = 0
        self._snapshot = snapshot
        for endpoint in snapshot.endpoints.values():
            if endpoint.deleted is None:
                self._lane(endpoint)
        self._restore(now)

    @property
    def has_room(self) -> bool:
        """Whether more may be read from the head."""
        return len(self.outstanding) < QUEUED_MAX

    def read_head(self, now: Micros) -> bool:
        """Take the next deliveries into their lanes. Answers whether there may be more."""
        recovering = self._head < self._horizon
        if recovering:
            rows = self._db.all("deliveries_after_unattempted", after=self._head, until=self._horizon, count=HEAD_ROWS)
        else:
            rows = self._db.all("deliveries_after", after=self._head, count=HEAD_ROWS)
        for row in rows:
            self._offer(row, now)
        if rows:
            self._head = rows[-1][0]
        if recovering and len(rows) < HEAD_ROWS:
            self._head = self._horizon
            self._recovered()
            return True
        return len(rows) == HEAD_ROWS

    def serve(
        self, lane: Lane, now: Micros, launch: list[tuple[Lane, list[Item]]], settlement: Settlement
    ) -> Micros | None:
        """Send what the lane may send now. Answers when to look at it again, if a time is known."""
        if not lane.sendable:
            return None
        self._refill(lane, now)
        again = serve(lane, now, launch, settlement, self.events)
        if order.may_sweep(lane, lane.read_to if lane.lagging else self._head):
            order.sweep(lane, now)
            self.active[lane.link] = lane
        return again

    def events(self, seqs: list[int]) -> dict[int, Event]:
        """Events by number, read once while several lanes send them."""
        missing = sorted({seq for seq in seqs if seq not in self._events})
        found = {seq: self._events[seq] for seq in seqs if seq in self._events}
        if missing:
            for event in events.by_seq(self._db, missing):
                found[event.seq] = event
                self._keep(event)
        return found

    def update(self, snapshot: Snapshot, changed: list[Endpoint], now: Micros, settlement: Settlement) -> None:
        """Endpoints have changed: edits hold from the next attempt on."""
        self._snapshot = snapshot
        for endpoint in changed:
            lane = self.by_link.get(endpoint.num)
            if lane is None:
                if endpoint.deleted is None:
                    self._lane(endpoint)
                continue
            before = lane.endpoint
            if before is None or before.revision != endpoint.revision or before.deleted != endpoint.deleted:
                self._edited(lane, endpoint, now, settlement)

    def notice(self, link: int, now: Micros) -> None:
        """Look at the lane again: something is due, or it was changed by hand."""
        lane = self.by_link.get(link)
        if lane is None:
            return
        lane.next_due = 0
        if lane.health.open:
            lane.health = Health(
                fails=lane.health.fails,
                failing_since=lane.health.failing_since,
                last_failure=lane.health.last_failure,
                open=True,
                probe_at=now,
                probe_delay_seconds=lane.health.probe_delay_seconds,
            )
        self.active[link] = lane

    def move(self, by: Micros) -> None:
        """The clock was set: what waits, waits as long as before. All lanes are looked at again."""
        for lane in self.by_link.values():
            lane.health = health.moved(lane.health, by)
            lane.timer = None
            lane.queued_since += by
            if lane.next_due:
                lane.next_due += by
            if lane.health.fails:
                lane.mark()
        self.active.update(self.by_link)

    def look_again(self) -> None:
        """What is due has changed in the store."""
        for lane in self.by_link.values():
            lane.next_due = 0
        self.active.update(self.by_link)

    def prepare(self, settlement: Settlement) -> None:
        """Complete a settlement with the states and the cursor that hold once it is stored."""
        for link, number in settlement.numbers:
            self.outstanding.pop(number, None)
            lane = self.by_link.get(link)
            if lane is not None and number in lane.own:
                del lane.own[number]
                lane.mark()
        for link in self._marks:
            lane = self.by_link.get(link)
            if lane is not None:
                settlement.states[link] = lane.state()
        self._marks.clear()
        cursor = next(iter(self.outstanding)) - 1 if self.outstanding else self._head
        if settlement or cursor - self._stored >= CURSOR_STEP:
            settlement.cursor = self._stored = cursor

    def find(self, number: int) -> tuple[Lane, Item, bool] | None:
        """A delivery that has not ended: its lane, itself, and whether it has a row in `waiting`."""
        row = self._db.one("delivery_of", delivery=number)
        if row is None or row[1] not in self.by_link:
            return None
        _, link, event, created, tries, ended = row
        lane = self.by_link[link]
        if number in lane.flying:
            return lane, lane.flying[number], lane.flying[number].stored
        stored = self._db.one("waiting_of", delivery=number)
        if stored is None and ended is not None:
            return None
        return lane, Item(number, event, created, n=tries, stored=stored is not None), stored is not None

    def forget(self, lane: Lane, item: Item, now: Micros) -> None:
        """Take a cancelled delivery out of its lane, and let those behind it go."""
        for queued in [queued for queued in lane.queue if queued.number == item.number]:
            lane.queue.remove(queued)
        for subject, line in list(lane.held.items()):
            for held in [held for held in line if held.number == item.number]:
                line.remove(held)
                lane.held_count -= 1
            if not line:
                del lane.held[subject]
        lane.busy.add(item.number)
        for subject in [subject for subject, members in lane.blocking.items() if item.number in members]:
            order.release(lane, Item(item.number, item.event, item.created, subject=subject), now)
        self.active[lane.link] = lane

    def _offer(self, row: Row, now: Micros) -> None:
        number, link, event, created = row
        lane = self.by_link.get(link)
        if lane is None:
            endpoint = self._snapshot.endpoints.get(link)
            if endpoint is None or endpoint.deleted is not None:
                return
            lane = self._lane(endpoint)
        if lane.takes_more:
            if number not in lane.busy:
                lane.enqueue(Item(number, event, created), now)
                self.outstanding[number] = None
        elif not lane.lagging:
            lane.lag_from(number - 1)
        self.active[link] = lane

    def _refill(self, lane: Lane, now: Micros) -> None:
        if len(lane.busy) >= 4 * QUEUE_MAX and not lane.blocked:
            return
        if lane.health.open and (lane.flights or lane.queue or now < (lane.health.probe_at or 0)):
            return
        count = 1 if lane.health.open else REFILL_BELOW
        if lane.next_due is not None and lane.next_due <= now:
            self._read_due(lane, now, count)
        if lane.lagging and len(lane.queue) < (1 if lane.health.open else REFILL_BELOW):
            self._read_backlog(lane, now, count)

    def _read_due(self, lane: Lane, now: Micros, count: int) -> None:
        if lane.blocked:
            self._read_blocking(lane, now)
            return
        limit = count + len(lane.busy)
        rows = self._db.all("waiting_due", link=lane.link, now=now, count=limit)
        taken = 0
        for row in rows:
            waiting = waiting_from(row)
            if waiting.delivery not in lane.busy and taken < count:
                taken += 1
                lane.enqueue(Item.of(waiting), now)
        if lane.ordered_all:
            # They go before those that came after them.
            lane.queue.rotate(taken)
        if len(rows) == limit:
            lane.next_due = now
            return
        later = self._db.one("waiting_next", link=lane.link, after=now)
        lane.next_due = None if later is None or later[0] >= order.FAR else later[0]

    def _read_blocking(self, lane: Lane, now: Micros) -> None:
        """Of a blocked line in strict order only those that block it are read, and they go first."""
        rows = [self._db.one("waiting_of", delivery=number) for number in lane.blocking[""] - lane.busy]
        found = sorted((waiting_from(row) for row in rows if row is not None), key=lambda waiting: waiting.delivery)
        due = [waiting for waiting in found if waiting.due <= now]
        for waiting in due:
            lane.enqueue(Item.of(waiting), now)
        lane.queue.rotate(len(due))
        lane.next_due = min((waiting.due for waiting in found if waiting.due > now), default=None)

    def _read_backlog(self, lane: Lane, now: Micros, count: int) -> None:
        if lane.blocked:
            return
        if lane.held_count >= QUEUE_MAX and (lane.unswept is None or lane.read_to >= lane.unswept):
            return
        rows = self._db.all("backlog", link=lane.link, after=lane.read_to, until=self._head, count=count)
        for number, _, event, created in rows:
            if number not in lane.busy:
                lane.enqueue(Item(number, event, created), now)
                lane.own[number] = None
        if rows:
            lane.read_to = rows[-1][0]
        if len(rows) < count:
            lane.read_to = max(lane.read_to, self._head)
            lane.lagging = lane.health.open
        lane.mark()

    def _lane(self, endpoint: Endpoint) -> Lane:
        lane = self.by_link[endpoint.num] = Lane(endpoint.num, self._marks)
        lane.endpoint = endpoint
        rate = endpoint.options.rate
        lane.bucket = None if rate is None else TokenBucket(rate)
        return lane

    def _edited(self, lane: Lane, endpoint: Endpoint, now: Micros, settlement: Settlement) -> None:
        was, lane.endpoint = lane.endpoint, endpoint
        lane.signer = None
        rate = endpoint.options.rate
        if was is None or was.options.rate != rate:
            lane.bucket = None if rate is None else TokenBucket(rate)
        if not lane.sendable:
            lane.fall_back(self.outstanding)
        elif was is not None and was.mode != endpoint.mode:
            lane.health = Health()
            lane.mark()
        if was is not None and was.options.order != endpoint.options.order:
            lane.fall_back(self.outstanding)
            order.release_all(lane, now, settlement)
        lane.next_due = 0
        self.active[lane.link] = lane

    def _restore(self, now: Micros) -> None:
        for row in self._db.all("link_states"):
            lane = self.by_link.get(row[0])
            if lane is None:
                continue
            lane.health = Health(
                fails=row[2],
                failing_since=row[3],
                last_failure=row[4],
                open=bool(row[5]),
                probe_at=row[6],
                probe_delay_seconds=row[7],
            )
            if row[1] is not None:
                # What came from the head and was in flight stands before the lane's own cursor.
                lane.lag_from(min(row[1], self._head))
        for link, due in self._db.all("waiting_links"):
            lane = self.by_link.get(link)
            if lane is not None:
                lane.next_due = due
                order.restore(lane, [waiting_from(row) for row in self._db.all("waiting_subjects", link=link)])
        self.active = dict(self.by_link)

    def _recovered(self) -> None:
        for link, lane in self.by_link.items():
            if lane.unswept is not None:
                self.active[link] = lane

    def _position(self, name: str) -> int:
        row = self._db.one("cursor_read", name=name)
        assert row is not None
        return int(row[0])

    def _keep(self, event: Event) -> None:
        self._event_bytes += len(event.data)
        if self._event_bytes > EVENT_BYTES_KEPT:
            self._events.clear()
            self._event_bytes = len(event.data)
        self._events[event.seq] = event
