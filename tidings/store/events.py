"""The event log: append, and read what the stages need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model.errors import Conflict
from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.store.base import Db

COLUMNS = (
    "seq",
    "id",
    "tenant",
    "type",
    "subject",
    "time",
    "created",
    "data",
    "previous",
    "changed",
    "actor",
    "request_id",
    "target",
    "collection",
)


class Publication(msgspec.Struct, frozen=True):
    """Events of one caller: stored all or none. `ids_given`: the caller chose ids, so they may be repeats."""

    events: tuple[Event, ...]
    ids_given: bool = False


class Told(msgspec.Struct, frozen=True):
    """What a write job may answer: its `result`, and events that are stored with it, in its transaction.

    The writer appends the events of all jobs of a group at once.
    """

    result: Any
    events: Sequence[Event]


def joined(publications: Sequence[Publication]) -> Publication:
    """Several as one: stored all or none."""
    return Publication(
        tuple(event for publication in publications for event in publication.events),
        any(publication.ids_given for publication in publications),
    )


def append(db: Db, publications: Sequence[Publication], now: Micros) -> list[int | Conflict]:
    """Append the publications of one group. For each: how many of its events were new, or why it was refused.

    An event whose id is known is a repeat where its content is the same, a Conflict where it is not.
    """
    known = _known(db, publications)
    fresh: list[Event] = []
    answers: list[int | Conflict] = []
    for publication in publications:
        if not publication.ids_given:
            fresh.extend(publication.events)
            answers.append(len(publication.events))
        else:
            answers.append(_admit(publication, known, fresh))
    if fresh:
        append_new(db, fresh, now)
    return answers


def append_new(db: Db, fresh: Sequence[Event], now: Micros) -> None:
    """Append events (at least one) whose ids are known to be new."""
    row = db.one("numbers_take", name="event", count=len(fresh))
    assert row is not None
    first = row[0] - len(fresh) + 1
    db.insert("event", COLUMNS, [_row(event, first + i, now) for i, event in enumerate(fresh)])


def by_seq(db: Db, seqs: Sequence[int]) -> list[Event]:
    """The events with these numbers, with what a webhook's body needs."""
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
        )
        for row in db.all("events_by_seq", seqs=json.dumps(list(seqs)))
    ]


Known = dict[tuple[str, str | None], tuple[str, str | None, str]]


def _known(db: Db, publications: Sequence[Publication]) -> Known:
    ids = [event.id for publication in publications if publication.ids_given for event in publication.events]
    if not ids:
        return {}
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in db.all("events_known", ids=json.dumps(ids))}


def _admit(publication: Publication, known: Known, fresh: list[Event]) -> int | Conflict:
    new: dict[tuple[str, str | None], Event] = {}
    for event in publication.events:
        content = (event.type, event.subject, event.data)
        name = (event.id, event.tenant)
        there = known.get(name)
        if there is None:
            if name in new:
                return Conflict(f"The id {event.id} stands twice in this batch. Give each event an id of its own.")
            new[name] = event
        elif there != content:
            return Conflict(
                f"Another event has the id {event.id}. Ids are given once; leave the id out to get a new one."
            )
    for name, event in new.items():
        known[name] = (event.type, event.subject, event.data)
    fresh.extend(new.values())
    return len(new)


def _row(event: Event, seq: int, now: Micros) -> tuple[object, ...]:
    return (
        seq,
        event.id,
        event.tenant,
        event.type,
        event.subject,
        event.time,
        now,
        event.data,
        event.previous,
        event.changed,
        event.actor,
        event.request_id,
        event.target,
        event.collection,
    )
