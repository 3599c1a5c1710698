"""What a run writes while it observes: the differences of each page, how far it has read, what is missing, and its
attempt.

Each page is one transaction: its differences, their events, and the cursor if it moves with pages. The last one also
stores the attempt. A large page is taken in in parts, each in its own transaction. So after a crash anywhere, records
that were taken in show no difference when they are read again. All of this runs in write jobs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from tidings.deliver.settle import put_attempts
from tidings.model import outcome as outcomes
from tidings.model.delivery import Attempt
from tidings.model.event import Event, EventType
from tidings.model.ids import new_id
from tidings.model.link import CallLink
from tidings.model.moment import SECOND, Micros
from tidings.rules.deliver import lifecycle
from tidings.rules.mirror.cursors import advanced, since, told
from tidings.rules.mirror.difference import Counted, Differences, Observation, RecordChange, vanished
from tidings.rules.mirror.observer import ReadAnswer
from tidings.rules.mirror.records import BadRecord
from tidings.rules.reading.schema import Validator, compiled, places, too_costly
from tidings.store.base import Db
from tidings.store.links import mirror, polls
from tidings.store.links.mirror import Mirror
from tidings.store.links.polls import PollRow
from tidings.store.log.events import WithEvents

MISSING_PER_STEP = 500
SWEEP_SURE = 10
"""A full read that found any records may delete up to this many missing ones, whatever their share of the mirror."""


class RunId(msgspec.Struct, frozen=True):
    """One attempt of a link that observes."""

    event: Event
    delivery: int
    n: int
    at: Micros


class Begun(msgspec.Struct, frozen=True):
    """Where a run begins.

    `since`: the cursor that it asks with; `is_sweep`: it is a full read; `is_silent`: it emits nothing.
    """

    row: PollRow
    since: Any
    is_sweep: bool
    is_silent: bool


class RunCounts(msgspec.Struct):
    """What a run has read so far, and what differed."""

    pages: int = 0
    records: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    left_out: int = 0
    """The number of records that had the same key as another record on their page."""

    def sentence(self, *, is_silent: bool, is_all: bool) -> str:
        """The counts as a sentence for people."""
        read = f"Read {_many(self.records, 'record')} on {_many(self.pages, 'page')}"
        which, verb = "an earlier" if is_all else "a later", "was" if self.left_out == 1 else "were"
        why = f"left out, because {which} one on the page has the same key"
        more = f" {_many(self.left_out, 'record')} {verb} {why}." if self.left_out else ""
        if is_all:
            return f"{read}; {self.created:,} {'was' if self.created == 1 else 'were'} new.{more}"
        differed = f"{self.created:,} created, {self.updated:,} updated, {self.deleted:,} deleted"
        return f"{read}: {differed}{', without events, because this was the first run' if is_silent else ''}.{more}"


class Observing:
    """The write jobs of one run."""

    def __init__(self, link: CallLink, run: RunId, kind: Callable[[str], EventType | None]) -> None:
        """`kind`: an event type's entry in the catalogue."""
        self._kind = kind
        assert link.what.emit is not None
        self._link, self._rule, self._run = link, link.what.emit, run
        self._counted = Counted(self._rule.only, self._rule.ignore)
        self._is_poll = link.timer is not None
        self._name = f"{run.delivery}.{run.n}.{run.at}"

    def begin(self, db: Db, again: bool) -> Begun:
        """Where the run begins."""
        row = polls.of(db, self._link.name) if self._is_poll else PollRow(link=self._link.name, filled=True)
        cursor, every = self._rule.cursor, self._rule.sweep_seconds
        is_sweep = every is not None and (row.swept is None or self._run.at - row.swept >= every * SECOND)
        if is_sweep:
            mirror.begin_sweep(db, self._mirror(db))
        is_silent = cursor is not None and cursor.since == "now" and not row.filled
        row = msgspec.structs.replace(row, run=self._name, page=0)
        if self._is_poll:
            polls.put(db, row)
        return Begun(row, since(cursor, None if is_sweep else row.cursor), is_sweep, is_silent)

    def look(self, db: Db) -> Begun:
        """Where a run would begin; writes nothing."""
        row = polls.of(db, self._link.name)
        return Begun(row, since(self._rule.cursor, row.cursor), False, False)

    def compare(self, db: Db, observed: Sequence[Observation]) -> Differences:
        """What observations would change; writes nothing."""
        if self._rule.is_all:
            return self._all(db, observed)[0]
        known = mirror.known(db, self._run.event.tenant, self._rule.type)
        return mirror.difference(db, known, self._counted, observed)

    def part(self, db: Db, begun: Begun, observed: Sequence[Observation]) -> WithEvents:
        """Take in a part of a page, before `page` or `end` takes the rest. Returns the differences."""
        return WithEvents(*self._take_in(db, begun, observed))

    def page(
        self, db: Db, begun: Begun, number: int, answer: ReadAnswer, observed: Sequence[Observation]
    ) -> WithEvents:
        """Take in a page that another one follows. Returns the differences."""
        row, cursor = polls.of(db, self._link.name), self._rule.cursor
        if row.run == self._name and row.page >= number:
            return WithEvents(Differences([], [], []), ())
        found, events = self._take_in(db, begun, observed)
        if cursor is not None and cursor.is_ordered and not begun.is_sweep and not begun.is_silent:
            row = msgspec.structs.replace(row, cursor=advanced(cursor, row.cursor, answer.records, self._run.at))
        if row.run == self._name or not self._is_poll:
            # Otherwise the link was renamed or reset: its next run reads this page once more.
            polls.put(db, msgspec.structs.replace(row, run=self._name, page=number))
        return WithEvents(found, events)

    def missing(self, db: Db, after: str, records: int) -> WithEvents | BadRecord:
        """A full read has ended: delete some of the records that it did not see. Returns BadRecord if there are too
        many.

        Otherwise returns how many, and the key of the last one; None if those were all. `records`: how many it read;
        if none, everything is missing, which only `most: 1` allows.
        """
        which = self._mirror(db)
        if not after:
            count, missing = mirror.counts(db, which)
            if missing and not records and self._rule.sweep_most < 1:
                detail = f"The full read found no records, but the mirror has {count:,}"
                return BadRecord(
                    f"{detail}. Nothing was deleted. If the records are really gone, set `most: 1` in the link's "
                    "`sweep`."
                )
            if missing > max(SWEEP_SURE, self._rule.sweep_most * count):
                detail = f"{missing:,} of {count:,} records were missing, which is more than a full read may delete"
                return BadRecord(
                    f"{detail} ({self._rule.sweep_most:.0%}; `most` in `sweep` sets this limit). Nothing was deleted."
                )
        gone = mirror.drop_missing(db, which, after, MISSING_PER_STEP)
        last = gone[-1].key if len(gone) == MISSING_PER_STEP else None
        return WithEvents((len(gone), last), [self._checked(self._event(each)) for each in vanished(gone)])

    def end(
        self,
        db: Db,
        begun: Begun,
        cursor: Any,
        observed: Sequence[Observation],
        counts: RunCounts,
        shown: str,
        took_ms: int,
    ) -> WithEvents:
        """Take in the last page, and store how far the run has read and its attempt.

        Returns the sentence of the attempt.
        """
        found, events = self._take_in(db, begun, observed)
        add(counts, found)
        if self._is_poll and polls.of(db, self._link.name).run == self._name:
            swept = self._run.at if begun.is_sweep else begun.row.swept
            polls.put(
                db,
                PollRow(
                    link=self._link.name, cursor=cursor, filled=True, swept=swept, run=self._name, page=counts.pages
                ),
            )
        if begun.is_sweep:
            mirror.end_sweep(db, self._mirror(db))
        said = counts.sentence(is_silent=begun.is_silent, is_all=self._rule.is_all)
        attempt = Attempt(
            delivery=self._run.delivery,
            n=self._run.n,
            at=self._run.at,
            outcome=outcomes.OK.name,
            state=lifecycle.fate("success"),
            duration_ms=took_ms,
            status=200,
            request=shown,
            reason=said,
        )
        put_attempts(db, [attempt])
        db.run("waiting_drop", delivery=self._run.delivery)
        return WithEvents(said, events)

    def was_ended(self, db: Db) -> bool:
        """Whether this very run has stored its attempt."""
        return db.one("attempt_of", delivery=self._run.delivery, n=self._run.n) == (self._run.at, outcomes.OK.name)

    def cursor(self, begun: Begun, stored: Any, answer: ReadAnswer) -> Any:
        """The cursor after another page; for the last page, `told` counts too."""
        rule = self._rule.cursor
        if rule is None or rule.kind != "record":
            return stored
        return advanced(rule, stored, answer.records, self._run.at)

    def last_cursor(self, stored: Any, answer: ReadAnswer) -> Any:
        """The cursor after the whole run."""
        rule = self._rule.cursor
        if rule is None or rule.kind == "record" or answer.body is None:
            return stored
        return told(rule, stored, answer.body, answer.headers, self._run.at)

    def _mirror(self, db: Db) -> Mirror:
        return mirror.of(db, self._run.event.tenant, self._rule.type)

    def _take_in(self, db: Db, begun: Begun, observed: Sequence[Observation]) -> tuple[Differences, list[Event]]:
        if self._rule.is_all:
            return self._all(db, observed)
        found = mirror.observe(db, self._mirror(db), self._counted, observed)
        return found, [] if begun.is_silent else [self._checked(self._event(each)) for each in found.changes]

    def _all(self, db: Db, observed: Sequence[Observation]) -> tuple[Differences, list[Event]]:
        """Every observation, except those whose events are already stored."""
        tenant = self._run.event.tenant
        made: dict[str, Event] = {}
        for each in observed:
            data = msgspec.json.encode(each.record).decode()
            digest = hashlib.sha256(f"{self._rule.type}\n{tenant or ''}\n{each.key}".encode()).digest()
            event = self._event(RecordChange("created", each.key, data))
            ident = new_id("evt", 0, partial(_first, digest))
            made.setdefault(ident, msgspec.structs.replace(event, id=ident, type=self._rule.type))
        known = {row[0] for row in db.all("events_known", ids=json.dumps(list(made))) if row[1] == tenant}
        events = [self._checked(event) for ident, event in made.items() if ident not in known]
        changes = [RecordChange("created", event.subject or "", event.data) for event in events]
        return Differences(changes, [], []), events

    def _checked(self, event: Event) -> Event:
        """The event, if it matches the schema of its type. Raises Invalid."""
        kind = self._kind(event.type)
        if kind is not None and kind.schema is not None:
            wrong = _against_schema(kind.schema, event.data)
            if wrong is not None:
                raise BadRecord(
                    f"The event {event.type} for {event.subject} does not match the schema of its type: {wrong}"
                )
        return event

    def _event(self, change: RecordChange) -> Event:
        cause = self._run.event
        return Event(
            id=new_id("evt", self._run.at),
            type=f"{self._rule.type}.{change.kind}",
            time=self._run.at,
            tenant=cause.tenant,
            subject=change.key,
            data=change.data,
            previous=change.previous,
            changed=change.changed,
            actor=self._link.id,
            cause=cause.id,
            hops=cause.hops + 1,
            trace=cause.trace,
        )


def add(counts: RunCounts, found: Differences) -> None:
    """Count differences."""
    for each in found.changes:
        if each.kind == "created":
            counts.created += 1
        elif each.kind == "updated":
            counts.updated += 1
        else:
            counts.deleted += 1


def _against_schema(schema: str, data: str) -> str | None:
    """The places where an event's data violates a schema."""
    validator, value = _validator(schema), msgspec.json.decode(data)
    if validator.costly(data.encode(), value):
        return too_costly(validator.cost)
    found = places(validator, value, "")
    return f"{found[0].pointer or '/'}: {found[0].detail}" if found else None


@lru_cache(maxsize=256)
def _validator(schema: str) -> Validator:
    return compiled(msgspec.json.decode(schema))


def _first(digest: bytes, count: int) -> bytes:
    return digest[:count]


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
