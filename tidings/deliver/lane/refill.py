"""Refilling a lane from the store: its backlog, retries that are due, its newest, and lines that continue there."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from tidings.deliver.lane import order, turns
from tidings.deliver.lane.lane import LATEST_MAX, LINE_MAX, QUEUE_MAX, Lane
from tidings.deliver.lane.queued import Queued
from tidings.deliver.lane.shares import Outstanding
from tidings.deliver.settle import waiting_from
from tidings.model.delivery import Waiting
from tidings.model.moment import Micros
from tidings.rules.deliver import health
from tidings.store.base import Db, Row

REFILL_BELOW = QUEUE_MAX // 2
PROBED_FROM = 16
"""How many deliveries to read for a probe: more than one, because some deliveries of an ordered link may have to be
held."""
LINES_READ = 16


def offer(lane: Lane, rows: Iterable[Row], outstanding: Outstanding, now: Micros) -> None:
    """Offer a lane new deliveries of its link, in order, from the head of the line: it takes them, or lags from
    there on."""
    room, tenant, new = lane.room, lane.tenant, list[Queued]()
    for number, _, event, created in rows:
        if room and number in lane.busy:
            continue
        if room and outstanding.take(number, tenant):
            room -= 1
            new.append(Queued(number, event, created))
            continue
        if not lane.lagging:
            lane.lag_from(number - 1, now)
        room = 0
        lane.see_newest(Queued(number, event, created))
    if new:
        lane.enqueue_all(new, now)


class Refill:
    """Reads for lanes. Belongs to the deliver thread."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def fill(self, lane: Lane, now: Micros, head: int) -> None:
        """Read what the lane has room for. `head`: up to where the head of the line was read. Raises StoreError."""
        if lane.lines.unread:
            self._read_lines(lane, now)
        is_open, count = lane.health.open, REFILL_BELOW
        if is_open:
            if not lane.health.new_fails and not lane.latest:
                self._read_latest(lane, head)
            if not health.may_send(lane.health, now):
                return
            count = PROBED_FROM
        if lane.lagging and not lane.latest and turns.is_behind(lane, now):
            self._read_latest(lane, head)
        if len(lane.busy) >= 4 * QUEUE_MAX and not lane.blocked:
            return
        if lane.next_due is not None and lane.next_due <= now and len(lane.due) < count:
            self._read_due(lane, now, count)
        if lane.lagging and len(lane.queue) < count:
            self._read_backlog(lane, now, count, head)

    def _read_lines(self, lane: Lane, now: Micros) -> None:
        """The next deliveries of lines that continue in the store."""
        for subject in list(islice(lane.lines.unread, LINES_READ)):
            rows = self._db.all("waiting_line", link=lane.num, subject=subject, count=LINE_MAX)
            order.read_on(lane, subject, [waiting_from(row) for row in rows], now)

    def _read_latest(self, lane: Lane, head: int) -> None:
        """The newest of a backlog that were not seen when routed: after a start, or once those seen are through."""
        if lane.ordered_all or lane.walked == 0 or not lane.lagging:
            return
        before = head + 1 if lane.walked is None else lane.walked
        rows = self._db.all("backlog_newest", link=lane.num, after=lane.read_to, before=before, count=LATEST_MAX)
        for number, _, event, created in rows:
            if number not in lane.busy:
                lane.latest.appendleft(Queued(number, event, created))
        lane.walked = rows[-1][0] if len(rows) == LATEST_MAX else 0

    def _read_due(self, lane: Lane, now: Micros, count: int) -> None:
        if lane.blocked:
            self._read_blocking(lane, now)
            return
        limit = count + len(lane.busy)
        rows = self._db.all("waiting_due", link=lane.num, now=now, count=limit)
        taken = 0
        for row in rows:
            waiting = waiting_from(row)
            if waiting.delivery not in lane.busy and taken < count:
                taken += 1
                lane.enqueue_due(Queued.of(waiting))
        if len(rows) == limit:
            lane.next_due = now
            return
        later = self._db.one("waiting_next", link=lane.num, after=now)
        lane.next_due = None if later is None or later[0] >= order.FAR else later[0]

    def _read_blocking(self, lane: Lane, now: Micros) -> None:
        """For a blocked line in strict order, only the deliveries that block it are read, and they are sent first,
        in order."""
        due: list[Queued] = []
        lane.next_due = None
        for number in sorted(lane.lines.blocking[""]):
            if number in lane.busy:
                break
            waiting = self.waiting_of(number)
            if waiting is None:
                continue
            if waiting.due > now:
                lane.next_due = waiting.due
                break
            due.append(Queued.of(waiting))
        for item in due:
            lane.busy.add(item.number)
        lane.due.extendleft(reversed(due))

    def waiting_of(self, number: int) -> Waiting | None:
        """The row in `waiting` of a delivery. Raises StoreError."""
        row = self._db.one("waiting_of", delivery=number)
        return None if row is None else waiting_from(row)

    def _read_backlog(self, lane: Lane, now: Micros, count: int, head: int) -> None:
        if lane.blocked:
            return
        rows = self._db.all("backlog", link=lane.num, after=lane.read_to, until=head, count=count)
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
            lane.read_to = max(lane.read_to, head)
            lane.lagging = lane.health.open
        while lane.latest and lane.latest[0].number <= lane.read_to:
            lane.latest.popleft()
        lane.mark()
