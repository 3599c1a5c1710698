"""The deliver stage: one thread that reads deliveries, sends them through their lanes, and settles the results.

It meets the other stages only in the store: `committed` only saves the wait for the next check.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from tidings.deliver import results
from tidings.deliver.actions import tools_of
from tidings.deliver.actions.bodies import BodyCache
from tidings.deliver.actions.edits import Edit, Edits
from tidings.deliver.actions.try_out import Trial, begin
from tidings.deliver.contained import why
from tidings.deliver.lane import order
from tidings.deliver.lane.cancel import asked
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.queued import Queued
from tidings.deliver.lane.shares import Shares, in_turns
from tidings.deliver.lane.timers import Timers
from tidings.deliver.lane.view import LaneView, view
from tidings.deliver.lanes import Lanes, Traced
from tidings.deliver.pace import SETTLE_SECONDS, YOUNG_SECONDS, Pace, Pause
from tidings.deliver.results import Flight
from tidings.deliver.runs import Runs
from tidings.deliver.settle import Settlement
from tidings.deliver.steps import DueTimes
from tidings.deliver.tallies import Tallies
from tidings.deliver.timings import Timings
from tidings.model.errors import Unavailable
from tidings.model.event import OWN_TYPES, Event
from tidings.model.link import AnyLink
from tidings.model.moment import SECOND, Clock, Micros
from tidings.net.http import HttpClient
from tidings.rules.share import ShareView
from tidings.store.base import Db, Engine, StoreError
from tidings.store.catalog import Catalog, Snapshot
from tidings.store.jobs import Whole
from tidings.store.writer import Writer

LOOK_AGAIN_SECONDS, UNSETTLED_MAX = 1.0, 5_000
CHOOSE_SECONDS = 0.003
"""How long a round goes through the lanes before it sends the chosen requests. The remaining lanes come next."""
STOP_SECONDS, ABANDON_SECONDS, CANCEL_SECONDS, TRY_SECONDS = 6.0, 0.5, 10.0, 150.0

log = logging.getLogger("tidings.deliver")
Chance = Callable[[], float]


class Deliver:
    """The stage. Public methods may be called from any thread, unless they say otherwise."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        catalog: Catalog,
        clock: Clock,
        client: Callable[[], HttpClient],
        edit: Edit,
        source: str,
        chance: Chance = random.random,
        on_failure: Callable[[], None] = lambda: None,
        may_send: Callable[[], bool] = lambda: True,
        events: Callable[[], int] = lambda: 0,
        traced: Traced | None = None,
    ) -> None:
        """`may_send`: whether this server may send; if not, it settles nothing. `events`: changes with every event."""
        self._engine, self._writer, self._catalog, self._clock = engine, writer, catalog, clock
        self._client_of, self._edit, self._on_failure = client, edit, on_failure
        self._chance, self._may_send, self._traced = chance, may_send, traced
        self._inbox: deque[Callable[[], None]] = deque()
        self._news, self._pause, self._pace = True, Pause(), Pace(seeks_company=engine.joined)
        self._stopping = self._abandoned = self._asleep = self._crowded = self.alive = False
        self._settling: Settlement | None = None
        self._timers, self._shares, self._bodies = Timers(), Shares(), BodyCache(source)
        self._launch: list[tuple[Lane, list[Queued]]] = []
        self._arrived_at: Micros | None = None  # of all replies of a round
        self.flights = self._departures = 0
        self.outcomes: dict[str, int] = {}
        self._settlement, self.timings, self._tallies = Settlement(), Timings(), Tallies(events)
        self._runs = Runs(writer, catalog, lambda: self._lanes, self._now, self._hear)
        self._thread = threading.Thread(target=self._run, name="deliver", daemon=True)

    def start(self, *, in_thread: bool = True) -> None:
        """Read where the last run ended, then run rounds in a thread, or when called for. Raises StoreError."""
        self._db: Db = self._engine.reader()
        self._client = self._client_of()
        self._due_times = DueTimes(self._clock, self._writer, self._inbox, self._wake)
        self._edits = Edits(self._writer, self._edit, self._hear)
        parts = (self._db, self._writer, self._catalog, self._hear, self._clock.now)
        tools = tools_of(self._client.send, self._bodies, self._edits, self._runs, *parts)
        self._lanes = Lanes(self._db, self._catalog, self._clock.now(), self._shares, tools, self._traced)
        self._catalog.on_change(self._on_catalog)
        self._clock.on_jump(self._wake)
        self.alive = True
        if in_thread:
            self._thread.start()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Send nothing new, wait for what is in flight, settle it, and stop. The next start resends the rest."""
        self._stopping = self._runs.is_stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            log.warning("%d requests did not finish in time; they will be repeated after the next start", self.flights)
            self._abandoned = True
            self._wake()
            self._thread.join(ABANDON_SECONDS)

    @property
    def native_id(self) -> int:
        """The operating system's id of its thread."""
        return self._thread.native_id or 0

    def committed(self) -> None:
        """Something was committed: there may be new deliveries."""
        if self.alive and self._lanes.committed(self._writer.appended, self._writer.deliveries):
            self._news = True
        if self._asleep:
            self._client.wake()

    def notice(self, link: int) -> None:
        """Somebody made something of this link due now: serve it again, and probe now if it is failing."""
        self._tell(lambda: self._lanes.notice(link, self._now()))

    def resume(self, link: int) -> None:
        """Everything that waits for this link is due now, even retries, and even if the endpoint asked for a pause."""
        self._tell(lambda: self._lanes.resume(link, self._now(), self._settlement))

    async def cancel(self, numbers: list[int]) -> list[bool]:
        """Cancel waiting deliveries, from an event loop; False for each that had ended. Raises Unavailable."""
        late, ask = "The cancellation was not stored in time, but may still be stored later.", self._cancel_all
        return await asked(lambda tell: self._tell(partial(ask, numbers, tell)), CANCEL_SECONDS, late)  # type: ignore[no-any-return]

    async def try_out(self, trial: Trial) -> Any:
        """Run a trial, from an event loop; returns its result. Raises Unavailable."""
        late, ask = "The other system did not answer in time.", partial(begin, trial, self._lanes, self._now)
        return await asked(lambda tell: self._tell(partial(ask, tell)), TRY_SECONDS, late)

    def shares(self) -> list[ShareView]:
        """What this stage divides among tenants, at this moment."""
        return self._shares.views()

    def snapshot(self) -> dict[int, LaneView]:
        """The lanes as they are now."""
        now = self._now()
        return {link: view(lane, now) for link, lane in list(self._lanes.by_link.items())}

    def lane(self, link: int) -> LaneView | None:
        """One lane as it is now; None if the link has none."""
        lane = self._lanes.by_link.get(link)
        return None if lane is None else view(lane, self._now())

    def _tell(self, message: Callable[[], None]) -> None:
        if not self.alive:
            raise Unavailable("The deliver stage is not running.", retry_after_seconds=2.0)
        self._hear(message)

    def _hear(self, message: Callable[[], None]) -> None:
        """Queue a message about work in progress; the writer's thread may call this too."""
        self._inbox.append(message)
        if self._asleep:
            self._client.wake()

    def _wake(self) -> None:
        if self.alive:
            self._client.wake()

    def _on_catalog(self, snapshot: Snapshot, changed: list[AnyLink]) -> None:
        if changed or snapshot.connections:
            self._hear(lambda: self._lanes.update(changed, self._now(), self._settlement))

    def _run(self) -> None:
        try:
            while not (self._stopping and (self._idle() or self._abandoned)):
                self._turn()
        except Exception:
            log.critical("the deliver stage has stopped", exc_info=True)
            self._on_failure()
        finally:
            self.alive = False
            self._client.close()
            self._db.close()

    def _idle(self) -> bool:
        is_stored = not (self._settling or self._settlement or self._tallies.pending)
        return self.flights <= self._client.held and (is_stored or not self._may_send())  # the rest cannot end now

    def _now(self) -> Micros:
        """The time of day. If the clock was set in the meantime, all due times are moved by the difference."""
        now = self._clock.now()
        if by := self._due_times.step(now):
            self._pause.until += by
            self._timers = Timers()
            self._lanes.move(by)
            self._runs.move(by)
            self._settlement.move(by)
            if self._settling is not None:
                self._settling.owed += by
        return now

    def _turn(self) -> None:
        """One round: messages, new deliveries, lanes, sends, results."""
        self._pace.begin_round()
        now = self._listen()
        self._shares.begin_round(self._lanes.active)
        self._edits.retry()
        self._runs.turn(now)
        self._due_times.store(self._lanes.look_again)
        if not self._may_send():
            self._pause.briefly(now)
        if now >= self._pause.until and not self._stopping:
            try:
                self._read(now)
                now = self._listen()  # to what was committed before that, such as a pause
                self._send(now)
            except StoreError as wrong:
                log.error("the store cannot be read: %s", wrong)
                self._news = True
                self._pause.begin(now)
        self._settle(now)
        self._asleep, self._arrived_at = True, None
        patience, began = self._pace.company(self._patience(now), self._writer), time.monotonic()
        self._client.poll(patience)
        self._pace.polled(time.monotonic() - began - patience)
        self._news |= patience == LOOK_AGAIN_SECONDS
        self._asleep, self._arrived_at = False, None

    def _listen(self) -> Micros:
        """Process the messages that are there; what one leaves for later waits. Returns the time afterwards."""
        for _ in range(len(self._inbox)):
            self._inbox.popleft()()
        return self._now()

    def _patience(self, now: Micros) -> float:
        """How many seconds to wait for sockets before there is something else to do."""
        if self._crowded:
            return YOUNG_SECONDS if not self._inbox else 0.0
        soon = 0.0 if now >= self._pause.until else 0.05
        sends = self._lanes.active and not self._stopping
        if self._settlement and self._settling is None and not self._inbox and not sends:
            return soon or SETTLE_SECONDS  # A settlement waits briefly for more results.
        if self._inbox or sends or (self._news and not self._stopping):
            return soon
        if (at := None if self._stopping else self._runs.next_at(self._timers.next_at)) is not None:
            return min(max(soon, (at - now) / SECOND), LOOK_AGAIN_SECONDS)
        return LOOK_AGAIN_SECONDS

    def _read(self, now: Micros) -> None:
        if self._news:
            self._news = False
            if self._lanes.read_head(now):
                self._news = True
        self._lanes.active.update((lane.num, lane) for lane in self._timers.due(self._lanes.by_link, now))

    def _send(self, now: Micros) -> None:
        if not self._launch:
            self._choose(now)
        if self._launch:
            # What was chosen stays chosen if the store cannot be read just now.
            wanted = {item.event for _, items in self._launch for item in items}
            found = self._lanes.events(wanted)
            launch, self._launch = self._launch, []
            for lane, items in launch:
                there = items if len(found) == len(wanted) else results.there(lane, items, found, now, self._settlement)
                if there:
                    self._depart(lane, there, found, now)
                else:
                    self._lanes.active[lane.num] = lane
                    self._shares.arrived(lane.tenant, 0)

    def _choose(self, now: Micros) -> None:
        active, self._lanes.active = self._lanes.active, {}
        room = self._pace.room() if len(self._settlement.numbers) < UNSETTLED_MAX else 0
        end = time.monotonic() + CHOOSE_SECONDS
        try:
            for lane in in_turns(active.values()):
                if len(self._launch) >= room or time.monotonic() > end:
                    self._lanes.active[lane.num] = lane
                    continue
                if not self._shares.may_start(lane):
                    continue
                if (again := self._lanes.serve(lane, now, self._launch, self._settlement, self._chance)) is not None:
                    self._timers.set(lane, again)
        except StoreError:
            self._lanes.active = {**active, **self._lanes.active}
            raise
        self._crowded = room <= len(self._launch) and bool(self._lanes.active)

    def _depart(self, lane: Lane, items: list[Queued], found: dict[int, Event], now: Micros) -> None:
        action = lane.action
        try:
            carried = [found[items[0].event]] if len(items) == 1 else [found[item.event] for item in items]
            if len(carried) > 1:
                carried = carried[: action.fitting(carried)]
                lane.put_back(items[len(carried) :], tried=items[0].stored)
                items = items[: len(carried)]
                self._lanes.active[lane.num] = lane
            prepared = action.prepare(carried, items, now)
            own = carried[0].type.startswith(OWN_TYPES) and all(event.type.startswith(OWN_TYPES) for event in carried)
            self._departures = number = self._departures + 1
            size, kept = prepared.size, carried if action.follows else ()
            flight = Flight(lane, items, now, prepared.shown, own, number, size, action, kept, prepared.told)
            action.send(prepared.request, partial(self._arrive, flight))
        except Exception as wrong:
            results.unsendable(lane, items, now, why(wrong), self._settlement, flown=True)
            self._lanes.active[lane.num] = lane
            self._shares.arrived(lane.tenant, 0)
            return
        self.flights += 1
        if size:
            self._shares.flight_bytes.hold(lane.tenant, size)
        self._pace.young[number] = time.monotonic()

    def _arrive(self, flight: Flight, reply: Any) -> None:
        now = self._arrived_at = self._arrived_at or self._now()
        self._lanes.catch_up(flight.lane, now, self._settlement)
        lane, result = flight.lane, results.judged(flight, reply, now)
        self._pace.young.pop(flight.number, None)
        self.flights -= 1
        self._shares.arrived(lane.tenant, flight.size)
        if lane.gate.limited and lane.gate.full:
            self._lanes.look_at(lane)
        lane.arrived(flight.items, now)
        self.outcomes[result.outcome.name] = self.outcomes.get(result.outcome.name, 0) + len(flight.items)
        self.timings.arrived(flight, result, now)
        self._tallies.arrived(lane.num, result, flight.items, now)
        for item in results.take_in(flight, result, now, self._settlement, self._chance):
            if item.subject is not None:
                order.release(lane, item, now)
        if flight.events:
            results.follow(flight, reply, result, now, self._settlement)
        if lane.health.open or lane.gate.paused:
            lane.fall_back(self._lanes.outstanding.pop, now)
        elif lane.ordered_all and lane.blocked:
            # Deliveries that would have followed it in its batch must not overtake it.
            lane.drop_due()
        self._lanes.active[lane.num] = lane

    def _cancel_all(self, numbers: list[int], tell: Callable[[list[bool] | None, Exception | None], None]) -> None:
        """Cancel, and report it once stored. Results of attempts are stored first: they decide what is possible."""
        unsettled = {number for _, number in self._settlement.numbers}
        if self._settling is not None:
            unsettled.update(number for _, number in self._settling.numbers)
        if not unsettled.isdisjoint(numbers):
            self._settlement.after.append(lambda: self._inbox.append(lambda: self._cancel_all(numbers, tell)))
            return
        try:
            said = [self._lanes.cancel(number, self._now(), self._settlement) for number in numbers]
        except StoreError as wrong:
            tell(None, Unavailable(f"The store cannot be read: {wrong.detail}.", retry_after_seconds=2.0))
            return
        self._settlement.after.append(lambda: tell(said, None))

    def _settle(self, now: Micros) -> None:
        """Hand the results to the writer; one settlement at a time, so that cursors never run ahead of facts."""
        if self._settling is not None or now < self._pause.until or not self._pace.may_settle():
            return
        self.timings.count()
        self._lanes.prepare(self._settlement)
        self._tallies.into(self._settlement, now, at_once=self._stopping)
        if not self._settlement:
            self._settlement.run_after()
            return
        settlement, self._settlement = self._settlement, Settlement()
        self._settling, at_once = settlement, self._stopping or settlement.is_awaited
        write = self._pace.way(self._writer, at_once=at_once)
        job = Whole(lambda db: settlement.apply(db, self._catalog, now))
        write(job, lambda result, wrong: self._hear(lambda: self._settled(settlement, wrong)))

    def _settled(self, settlement: Settlement, wrong: Exception | None) -> None:
        self._settling = self._pace.waits_until = None
        if wrong is not None:
            # None of it was stored: keep the results, and wait before the next try.
            settlement.merge(self._settlement, wrong)
            self._settlement = settlement
            self._pause.begin(self._now())
            return
        self._pause.succeeded()
        self._lanes.settled(settlement, self._settlement)
        for row in settlement.waiting.values():
            # Deliveries that are already due could not be read before this was stored.
            lane = self._lanes.by_link.get(row.link)
            if lane is not None and not row.held:
                lane.due_at(row.due)
                self._lanes.active[row.link] = lane
        for link in (*settlement.hastened, *settlement.freed):
            self._lanes.notice(link, self._now())
        self._settlement.finish_halves_of(settlement)
        settlement.run_after()
