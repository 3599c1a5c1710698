"""The route stage: read the events after its cursor, write a delivery for each link that wants one.

It rides in the writer's transactions: the deliveries of a batch of events and the move of the cursor are one
transaction, so fan-out happens exactly once, and a crash at any other point only causes a pause.

A step also ends when its time is up; the next group continues. A tenant whose events cost more than its part of a step
goes *aside*: the cursor skips its events, and they are routed from a separate position, a slice in each step, in
order, until they have caught up. So costly filters delay only their own tenant (docs/decisions/0016). A tenant also
goes aside if it fills a step with deliveries while others wait behind it, for example with a thousand events to a
thousand endpoints.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from tidings.model.moment import Clock
from tidings.route.choices import Choice, Choices
from tidings.route.documents import AHEAD, Documents
from tidings.rules.filter_checks import STEPS_MAX, Meter
from tidings.rules.wants import Reason, Wants, undecided
from tidings.store import journal
from tidings.store.base import Db, Row
from tidings.store.catalog import Catalog
from tidings.store.links import timers
from tidings.store.log import deliveries

EVENTS_PER_STEP = 5_000
DELIVERIES_PER_STEP = 4_000
STEP_SECONDS = 0.025
"""How long a step may spend on decisions; it writes them after that."""
TENANT_SECONDS = 0.005
"""How long a tenant's events may take in a step before the tenant is put aside."""
ASIDE_SECONDS = 0.010
"""How long a step may spend on tenants that were put aside, if nothing is left of STEP_SECONDS."""
WINDOW_LEAST = 100
OTHERS_AHEAD = 50_000
"""How many events to look ahead for other tenants that wait behind one that fills a step."""
ASIDE_EVENTS = 500
ASIDE_DELIVERIES = 2_000
"""The maximum number of deliveries that a step creates for tenants that were put aside, because these are written in
other callers' groups."""
SAMPLED = 1_000
"""How many deliveries of a full step are sampled to find out whose they are."""
STEPS_PER_LOOK = 1_000
"""The time is checked after this many filter steps, which take a tenth of a millisecond."""
NOTE_SECONDS = 60.0
"""Filters that were cut off are logged at most once per tenant in this time."""
TENANTS_NOTED_MAX = 10_000

log = logging.getLogger("tidings.route")


Traced = list[tuple[Row, int]]
"""Rows of events, each with the number of deliveries that were created for it."""


class _Begun(msgspec.Struct):
    """An event that is not decided yet. This does not depend on the store, so it survives a rollback."""

    event: tuple[str, int]
    """The event's id, and when it was stored: after a rollback another event may have its number, or even its id."""
    choice: Choice
    wants: Iterator[Wants]
    """The links of the choice that are still to be checked."""
    found: list[int]
    document: dict[str, Any] | None = None
    is_resumed: bool = False


class Router:
    """Decides which links get an event. All state is in the store; only computed results are kept in memory."""

    def __init__(self, catalog: Catalog, clock: Clock, ticks: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._ticks = clock, ticks
        self._choices = Choices(catalog)
        self._begun: dict[str | None, _Begun] = {}
        self._noted: dict[str | None, float] = {}
        self._maybe_aside = True
        self._window: int | None = None
        """The number of events that the next step reads; None for EVENTS_PER_STEP."""
        self._last_turn, self._rest_until = "", 0.0
        self.on_kick: Callable[[], None] = lambda: None
        """Called inside a transaction if events make links with timers run."""
        self.routed = 0
        self.position = 0
        """The number of the last event that was routed in order since the server started."""
        self.cut_off = 0
        """How often a filter has used up its steps since the server started, so that the event was sent without it."""
        self.aside = 0
        """How many tenants are aside."""
        self.traced: Traced | None = None
        """The events with a trace that the last step has routed; None if nobody needs them."""

    def step(self, db: Db) -> float | None:
        """Route for a while inside the present transaction.

        Returns in how many seconds there is more to do; None if there is nothing. If the catalogue is not loaded yet,
        it routes nothing, as events would reach nobody: a new writer's first groups may come that early.
        """
        if not self._choices.is_known:
            return None
        if db.journal != self._choices.journal:
            self._choices.belong(db.journal)
        return _Step(self, db).run()


class _Step:
    """One step: what it reads, decides and writes."""

    def __init__(self, router: Router, db: Db) -> None:
        self._router, self._db, self._ticks = router, db, router._ticks
        self._choices = router._choices
        self._documents = Documents(db)
        self._end = self._ticks() + STEP_SECONDS
        self._pairs: list[tuple[int, int]] = []
        self._kicks: dict[int, int] = {}
        """By link, the number of the last event that makes it run at once."""
        self._aside: dict[str, int] = {}
        self._used: dict[str | None, float] = {}
        self._routed: list[Row] = []
        """The routed events with a trace, if somebody needs them."""

    def run(self) -> float | None:
        router, db = self._router, self._db
        rows = self._rows(router._window or EVENTS_PER_STEP)
        if router._maybe_aside:
            self._aside = dict(db.all("route_aside"))
            # Only a read proves that there is none, because what this step deletes may be rolled back.
            router._maybe_aside = bool(self._aside)
        more = False
        if rows:
            last = self._follow(rows)
            if router.traced is not None:
                self._routed += [row for row in self._done(rows, last) if row[7] is not None]
            journal.move(db, "route", last)
            router.position = last
            more = last != rows[-1][0] or len(rows) == (router._window or EVENTS_PER_STEP)
            # If a few events fill a step with deliveries, the rest would be read for nothing.
            done = last - rows[0][0] + 1
            router._window = None if last == rows[-1][0] else min(EVENTS_PER_STEP, max(WINDOW_LEAST, 2 * done))
        pause = self._catch_up() if self._aside else None
        router.aside = len(self._aside)
        if router.traced is not None:
            counts = Counter(map(itemgetter(0), self._pairs)) if self._routed else {}
            router.traced = [(row, counts.get(row[0], 0)) for row in self._routed]
        if self._pairs:
            self._append()
        for link, seq in self._kicks.items():
            timers.kick(db, link, seq, router._clock.now())
        if self._kicks:
            router.on_kick()
        return 0.0 if more else pause

    def _rows(self, count: int) -> Sequence[Row]:
        """The next events to route: usually those that this transaction has appended, which need not be read.

        A joined node does not know their numbers yet; it reads what all nodes have committed before.
        """
        db = self._db
        if db.shares:
            journal.store(db)
        elif (positions := db.positions) is not None:
            route, fresh = journal.position(db, "route"), positions.fresh
            end = journal.position(db, "event")
            if route == end:
                return ()
            if fresh and fresh[0][0] == route + 1 and fresh[-1][0] == end:
                return fresh[:count]
            journal.store(db)
        rows = db.all("events_to_route", journal=db.journal, until=journal.end(db.journal), count=count)
        if rows:
            self._choices.expect(db)
        return rows

    def _follow(self, rows: Sequence[Row]) -> int:
        """Decide events in order; returns the last one that is done."""
        aside, last, most, pairs = self._aside, 0, DELIVERIES_PER_STEP, self._pairs
        of: tuple[str | None, str] | None = None
        choice: Choice | None = None
        for at, row in enumerate(rows):
            seq, _, tenant, kind, _, target, _, _ = row
            last = seq
            if aside and (tenant or "") in aside:
                continue
            if (tenant, kind) != of:
                of, choice = (tenant, kind), self._choices.known(tenant, kind)
            if target is None and choice is not None and choice.links is not None and seq > choice.after:
                for link in choice.links:
                    pairs.append((seq, link))
            else:
                of = None
                self._weigh(row, rows, at)
                if self._ticks() >= self._end:
                    break
            if len(self._pairs) >= most:
                if not self._made_way(rows[: at + 1]):
                    break
                most = len(self._pairs) + ASIDE_DELIVERIES
        return last

    def _made_way(self, rows: Sequence[Row]) -> bool:
        """The step is full: if one tenant filled most of it and others wait behind, that tenant is put aside. Returns
        whether one was.
        """
        done, last = {row[0]: row[2] for row in rows}, rows[-1][0]
        tenant, count = Counter(done.get(seq) for seq, _ in self._pairs[-SAMPLED:]).most_common(1)[0]
        if count <= SAMPLED // 2:
            return False
        if self._db.one("others_to_route", tenant=tenant, after=last, until=last + OTHERS_AHEAD) is None:
            return False
        self._put_aside(tenant or "", last)
        return True

    def _weigh(self, row: Row, rows: Sequence[Row], at: int) -> None:
        """Decide one event that may be costly; its tenant goes aside if it has used up its part of the step."""
        seq, tenant, began = row[0], row[2], self._ticks()
        used = self._used.get(tenant, 0.0)
        links = self._decide(row, rows, at, began + TENANT_SECONDS - used)
        used += self._ticks() - began
        self._used[tenant] = used
        if links is not None:
            self._pairs += [(seq, link) for link in links]
        if links is None or used >= TENANT_SECONDS:
            self._put_aside(tenant or "", seq - 1 if links is None else seq)

    def _catch_up(self) -> float | None:
        """Give tenants that are aside a slice.

        Returns in how many seconds they may have the next; None if none is left.
        """
        router, began = self._router, self._ticks()
        if began < router._rest_until:
            return router._rest_until - began
        end, most = max(self._end, began + ASIDE_SECONDS), len(self._pairs) + ASIDE_DELIVERIES
        until = journal.position(self._db, "route")
        names = sorted(self._aside)
        ahead = [name for name in names if name > router._last_turn]
        for name in [*ahead, *names[: len(names) - len(ahead)]]:
            router._last_turn = name
            self._catch_up_one(name, until, end, most)
            if self._ticks() >= end or len(self._pairs) >= most:
                break
        # The pause is as long as the slice took, so tenants aside get at most half of the writer's time.
        took = self._ticks() - began
        router._rest_until = began + 2 * took
        return took if self._aside else None

    def _catch_up_one(self, name: str, until: int, end: float, most: int) -> None:
        tenant, after = name or None, self._aside[name]
        # Events without a tenant have no separate index.
        statement = "events_of_tenant_to_route" if name else "events_between_to_route"
        given = {"tenant": name} if name else {}
        rows = self._db.all(statement, after=after, until=until, count=ASIDE_EVENTS, **given)
        position = after
        for at, row in enumerate(rows):
            if row[2] == tenant:
                links = self._decide(row, rows, at, end)
                if links is None:
                    break
                self._pairs += [(row[0], link) for link in links]
            position = row[0]
            if row[7] is not None and row[2] == tenant and self._router.traced is not None:
                self._routed.append(row)
            if self._ticks() >= end or len(self._pairs) >= most:
                break
        if len(rows) < ASIDE_EVENTS and (not rows or position == rows[-1][0]):
            del self._aside[name]
            self._router._begun.pop(tenant, None)
            self._db.run("route_aside_drop", tenant=name)
        elif position != after:
            self._put_aside(name, position)

    def _done(self, rows: Sequence[Row], last: int) -> Sequence[Row]:
        """The events that were decided in order."""
        if last == rows[-1][0] and not self._aside:
            return rows
        aside = self._aside
        return [row for row in rows if row[0] <= last and row[0] <= aside.get(row[2] or "", last)]

    def _put_aside(self, name: str, position: int) -> None:
        self._aside[name] = position
        self._router._maybe_aside = True
        self._db.run("route_aside_put", tenant=name, position=position)

    def _decide(self, row: Row, rows: Sequence[Row], at: int, end: float) -> list[int] | None:
        """The links that get an event. None if the time was up before it was decided; the next call then continues."""
        _, ident, tenant, kind, _, target, created, _ = row
        if target is not None:
            return [target]
        begun = self._router._begun.pop(tenant, None) if self._router._begun else None
        if begun is not None and begun.event == (ident, created):
            return self._go_on(begun, row, rows, at, end)
        choice = self._choice(tenant, kind)
        return self._go_on(_Begun((ident, created), choice, iter(choice.wants), []), row, rows, at, end)

    def _go_on(self, begun: _Begun, row: Row, rows: Sequence[Row], at: int, end: float) -> list[int] | None:
        seq, ident, tenant, kind, subject, _, _, _ = row
        found, document = begun.found, begun.document
        # Otherwise the event is neither too early for any of the links nor about one of them.
        ask_all = begun.choice.is_own or seq <= begun.choice.after
        meter, spent = Meter(), 0
        for wants in begun.wants:
            if ask_all and (seq <= wants.after or wants.refuses_subject(kind, subject)):
                continue
            fits = wants.fits
            if fits is None:
                found.append(wants.link)
                continue
            if document is None:
                document = self._documents.of(seq, self._filtered(rows, at))
                if self._documents.took_long:
                    spent = STEPS_PER_LOOK
            meter.left = STEPS_MAX
            try:
                if fits(document, meter):
                    found.append(wants.link)
            except Exception as wrong:
                found.append(wants.link)
                self._note(undecided(wrong), wants, tenant, ident)
            spent += 1 + STEPS_MAX - meter.left
            if spent >= STEPS_PER_LOOK:
                spent = 0
                if self._ticks() >= end:
                    begun.document, begun.is_resumed = document, True
                    self._router._begun[tenant] = begun
                    return None
        if begun.is_resumed:
            found = [link for link in found if self._choices.exists(tenant, link)]
        timed = self._choices.timed
        if timed and not timed.isdisjoint(found):
            self._kicks.update((link, seq) for link in found if link in timed)
            found = [link for link in found if link not in timed]
        return found

    def _choice(self, tenant: str | None, kind: str) -> Choice:
        return self._choices.known(tenant, kind) or self._choices.make(tenant, kind)

    def _filtered(self, rows: Sequence[Row], at: int) -> Iterator[int]:
        """The tenant's next events that filters will be run on."""
        tenant = rows[at][2]
        for row in rows[at + 1 : at + AHEAD]:
            if row[2] == tenant and row[5] is None:
                choice = self._choices.known(tenant, row[3])
                if choice is not None and choice.has_filter:
                    yield row[0]

    def _note(self, reason: Reason, wants: Wants, tenant: str | None, event: str) -> None:
        if reason.error is not None:
            log.error("the filter of %s failed; the event is sent", wants.id, exc_info=reason.error)
            return
        self._router.cut_off += 1
        now, noted = self._ticks(), self._router._noted
        if now - noted.get(tenant, -NOTE_SECONDS) < NOTE_SECONDS:
            return
        if len(noted) >= TENANTS_NOTED_MAX:
            noted.clear()
        noted[tenant] = now
        log.warning("the filter of %s takes more than %d steps on %s; the event is sent", wants.id, STEPS_MAX, event)

    def _append(self) -> None:
        deliveries.append(self._db, self._pairs, self._router._clock.now())
        self._router.routed += len(self._pairs)
