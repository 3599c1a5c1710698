"""The event log: append, and read what the stages need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model.errors import Conflict
from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.store import journal
from tidings.store.base import Db, Row
from tidings.store.log import numbering

COLUMNS = Event.__struct_fields__
"""The table's columns, which have the same names as the struct's fields. The last two, `seq` and `created`, are set
here."""
assert COLUMNS[0] == "id" and COLUMNS[-2:] == ("seq", "created")


class Publication(msgspec.Struct, frozen=True):
    """Events of one caller, stored all or none. `ids_given`: the caller chose ids, so they may be repeats.

    `untimed`: the indexes of those whose time the caller omitted; a repeat of such an event gets the stored time.
    """

    events: tuple[Event, ...]
    ids_given: bool = False
    untimed: frozenset[int] = frozenset()


class Stored(msgspec.Struct, frozen=True):
    """The result of a publication: its events as stored, and how many of them are new."""

    events: tuple[Event, ...]
    fresh: int


class IdsTaken(Conflict):
    """Some events have ids that other events already use.

    `taken`: their indexes in the publication, each with a sentence.
    """

    def __init__(self, taken: list[tuple[int, str]]) -> None:
        self.taken = taken
        super().__init__(taken[0][1])


class WithEvents(msgspec.Struct, frozen=True):
    """What a write job may return: its `result`, and events to store with it, in its transaction.

    The writer appends the events of all jobs of a group at once.
    """

    result: Any
    events: Sequence[Event]


def joined(publications: Sequence[Publication]) -> Publication:
    """Several as one: stored all or none."""
    events: list[Event] = []
    untimed: list[int] = []
    for publication in publications:
        untimed += [len(events) + index for index in publication.untimed]
        events += publication.events
    ids_given = any(publication.ids_given for publication in publications)
    return Publication(tuple(events), ids_given=ids_given, untimed=frozenset(untimed))


def append(db: Db, publications: Sequence[Publication], now: Micros) -> list[Stored | IdsTaken]:
    """Append the publications of one group. Returns for each what was stored, or why it was refused.

    An event whose id is known is a repeat if everything else that the caller sent is the same; otherwise the id is
    taken.
    """
    known = _known(db, publications)
    fresh: list[Event] = []
    answers: list[Stored | IdsTaken] = []
    for publication in publications:
        if not publication.ids_given:
            fresh.extend(publication.events)
            answers.append(Stored(publication.events, len(publication.events)))
        else:
            answers.append(_admit(publication, known, fresh))
    if fresh:
        append_new(db, fresh, now)
    return answers


def append_new(db: Db, fresh: Sequence[Event], now: Micros) -> None:
    """Append events, at least one, whose ids are known to be new. Each gets its `seq`, valid once it is stored.

    A joined node keeps them in memory, and numbers them in the store right before the commit (`number`).
    """
    if db.stamp is not None:
        db.stamp(fresh)
    if db.shares and numbering.keep(db, COLUMNS, list(map(msgspec.structs.astuple, fresh)), now):
        return
    first = journal.take(db, "event", len(fresh))
    for seq, event in enumerate(fresh, first):
        msgspec.structs.force_setattr(event, "seq", seq)
    db.append("event", COLUMNS, [(*row[:-1], now) for row in map(msgspec.structs.astuple, fresh)])
    if (positions := db.positions) is not None:
        positions.append(
            [(each.seq, each.id, each.tenant, each.type, each.subject, each.target, now, each.trace) for each in fresh]
        )


def number(db: Db) -> bool:
    """Append the events kept in this transaction, as its last statement before COMMIT.

    Returns whether there were any.
    """
    return numbering.number(db, COLUMNS)


def by_seq(db: Db, seqs: Sequence[int]) -> list[Event]:
    """The events with these numbers, with everything that a webhook's body needs."""
    return [
        Event(
            seq=row[0],
            id=row[1],
            tenant=row[2],
            type=row[3],
            subject=row[4],
            time=row[5],
            data=row[6],
            previous=row[7],
            changed=row[8],
            actor=row[9],
            request_id=row[10],
            collection=row[11],
            hops=row[12],
            trace=row[13],
        )
        for row in db.all("events_by_seq", seqs=json.dumps(list(seqs)))
    ]


Content = tuple[Micros, str, str | None, str | None, str]
Known = dict[tuple[str, str | None], Content]
_PARTS = ("time", "type", "subject", "collection", "data")
"""The parts that must be the same in a repeat of an event, which is identified by id and tenant; in the order of a
Content."""
_PARTS_AT = [COLUMNS.index(part) for part in _PARTS]
_TENANT_AT = COLUMNS.index("tenant")
_DIFFERENT = {part: f"a different {part}" for part in _PARTS} | {"data": "different data"}


def _known(db: Db, publications: Sequence[Publication]) -> Known:
    ids = [event.id for publication in publications if publication.ids_given for event in publication.events]
    if not ids:
        return {}
    known = {(row[0], row[1]): row[2:] for row in db.all("events_known", ids=json.dumps(ids))}
    if db.shares:
        known |= {(row[0], row[_TENANT_AT]): _content_of(row) for row in numbering.kept(db, set(ids))}
    return known


def _admit(publication: Publication, known: Known, fresh: list[Event]) -> Stored | IdsTaken:
    new: dict[tuple[str, str | None], Event] = {}
    stored: list[Event] = []
    taken: list[tuple[int, str]] = []
    for index, event in enumerate(publication.events):
        name = (event.id, event.tenant)
        there = known.get(name)
        if there is None:
            if name in new:
                detail = f"The id {event.id} is in this batch more than once. Use a different id for each event."
                taken.append((index, detail))
            new[name] = event
        else:
            if index in publication.untimed:
                event = msgspec.structs.replace(event, time=there[0])
            if there != (content := _content(event)):
                others = [_DIFFERENT[part] for part, a, b in zip(_PARTS, there, content, strict=True) if a != b]
                detail = f"The id {event.id} is already taken by an event with {' and '.join(others)}. "
                taken.append((index, detail + "Leave the id out to get a new one."))
        stored.append(event)
    if taken:
        return IdsTaken(taken)
    for name, event in new.items():
        known[name] = _content(event)
    fresh.extend(new.values())
    return Stored(tuple(stored), len(new))


def _content_of(row: Row) -> Content:
    time, kind, subject, collection, data = (row[at] for at in _PARTS_AT)
    return time, kind, subject, collection, data


def _content(event: Event) -> Content:
    return event.time, event.type, event.subject, event.collection, event.data
