"""All lanes, and how deliveries come into them: the head of the line, a lane's own backlog, and what is due again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import islice

from tidings.deliver import results
from tidings.deliver.lane import order, turns
from tidings.deliver.lane.cancel import find, forget
from tidings.deliver.lane.kept import KeptEvents, has_earlier
from tidings.deliver.lane.lane import LATEST_MAX, LINE_MAX, QUEUE_MAX, Lane, Queued
from tidings.deliver.lane.shares import Outstanding, Shares
from tidings.deliver.lane.turns import Look
from tidings.deliver.serve import Launch, serve
from tidings.deliver.settle import Settlement, waiting_from
from tidings.model.delivery import Waiting
from tidings.model.link import Endpoint, changes_requests
from tidings.model.moment import Micros
from tidings.rules.deliver import health
from tidings.rules.deliver.health import HEALTHY, EndpointHealth
from tidings.rules.limit import TokenBucket
from tidings.store import journal
from tidings.store.base import Db, Row
from tidings.store.catalog import Catalog

HEAD_ROWS = 500
HEAD_SECONDS = 0.03
"""How long a round may read what has to wait in any case, since others' work stands behind it."""
MANY_LANES = 64
REFILL_BELOW = QUEUE_MAX // 2
PROBED_FROM = 16
"""How many are read for a probe: of an ordered link some may have to be held."""
LINES_READ = 16
CURSOR_STEP = 1_000

Chance = Callable[[], float]


class Lanes:
    """The lanes by link, and the head of the line that they follow."""

    def __init__(self, db: Db, catalog: Catalog, now: Micros, shares: Shares) -> None:
        self._db, self._shares = db, shares
        self.by_link: dict[int, Lane] = {}
        self.active: dict[int, Lane] = {}
        self.outstanding = Outstanding(shares.queued)
        self._marks: set[int] = set()
        self._head = self._stored = journal.position(self._db, "deliver")
        self._horizon = journal.position(self._db, "delivery")
        self.events = KeptEvents(db).of
        self._catalog = catalog
        self._look = Look(self.events, lambda lane, item: has_earlier(db, lane, item))
        for endpoint in catalog.now.endpoints.values():
            if endpoint.deleted is None:
                self._lane(endpoint)
        self._restore(now)

    def read_head(self, now: Micros) -> bool:
        """Take the next deliveries into their lanes. Returns whether there may be more."""
        end = time.monotonic() + HEAD_SECONDS
        while True:
            before = len(self.outstanding)
            if not self._read_some(now):
                return False
            is_work = len(self.outstanding) - before > HEAD_ROWS // 4 and len(self.active) < MANY_LANES
            if is_work or time.monotonic() > end:
                return True
            self._pass_by()

    def _read_some(self, now: Micros) -> bool:
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

    def _pass_by(self) -> None:
        """Far behind: what only joins the backlog of lanes that lag, and will be looked at, is in the store already."""
        lagging = [lane for lane in self.by_link.values() if lane.lagging and lane.flights and not lane.health.open]
        if len(lagging) < MANY_LANES or self._head < self._horizon:
            return
        until = journal.position(self._db, "delivery")
        links = json.dumps([lane.link for lane in lagging])
        row = self._db.one("delivery_of_others", after=self._head, until=until, links=links)
        self._head = until if row is None else row[0] - 1
        for lane in lagging:
            lane.forget_newest()

    def serve(self, lane: Lane, now: Micros, launch: Launch, settlement: Settlement, chance: Chance) -> Micros | None:
        """Send what the lane may send now. Answers when to look at it again, if a time is known."""
        if not lane.sendable:
            return None
        if lane.health.held_until is not None:
            if now < lane.health.held_until:
                return lane.health.held_until
            lane.health = health.released(lane.health)
            lane.mark()
        old_at = order.park_old(lane, now, settlement, self._waiting_of) if lane.stuck else None
        self._refill(lane, now)
        before = len(launch)
        try:
            again = serve(lane, now, launch, settlement, self._look, chance)
        finally:
            # Also if the store broke in the middle: what was chosen stays chosen.
            self._shares.chosen(lane.tenant, len(launch) - before)
        if lane.lagging and not lane.latest and lane.walked != 0 and lane.ordinary < lane.slots:
            # None of the newest could go; perhaps one before them can.
            again = now if turns.is_behind(lane, now) and not lane.health.open else again
        if order.may_sweep(lane, lane.read_to if lane.lagging else self._head):
            order.sweep(lane, now)
            self.active[lane.link] = lane
        return again if old_at is None or (again is not None and again < old_at) else old_at

    def update(self, changed: list[Endpoint], now: Micros, settlement: Settlement) -> None:
        """Endpoints have changed: edits hold from the next attempt on."""
        for endpoint in changed:
            lane = self.by_link.get(endpoint.num)
            if lane is None:
                if endpoint.deleted is None:
                    self._lane(endpoint)
                continue
            before = lane.endpoint
            if before is not None and endpoint.revision < before.revision:
                # Its lane was made after this message was written.
                continue
            if before is None or before.revision != endpoint.revision or before.deleted != endpoint.deleted:
                self._edited(lane, endpoint, now, settlement)

    def notice(self, link: int, now: Micros, *, resumed: bool = False) -> None:
        """Look at the lane again: something is due by hand, or it was resumed, which ends a hold too."""
        lane = self.by_link.get(link)
        if lane is None:
            return
        lane.next_due = 0
        if lane.health.open or (resumed and lane.health.held_until is not None):
            lane.health = health.probed_now(lane.health, now, free=resumed)
            lane.mark()
        self.active[link] = lane

    def move(self, by: Micros) -> None:
        """The clock was set: what waits, waits as long as before. All lanes are looked at again."""
        for lane in self.by_link.values():
            lane.move(by)
        self.active.update(self.by_link)

    def look_again(self) -> None:
        """What is due has changed in the store."""
        for lane in self.by_link.values():
            lane.next_due = 0
        self.active.update(self.by_link)

    def prepare(self, settlement: Settlement) -> None:
        """Complete a settlement with the states and the cursor that hold once it is stored."""
        for link, number in settlement.numbers:
            self.outstanding.pop(number)
            lane = self.by_link.get(link)
            if lane is None:
                continue
            lane.jumped.discard(number)
            if number in lane.own:
                del lane.own[number]
                lane.mark()
        for link in self._marks:
            lane = self.by_link.get(link)
            if lane is not None:
                settlement.states[link] = lane.state()
        self._marks.clear()
        oldest = self.outstanding.oldest()
        cursor = self._head if oldest is None else oldest - 1
        if settlement or cursor - self._stored >= CURSOR_STEP:
            settlement.cursor = self._stored = cursor

    def settled(self, settlement: Settlement, next_one: Settlement) -> None:
        """It is stored: what is in it may be read from the store again, unless more is on its way there."""
        later: set[int] | None = None
        for link, number in settlement.numbers:
            lane = self.by_link.get(link)
            if lane is None or number in lane.flying:
                continue
            if lane.beyond or lane.unread:
                later = {number for _, number in next_one.numbers} if later is None else later
                self.active[link] = lane
                if number in later:
                    continue
            lane.busy.discard(number)

    def cancel(self, number: int, now: Micros, settlement: Settlement) -> bool:
        """Cancel a delivery that waits; one in flight once it fails. False where it has ended. Raises StoreError."""
        found = find(self._db, self.by_link, number)
        if found is None:
            return False
        lane, item = found
        if item.number in lane.flying:
            lane.flying[item.number].cancelled = True
            return True
        results.cancelled(item, lane.link, now, settlement, stored=item.stored)
        forget(lane, item, now)
        self.active[lane.link] = lane
        return True

    def _offer(self, row: Row, now: Micros) -> None:
        number, link, event, created = row
        lane = self.by_link.get(link)
        if lane is None:
            # Not what the last message said: a delivery may be read before the message about its endpoint.
            endpoint = self._catalog.now.endpoints.get(link)
            if endpoint is None or endpoint.deleted is not None:
                return
            lane = self._lane(endpoint)
        if lane.takes_more and number in lane.busy:
            pass
        elif lane.takes_more and self.outstanding.take(number, lane.tenant):
            lane.enqueue(Queued(number, event, created), now)
        else:
            if not lane.lagging:
                lane.lag_from(number - 1, now)
            lane.see_newest(Queued(number, event, created))
        self.active[link] = lane

    def _read_lines(self, lane: Lane, now: Micros) -> None:
        """Of lines that go on in the store, the next ones."""
        for subject in list(islice(lane.unread, LINES_READ)):
            rows = self._db.all("waiting_line", link=lane.link, subject=subject, count=LINE_MAX)
            order.read_on(lane, subject, [waiting_from(row) for row in rows], now)

    def _refill(self, lane: Lane, now: Micros) -> None:
        if lane.unread:
            self._read_lines(lane, now)
        is_open, count = lane.health.open, REFILL_BELOW
        if is_open:
            if not lane.health.new_fails and not lane.latest:
                self._read_latest(lane)
            if not health.may_send(lane.health, now):
                return
            count = PROBED_FROM
        if lane.lagging and not lane.latest and turns.is_behind(lane, now):
            self._read_latest(lane)
        if len(lane.busy) >= 4 * QUEUE_MAX and not lane.blocked:
            return
        if lane.next_due is not None and lane.next_due <= now and len(lane.due) < count:
            self._read_due(lane, now, count)
        if lane.lagging and len(lane.queue) < count:
            self._read_backlog(lane, now, count)

    def _read_latest(self, lane: Lane) -> None:
        """The newest of a backlog that were not seen coming: after a start, or once those are through."""
        if lane.ordered_all or lane.walked == 0 or not lane.lagging:
            return
        before = self._head + 1 if lane.walked is None else lane.walked
        rows = self._db.all("backlog_newest", link=lane.link, after=lane.read_to, before=before, count=LATEST_MAX)
        for number, _, event, created in rows:
            if number not in lane.busy:
                lane.latest.appendleft(Queued(number, event, created))
        lane.walked = rows[-1][0] if len(rows) == LATEST_MAX else 0

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
                lane.enqueue_due(Queued.of(waiting))
        if len(rows) == limit:
            lane.next_due = now
            return
        later = self._db.one("waiting_next", link=lane.link, after=now)
        lane.next_due = None if later is None or later[0] >= order.FAR else later[0]

    def _read_blocking(self, lane: Lane, now: Micros) -> None:
        """Of a blocked line in strict order only those that block it are read, and they go first, in their order."""
        due: list[Queued] = []
        lane.next_due = None
        for number in sorted(lane.blocking[""]):
            if number in lane.busy:
                break
            waiting = self._waiting_of(number)
            if waiting is None:
                continue
            if waiting.due > now:
                lane.next_due = waiting.due
                break
            due.append(Queued.of(waiting))
        for item in due:
            lane.busy.add(item.number)
        lane.due.extendleft(reversed(due))

    def _waiting_of(self, number: int) -> Waiting | None:
        row = self._db.one("waiting_of", delivery=number)
        return None if row is None else waiting_from(row)

    def _read_backlog(self, lane: Lane, now: Micros, count: int) -> None:
        if lane.blocked:
            return
        rows = self._db.all("backlog", link=lane.link, after=lane.read_to, until=self._head, count=count)
        for number, _, event, created in rows:
            if number in lane.jumped:
                lane.jumped.discard(number)
                lane.own[number] = None
            elif number not in lane.busy:
                lane.enqueue(Queued(number, event, created), now)
                lane.own[number] = None
        if rows:
            lane.read_to = rows[-1][0]
        if len(rows) < count:
            lane.read_to = max(lane.read_to, self._head)
            lane.lagging = lane.health.open
        while lane.latest and lane.latest[0].number <= lane.read_to:
            lane.latest.popleft()
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
        if was is not None and (was.mode == "disabled" or changes_requests(was, endpoint)):
            lane.mended = True
        if not lane.sendable:
            lane.fall_back(self.outstanding, now)
        elif lane.mended:
            # What failed may be mended: everything that waits for another try goes on at once.
            lane.mended = False
            lane.edited_at = now
            lane.health = health.probed_now(lane.health, now)
            settlement.hastened[lane.link] = now
            lane.mark()
        if was is not None and was.mode != endpoint.mode and lane.sendable:
            lane.health = HEALTHY
            lane.mark()
        if was is not None and was.options.order != endpoint.options.order:
            lane.fall_back(self.outstanding, now)
            order.release_all(lane, now, settlement)
        lane.next_due = 0
        self.active[lane.link] = lane

    def _restore(self, now: Micros) -> None:
        for row in self._db.all("link_states"):
            lane = self.by_link.get(row[0])
            if lane is None:
                continue
            lane.health = EndpointHealth(
                fails=row[2],
                failing_since=row[3],
                last_failure=row[4],
                open=bool(row[5]),
                probe_at=row[6],
                probe_delay_seconds=row[7],
                new_fails=row[8],
                refusing=bool(row[9]),
                held_until=row[10],
                held_status=row[11],
                hold_delay_seconds=row[12],
            )
            lane.succeeded_at = row[13]
            if row[1] is not None:
                # What came from the head and was in flight stands before the lane's own cursor.
                lane.lag_from(min(row[1], self._head))
        for link, due in self._db.all("waiting_links"):
            lane = self.by_link.get(link)
            if lane is not None:
                lane.next_due = due
                blocking = [waiting_from(row) for row in self._db.all("waiting_blocking", link=link)]
                lines = [(waiting_from(row[:9]), row[9]) for row in self._db.all("waiting_lines", link=link)]
                order.restore(lane, blocking, lines)
        self.active = dict(self.by_link)

    def _recovered(self) -> None:
        for link, lane in self.by_link.items():
            if lane.unswept is not None:
                self.active[link] = lane
