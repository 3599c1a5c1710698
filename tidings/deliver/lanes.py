"""All lanes, and how deliveries get into them: from the head of the line, a lane's own backlog, and due retries.

A delivery that has not ended is in exactly one of these places:

1. Beyond the head: it has a number above `_head`, and nobody has read it.
2. In its lane: queued, due, held or in flight. Its number is in the lane's `busy`, and in `outstanding` if it came from
   the head.
3. On its way to the store: its result is in a settlement. It stays in `busy` until that is stored, so nobody reads
   it from the store before.
4. In the table `waiting`, with the time at which it is due, or held behind another.
5. In the backlog of a lane that lags: above the lane's `read_to`, up to `_head`.

So a stored cursor passes nothing that a crash would lose: the stage's ends before the oldest in `outstanding`, a
lane's before the oldest that it has read from its backlog. A start reads on from both and leaves out what has an
attempt. Whatever was in flight is sent again, with the same id. There is only one settlement at a time, so cursors
never run ahead of the facts.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter

from tidings.deliver.actions import ACTIONS
from tidings.deliver.actions.action import Action, Tools
from tidings.deliver.lane import order
from tidings.deliver.lane.cancel import find, forget
from tidings.deliver.lane.gate import Gate
from tidings.deliver.lane.kept import KeptEvents
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.ordering import replacing
from tidings.deliver.lane.ordering.family import Family, leave
from tidings.deliver.lane.refill import offer
from tidings.deliver.lane.serve import LaneStore, Launch, serve
from tidings.deliver.lane.setbacks import Setbacks
from tidings.deliver.lane.shares import Outstanding, Shares
from tidings.deliver.lane.view import state, stored_health
from tidings.deliver.settle import Settlement, waiting_from
from tidings.model import outcome as outcomes
from tidings.model.calls.connection import Connection
from tidings.model.event import Event
from tidings.model.link import AnyLink, changes_lines, shared_lines
from tidings.model.moment import Micros
from tidings.rules.deliver.health import Trust
from tidings.store import journal
from tidings.store.base import Db, Row
from tidings.store.catalog import Catalog
from tidings.store.log import deliveries

HEAD_ROWS = 500
HEAD_SECONDS = 0.03
"""How long a round may spend on reading deliveries that have to wait anyway, while other work waits."""
MANY_LANES = 64
CURSOR_STEP = 1_000
NEW_MAX = 10_000
"""The maximum number of newly committed deliveries that are kept for the next rounds."""

Chance = Callable[[], float]


Traced = Callable[[AnyLink, Action], Action]


class Lanes:
    """The lanes by link, and the head of the line that they follow."""

    def __init__(
        self,
        db: Db,
        catalog: Catalog,
        now: Micros,
        shares: Shares,
        tools: Tools,
        traced: Traced | None = None,
    ) -> None:
        """`traced`: wraps an action so that it is traced."""
        self._db, self._shares, self.tools, self._traced = db, shares, tools, traced
        self.by_link: dict[int, Lane] = {}
        self.active: dict[int, Lane] = {}
        self.outstanding = Outstanding(shares.queued)
        self._marks: set[int] = set()
        self._head = self._stored = journal.position(self._db, "deliver")
        self._horizon = journal.position(self._db, "delivery")
        self.kept = KeptEvents(db)
        self._made = deliveries.made.total
        self._new: deque[Row] = deque(maxlen=NEW_MAX)
        """Newly committed deliveries, in order. The writer's thread adds them."""
        self.events = self.kept.of
        self._catalog = catalog
        self._store = LaneStore(db, self.events)
        self._gates: dict[str, Gate] = {}
        """The gates by the connection's id, so that a connection that is declared again gets a new gate."""
        self._families: dict[tuple[str, str, str | None], Family] = {}
        self._connections = catalog.now.connections
        self._connected: dict[int, Connection | None] = {}
        """By link number, the connection that its lane's requests use."""
        for link in catalog.now.links.values():
            if link.deleted is None:
                self._lane(link)
        self._restore(now)

    def committed(self, new: list[Event], made_for_them: list[Row]) -> bool:
        """Events and deliveries, or something else, were committed. Returns whether there are deliveries to take.

        Called by the writer's thread.
        """
        self.kept.fresh.extend(new)
        self._new.extend(made_for_them)
        made, self._made = self._made, deliveries.made.total
        return made != self._made

    def read_head(self, now: Micros) -> bool:
        """Take the next deliveries into their lanes. Returns whether there may be more."""
        end = time.monotonic() + HEAD_SECONDS
        self.kept.take_fresh()
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
            more = len(rows) == HEAD_ROWS
        elif rows := self._take_new():
            more = bool(self._new)
        else:
            rows = self._db.all("deliveries_after", after=self._head, count=HEAD_ROWS)
            more = len(rows) == HEAD_ROWS
        for link, run in groupby(rows, itemgetter(1)):
            self._offer(link, run, now)
        if rows:
            self._head = rows[-1][0]
        if recovering and not more:
            self._head = self._horizon
            self._recovered()
            return True
        return more

    def _take_new(self) -> list[Row]:
        """Take what was just committed, if it is next at the head of the line and so need not be read."""
        rows, number = list[Row](), self._head
        while self._new and len(rows) < HEAD_ROWS:
            row = self._new.popleft()
            if row[0] == number + 1:
                number += 1
                rows.append(row)
            elif row[0] > number:
                # Some before it were not passed on; the store has them all.
                self._new.clear()
                return []
        return rows

    def _pass_by(self) -> None:
        """If far behind: skip deliveries that would only join the backlog of lagging lanes. They are in the store, and
        are read later.
        """
        lagging = [lane for lane in self.by_link.values() if lane.lagging and lane.flights and not lane.health.open]
        if len(lagging) < MANY_LANES or self._head < self._horizon:
            return
        until = journal.position(self._db, "delivery")
        links = json.dumps([lane.num for lane in lagging])
        row = self._db.one("delivery_of_others", after=self._head, until=until, links=links)
        self._head = until if row is None else row[0] - 1
        for lane in lagging:
            lane.forget_newest()

    def serve(self, lane: Lane, now: Micros, launch: Launch, settlement: Settlement, chance: Chance) -> Micros | None:
        """Send what the lane may send now. Returns when to serve it again, if a time is known. Raises StoreError."""
        before = len(launch)
        try:
            return serve(lane, now, launch, settlement, self._store, chance, self._head)
        finally:
            # Even if the store failed in the middle: what was chosen stays chosen.
            self._shares.chosen(lane.tenant, len(launch) - before)

    def update(self, changed: list[AnyLink], now: Micros, settlement: Settlement) -> None:
        """Links or connections have changed: edits apply from the next attempt on."""
        for link in changed:
            lane = self.by_link.get(link.num)
            if lane is None:
                if link.deleted is None:
                    self._lane(link)
            elif link.revision < lane.link.revision:
                # Its lane was made after this message was written.
                continue
            elif lane.link.revision != link.revision or lane.link.deleted != link.deleted:
                self._edited(lane, link, now, settlement)
        if self._connections == self._catalog.now.connections:
            return
        self._connections = self._catalog.now.connections
        for lane in list(self.by_link.values()):
            if self._connected[lane.num] != self._connection_of(lane.link):
                self._edited(lane, lane.link, now, settlement)

    def catch_up(self, lane: Lane, now: Micros, settlement: Settlement) -> None:
        """A reply that arrives after an edit is judged after it, even if the message about the edit was not read
        yet."""
        link = self._catalog.now.links.get(lane.num)
        if link is not None and link.revision > lane.link.revision:
            self.update([link], now, settlement)

    def notice(self, link: int, now: Micros) -> None:
        """Serve the lane again: a person made something due."""
        self._probe(link, now, free=False)

    def resume(self, link: int, now: Micros, settlement: Settlement) -> None:
        """Everything continues: a hold ends, and deliveries that wait for a retry are due now."""
        if self._probe(link, now, free=True):
            settlement.hasten(link, now)

    def _probe(self, link: int, now: Micros, *, free: bool) -> bool:
        lane = self.by_link.get(link)
        if lane is None:
            return False
        lane.due_at(0)
        lane.probe_now(now, free=free)
        self.look_at(lane)
        return True

    def move(self, by: Micros) -> None:
        """The clock was set: everything waits as long as before. All lanes are served again."""
        for gate in {lane.gate for lane in self.by_link.values()}:
            gate.move(by)
        for lane in self.by_link.values():
            lane.move(by)
        self.active.update(self.by_link)

    def look_again(self) -> None:
        """Due times have changed in the store."""
        for lane in self.by_link.values():
            lane.due_at(0)
        self.active.update(self.by_link)

    def prepare(self, settlement: Settlement) -> None:
        """Complete a settlement with the states and the cursor that hold once it is stored."""
        self.outstanding.pop_all([number for _, number in settlement.numbers])
        for link, pairs in groupby(settlement.numbers, itemgetter(0)):
            lane = self.by_link.get(link)
            if lane is not None:
                lane.stored(number for _, number in pairs)
        for link in self._marks:
            lane = self.by_link.get(link)
            if lane is not None:
                settlement.states[link] = state(lane)
        self._marks.clear()
        oldest = self.outstanding.oldest()
        cursor = self._head if oldest is None else oldest - 1
        if settlement or cursor - self._stored >= CURSOR_STEP:
            settlement.cursor = self._stored = cursor

    def settled(self, settlement: Settlement, next_one: Settlement) -> None:
        """A settlement is stored: its deliveries may be read from the store again, unless more results are on their
        way there."""
        later: set[int] | None = None
        for link, pairs in groupby(settlement.numbers, itemgetter(0)):
            lane = self.by_link.get(link)
            if lane is None:
                continue
            numbers = [number for _, number in pairs]
            if lane.replaces:
                for number in numbers:
                    if replacing.stored(lane, number):
                        self.active[link] = lane
            if lane.has_lines_in_store:
                later = {number for _, number in next_one.numbers} if later is None else later
                self.active[link] = lane
                numbers = [number for number in numbers if number not in later]
            lane.forget(numbers)

    def cancel(self, number: int, now: Micros, settlement: Settlement) -> bool:
        """Cancel a waiting delivery, or one in flight once it fails. Returns False if it has ended.

        Raises StoreError.
        """
        found = find(self._db, self.by_link, number)
        if found is None:
            return False
        lane, item = found
        if lane.cancel_flying(number):
            return True
        item.end_unsent(lane.num, now, outcomes.CANCELLED, "cancel", settlement)
        forget(lane, item, now)
        self.active[lane.num] = lane
        return True

    def _offer(self, link: int, rows: Iterable[Row], now: Micros) -> None:
        """New deliveries of one link, in order."""
        lane = self.by_link.get(link)
        if lane is None:
            # The last message may be outdated: a delivery can be read before the message about its link arrives.
            known = self._catalog.now.links.get(link)
            if known is None or known.deleted is not None:
                return
            lane = self._lane(known)
        offer(lane, rows, self.outstanding, now)
        self.active[link] = lane

    def _lane(self, link: AnyLink) -> Lane:
        lane = self.by_link[link.num] = Lane(link, self._action_of(link), self._gate_of(link), self._marks)
        self._connected[link.num] = self._connection_of(link)
        self._join_family(lane)
        return lane

    def _join_family(self, lane: Lane) -> None:
        """The lanes that keep their order together with this one."""
        name = shared_lines(lane.link)
        if name is None:
            leave(lane)
        else:
            self._families.setdefault(name, Family(self._wake)).join(lane)

    def _wake(self, lane: Lane) -> None:
        self.active[lane.num] = lane

    def _connection_of(self, link: AnyLink) -> Connection | None:
        name = getattr(link.what, "via", None)
        return None if name is None else self._catalog.now.connections.get(name)

    def _gate_of(self, link: AnyLink, present: Gate | None = None) -> Gate:
        """Its connection's gate, which all links through it share; without a connection its own."""
        connection = self._connection_of(link)
        if connection is None or link.deleted is not None:
            return Gate(link.pacing.rate) if present is None or present in self._gates.values() else present
        gate = self._gates.setdefault(connection.id, Gate())
        gate.set_limits(connection.options.rate, connection.options.max_in_flight)
        return gate

    def _action_of(self, link: AnyLink) -> Action:
        action = ACTIONS[link.kind](link, self.tools)
        return action if self._traced is None else self._traced(link, action)

    def look_at(self, lane: Lane) -> None:
        """Serve a lane in the next round, and those that share its gate, which may be open now."""
        self.active[lane.num] = lane
        if lane.gate.shared:
            self.active.update((num, self.by_link[num]) for num in lane.gate.nums)

    def _edited(self, lane: Lane, link: AnyLink, now: Micros, settlement: Settlement) -> None:
        before, self._connected[link.num] = self._connected[link.num], self._connection_of(link)
        resends = before != self._connected[link.num]
        was = lane.replace(link, self._action_of(link), self._gate_of(link, lane.gate), resends=resends)
        if not lane.sendable:
            lane.fall_back(self.outstanding.pop, now)
        elif lane.mended:
            # What failed may work now, so everything that waits for a retry continues at once.
            lane.mend(now)
            settlement.hasten(lane.num, now)
        if was.mode != link.mode and lane.sendable:
            lane.recover()
        if changes_lines(was, link):
            lane.fall_back(self.outstanding.pop, now)
            order.release_all(lane, now, settlement)
        self._join_family(lane)
        lane.due_at(0)
        self.look_at(lane)

    def _restore(self, now: Micros) -> None:
        for row in self._db.all("link_states"):
            lane = self.by_link.get(row[0])
            if lane is None:
                continue
            lane.restore(stored_health(row), row[13], Setbacks(row[14], row[15], Trust(bool(row[16]), bool(row[17]))))
            if row[1] is not None:
                # Deliveries that came from the head and were in flight are before the lane's own cursor.
                lane.lag_from(min(row[1], self._head))
        for link, due in self._db.all("waiting_links"):
            lane = self.by_link.get(link)
            if lane is not None:
                lane.due_at(due)
                blocking = [waiting_from(row) for row in self._db.all("waiting_blocking", link=link)]
                lines = [(waiting_from(row[:10]), row[10]) for row in self._db.all("waiting_lines", link=link)]
                order.restore(lane, blocking, lines)
        self.active = dict(self.by_link)

    def _recovered(self) -> None:
        for link, lane in self.by_link.items():
            if lane.is_unswept:
                self.active[link] = lane
