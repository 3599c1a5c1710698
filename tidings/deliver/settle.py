"""Settling: the results of attempts, gathered and written as one job in the writer's next transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from tidings.model.delivery import Attempt, Waiting
from tidings.model.errors import Unavailable
from tidings.model.event import Event
from tidings.model.link import LinkState
from tidings.model.moment import Micros
from tidings.rules.deliver.health import Recovery
from tidings.store import journal
from tidings.store.base import Contended, Db, StoreBusy, StoreDamaged, StoreError, StoreFull
from tidings.store.catalog import Catalog
from tidings.store.log import tallies
from tidings.store.log.events import Publication, append

ATTEMPT_COLUMNS = Attempt.__struct_fields__
"""The columns of the table `attempt`, which have the same names as the struct's fields."""
HASTENED_PER_STEP = 1_000
NOT_STORED = "The other system's response could not be stored."
_NOT_NOW = (StoreBusy, StoreFull, StoreDamaged, Contended)
"""Errors that are caused by the state of the store, not by the data to be stored."""

log = logging.getLogger("tidings.deliver")


class FollowUp(Protocol):
    """A further effect of an attempt. Applied by the writer in the transaction that stores the attempt."""

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        """Write it; returns the events to publish. Raises StoreError; then nothing of the transaction is stored.

        It may be applied again after a commit whose result was lost, so the second time it must change nothing, and
        its events must have the same ids.
        """


class Emit(msgspec.Struct, frozen=True):
    """Events to be published."""

    events: tuple[Event, ...]

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        """The events."""
        return self.events


class FollowUps(msgspec.Struct, frozen=True):
    """Several follow-ups. `stored`: what to call in the deliver thread once they are stored."""

    parts: tuple[FollowUp, ...]
    stored: tuple[Callable[[], None], ...]

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        """Write all of them."""
        return [event for part in self.parts for event in part.apply(db, catalog, now)]


class Disable(msgspec.Struct, frozen=True):
    """A link to disable, and why."""

    link: int
    reason: str

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        """Disable the link as it is now, not as it was when the request was sent."""
        endpoint = catalog.link(db, self.link)
        if endpoint is not None and endpoint.deleted is None and endpoint.mode != "disabled":
            changed = msgspec.structs.replace(
                endpoint, mode="disabled", reason=self.reason, revision=endpoint.revision + 1, updated=now
            )
            catalog.put_link(db, changed)
        return ()


class Settlement:
    """Results on their way to the store. Filled by the deliver thread, applied by the writer, once."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.waiting: dict[int, Waiting] = {}
        self.ended: list[int] = []
        """The deliveries whose rows in `waiting` are to be deleted."""
        self.numbers: list[tuple[int, int]] = []
        """(link, delivery) for every delivery that this settles."""
        self.states: dict[int, LinkState] = {}
        self.follow_ups: list[FollowUp] = []
        self.hastened: dict[int, Micros | Recovery] = {}
        """By link: the new due time of deliveries that wait for a retry, because the link was edited, was resumed, or
        has recovered."""
        self.freed: dict[int, Micros] = {}
        """By link: when its held deliveries are due, because the link is no longer ordered."""
        self.half_hastened: list[int] = []
        self.half_freed: list[int] = []
        """Links that had more such deliveries than one step could process."""
        self.cursor: int | None = None
        self.again = False
        """Whether storing this was tried before, so that some of it may already be stored."""
        self.singly = False
        """Whether the store refused a part of this, so that each attempt and each follow-up is written separately."""
        self.owed: Micros = 0
        """By how much the clock was set while this was on its way to the store. All due times in the store have already
        been moved by this amount."""
        self.unsent: list[tuple[int, int, str, str | None, Micros]] = []
        """(link, delivery, outcome, reason, created) of each delivery that ended without a request, until it is
        tallied."""
        self.tallies: list[tallies.TallyBatch] = []
        self.after: list[Callable[[], None]] = []
        """The functions to call, in the deliver thread, once everything is durable."""

    def __bool__(self) -> bool:
        return bool(
            self.numbers
            or self.attempts
            or self.waiting
            or self.ended
            or self.states
            or self.follow_ups
            or self.hastened
            or self.freed
            or self.tallies
            or self.cursor is not None
        )

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for it, or it publishes events."""
        return bool(self.after or self.follow_ups)

    def ended_unsent(self, link: int, created: Micros, attempt: Attempt) -> None:
        """Record that a delivery ended without a request, and why."""
        self.attempts.append(attempt)
        self.numbers.append((link, attempt.delivery))
        self.unsent.append((link, attempt.delivery, attempt.outcome, attempt.reason, created))

    def end(self, delivery: int) -> None:
        """A delivery's row in `waiting` will be deleted, including one that this settlement would store."""
        self.waiting.pop(delivery, None)
        self.ended.append(delivery)

    def hasten(self, link: int, at: Micros | Recovery) -> None:
        """Deliveries that wait for a retry are due at once; after an edit, all that wait."""
        before = self.hastened.get(link)
        if isinstance(at, Recovery) and before is not None:
            at = Recovery(at.at, min(before.since, at.since)) if isinstance(before, Recovery) else max(before, at.at)
        self.hastened[link] = at

    def finish_halves_of(self, earlier: Settlement) -> None:
        """Take over what was too much for one step."""
        self.freed.update({link: earlier.freed[link] for link in earlier.half_freed})
        for link in earlier.half_hastened:
            self.hasten(link, earlier.hastened[link])

    def merge(self, later: Settlement, wrong: Exception | None = None) -> None:
        """Add later results to this settlement, which could not be written. `wrong`: why."""
        self.again = True
        self.singly |= wrong is not None and not isinstance(wrong, Unavailable)
        self.move(self.owed)
        self.owed = 0
        self.attempts += later.attempts
        for row in later.ended:
            self.waiting.pop(row, None)
        self.waiting.update(later.waiting)
        self.ended += later.ended
        self.numbers += later.numbers
        self.states.update(later.states)
        self.follow_ups += later.follow_ups
        for link, at in later.hastened.items():
            self.hasten(link, at)
        self.freed.update(later.freed)
        self.unsent += later.unsent
        self.tallies += later.tallies
        self.after += later.after

    def move(self, by: Micros) -> None:
        """The clock was set: everything waits as long as before."""
        for number, row in self.waiting.items() if by else ():
            due = row.due if row.held else row.due + by
            moved = {"due": due, "first": row.first + by, "created": row.created + by}
            self.waiting[number] = msgspec.structs.replace(row, **moved)
        for link, haste in self.hastened.items():
            self.hastened[link] = haste.moved(by) if isinstance(haste, Recovery) else haste + by
        self.freed = {link: at + by for link, at in self.freed.items()}

    def run_after(self) -> None:
        """Notify those that wait for this."""
        after, self.after = self.after, []
        for call in after:
            call()

    def apply(self, db: Db, catalog: Catalog, now: Micros) -> None:
        """Write everything. Raises StoreError; then nothing of it is stored, and it can be applied again."""
        self.half_hastened.clear()
        self.half_freed.clear()
        if self.attempts:
            self._put(db, self._missing(db) if self.again else self.attempts)
        if self.ended:
            db.many("waiting_drop", [{"delivery": number} for number in self.ended])
        if self.waiting:
            db.many("waiting_put", [_waiting_row(row) for row in self.waiting.values()])
        for link, at in self.freed.items():
            if db.run("waiting_free", link=link, now=at, count=HASTENED_PER_STEP) == HASTENED_PER_STEP:
                self.half_freed.append(link)
        for link, haste in self.hastened.items():
            if _hasten(db, link, haste) == HASTENED_PER_STEP:
                self.half_hastened.append(link)
        if self.states:
            db.many("link_state_put", [_state_row(state) for state in self.states.values()])
        events = [event for each in self.follow_ups for event in self._followed(each, db, catalog, now)]
        if events:
            append(db, [Publication(tuple(events), ids_given=self.again)], now)
        if self.cursor is not None:
            journal.move(db, "deliver", self.cursor)
        if self.tallies:
            tallies.add(db, self.tallies, again=self.again)

    def _put(self, db: Db, attempts: Sequence[Attempt]) -> None:
        if not self.singly:
            put_attempts(db, attempts)
            return
        for each in attempts:
            try:
                with db.savepoint():
                    put_attempts(db, [each])
            except _NOT_NOW:
                raise
            except StoreError:
                bare = msgspec.structs.replace(each, request=None, response=None, reason=NOT_STORED)
                put_attempts(db, [bare])

    def _followed(self, follow_up: FollowUp, db: Db, catalog: Catalog, now: Micros) -> Sequence[Event]:
        if not self.singly:
            return follow_up.apply(db, catalog, now)
        try:
            with db.savepoint():
                return follow_up.apply(db, catalog, now)
        except _NOT_NOW:
            raise
        except Exception:
            log.exception("the follow-ups of a success could not be stored, and are lost")
            return ()

    def _missing(self, db: Db) -> list[Attempt]:
        """The attempts that the store does not have yet. If another attempt has its number, it gets the next one."""
        found: list[Attempt] = []
        given: dict[int, int] = {}
        for attempt in self.attempts:
            there = db.one("attempt_of", delivery=attempt.delivery, n=attempt.n)
            if there is not None and there == (attempt.at, attempt.outcome):
                continue
            last = db.one("last_attempt_number", delivery=attempt.delivery)
            highest = max(0 if last is None else last[0], given.get(attempt.delivery, 0))
            n = attempt.n if there is None and attempt.n > given.get(attempt.delivery, 0) else highest + 1
            given[attempt.delivery] = n
            found.append(msgspec.structs.replace(attempt, n=n))
        return found


def put_attempts(db: Db, attempts: Sequence[Attempt]) -> None:
    """Write attempts down."""
    db.append("attempt", ATTEMPT_COLUMNS, list(map(msgspec.structs.astuple, attempts)))


def _hasten(db: Db, link: int, at: Micros | Recovery) -> int:
    if isinstance(at, Recovery):
        given = {"now": at.at, "since": at.since, "count": HASTENED_PER_STEP}
        return db.run("waiting_hasten_recovered", link=link, **given)
    return db.run("waiting_hasten", link=link, now=at, count=HASTENED_PER_STEP)


def waiting_from(row: tuple[Any, ...]) -> Waiting:
    """A row of `waiting` as it is read."""
    number, link, event, due, n, earlier, first, subject, held, created = row
    return Waiting(
        delivery=number,
        link=link,
        event=event,
        due=due,
        n=n,
        earlier=earlier,
        first=first,
        created=created,
        subject=subject,
        held=bool(held),
    )


def _waiting_row(row: Waiting) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    fields["held"] = int(row.held)
    return fields


def _state_row(state: LinkState) -> dict[str, Any]:
    fields = msgspec.structs.asdict(state)
    return fields | {name: int(fields[name]) for name in ("open", "refusing", "doubted", "suspected")}
