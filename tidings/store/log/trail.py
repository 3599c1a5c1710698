"""The trail of an event: from the first event that led to it, through every link, to everything that followed."""

from __future__ import annotations

from typing import NamedTuple

from tidings.model.event import HOPS_MAX, Event
from tidings.store.base import Db
from tidings.store.log import feed


class Trail(NamedTuple):
    """Events in the order in which they were stored, the first one first. `is_cut`: there are more."""

    events: list[Event]
    is_cut: bool


def of(db: Db, event: Event, most: int) -> Trail:
    """The trail that an event is part of, up to `most` events. All of them belong to one tenant."""
    first = event
    for _ in range(HOPS_MAX + 1):
        before = None if first.cause is None else _one(db, first.cause, event.tenant)
        if before is None:
            break
        first = before
    seqs, following = [first.seq], [first.id]
    while following and len(seqs) <= most:
        found: list[int] = []
        for cause in following:
            rows = db.all("events_caused", cause=cause, count=most + 1)
            found += [seq for seq, tenant in rows if tenant == event.tenant and seq not in seqs]
        seqs += found
        following = [each.id for each in feed.shown(db, found[:most])] if found else []
    is_cut = len(seqs) > most
    return Trail(feed.shown(db, sorted(seqs)[:most]), is_cut)


def reason(db: Db, delivery: int, n: int) -> str | None:
    """Why an attempt had its outcome, as a sentence."""
    row = db.one("attempt_reason", delivery=delivery, n=n)
    return None if row is None else row[0]


def _one(db: Db, ident: str, tenant: str | None) -> Event | None:
    rows = [row[0] for row in db.all("events_with_id", id=ident) if row[1] == tenant]
    return feed.shown(db, rows[:1])[0] if rows else None
