"""Events in the order of their commit, for lists, long polls and streams; a bounded number of rows for each call."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tidings.model.event import Event
from tidings.model.moment import Micros
from tidings.store import journal
from tidings.store.base import Db, Row

SCANNED_MAX = 20_000
WINDOW_MAX = 5_000
PAGE_BYTES_MAX = 8 * 1024 * 1024
"""The approximate maximum size of a page. If it would be much larger, the page has fewer events than requested."""
FIRST_CHUNK = 16
CHUNK_MAX = 500
COUNTED_MAX = 1_000_000
"""The maximum number of events that are counted if an index alone is sufficient."""
JUDGED_MAX = 100_000
"""The maximum number of events that are checked one by one for a count."""
ABOVE_ALL = 1 << 62
TIME_END: Micros = 1 << 62
BETWEEN = " AND time >= :since AND time < :until"


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to return.

    Every given field narrows; `tenant` is the only tenant whose events may be returned (None: all).
    """

    tenant: str | None = None
    collection: str | None = None
    types: frozenset[str] | None = None
    beginnings: tuple[str, ...] = ()
    """Prefixes of types, such as `tasks.`, that are selected in addition to `types`."""
    subject: str | None = None
    since: Micros | None = None
    until: Micros | None = None


Header = Row
"""(seq, tenant, type, subject, time, collection) of an event."""


class FeedPage(msgspec.Struct, frozen=True):
    """Events in the requested order. Everything up to `position` was read; `more`: the end was not reached."""

    events: list[Event]
    position: int
    more: bool


def following(db: Db, query: EventQuery, after: int, limit: int, bytes_max: int = PAGE_BYTES_MAX) -> FeedPage:
    """The oldest events after a position."""
    seqs, position, more = _scan(db, query, after, ABOVE_ALL, limit, newest_first=False)
    found, whole = _load(db, seqs, bytes_max)
    if not whole:
        return FeedPage(found, found[-1].seq, True)
    return FeedPage(found, position if more else max(after, head(db)), more)


def preceding(db: Db, query: EventQuery, before: int, limit: int) -> FeedPage:
    """The newest events before a position."""
    seqs, position, more = _scan(db, query, 0, before, limit, newest_first=True)
    found, whole = _load(db, seqs, PAGE_BYTES_MAX)
    return FeedPage(found, position, more) if whole else FeedPage(found, found[-1].seq, True)


def count(db: Db, query: EventQuery) -> int | None:
    """How many there are; None if counting would read too many."""
    base, value, exact = _index(query)
    timed = query.since is not None or query.until is not None
    if timed:
        base += BETWEEN
        value = {**value, "since": query.since or 0, "until": TIME_END if query.until is None else query.until}
    rows = f"FROM event WHERE TRUE{base} LIMIT :most"
    if exact or (base == BETWEEN and query.types is None):
        sql = f"SELECT COUNT(*) FROM (SELECT 1 AS one {rows}) AS part"  # noqa: S608
        total = int(db.query(sql, {"most": COUNTED_MAX + 1, **value})[0][0])
        return total if total <= COUNTED_MAX else None
    found = db.query(f"SELECT tenant, type, subject, time, collection {rows}", {"most": JUDGED_MAX + 1, **value})
    return sum(1 for row in found if fits(query, *row)) if len(found) <= JUDGED_MAX else None


def headers(db: Db, after: int, limit: int) -> tuple[list[Header], int, bool]:
    """The headers of events after a position, without data; the position reached; and whether there are more."""
    rows = db.all("event_headers", after=after, count=limit)
    if len(rows) == limit:
        return rows, rows[-1][0], True
    return rows, max(after, head(db)), False


def by_id(db: Db, ident: str, tenant: str | None) -> Event | None:
    """The event with this id. If no tenant is given: the one without a tenant, otherwise the first of any tenant's."""
    rows = [row for row in db.all("events_with_id", id=ident) if tenant is None or row[1] == tenant]
    rows.sort(key=lambda row: (row[1] is not None, row[0]))
    return shown(db, [rows[0][0]])[0] if rows else None


def shown(db: Db, seqs: list[int]) -> list[Event]:
    """The events with these numbers, lowest first."""
    return [
        Event(
            seq=row[0],
            id=row[1],
            tenant=row[2],
            type=row[3],
            subject=row[4],
            time=row[5],
            created=row[6],
            data=row[7],
            previous=row[8],
            changed=row[9],
            target=row[10],
            actor=row[11],
            request_id=row[12],
            collection=row[13],
            cause=row[14],
            hops=row[15],
        )
        for row in db.all("events_shown", seqs=json.dumps(seqs))
    ]


def head(db: Db) -> int:
    """The number of the last event."""
    return journal.position(db, "event")


def pruned(db: Db) -> int:
    """Events up to this number may be gone."""
    return journal.position(db, "pruned")


def _scan(
    db: Db, query: EventQuery, after: int, before: int, limit: int, *, newest_first: bool
) -> tuple[list[int], int, bool]:
    """Walk along the narrowest index in windows, and keep the numbers of events that match."""
    if query.since is not None or query.until is not None:
        span = db.one("event_span", since=query.since or 0, until=query.until or TIME_END)
        first, last = span if span is not None and span[0] is not None else (1, 0)
        after, before = max(after, first - 1), min(before, last + 1)
    base, value, exact = _index(query)
    sql = (
        f"SELECT seq, tenant, type, subject, time, collection FROM event WHERE seq > :after AND seq < :before{base} "  # noqa: S608
        f"ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT :count"
    )
    seqs: list[int] = []
    scanned = 0
    position = before if newest_first else after
    window = limit + 1 if exact else min(WINDOW_MAX, max(200, limit * 4))
    while scanned < SCANNED_MAX:
        rows = db.query(sql, {"after": after, "before": before, "count": window, **value})
        for seq, tenant, kind, subject, time, collection in rows:
            if exact or fits(query, tenant, kind, subject, time, collection):
                if len(seqs) == limit:
                    return seqs, position, True
                seqs.append(seq)
            position = seq
        if len(rows) < window:
            return seqs, position, False
        scanned += len(rows)
        after, before = (after, position) if newest_first else (position, before)
        window = WINDOW_MAX
    return seqs, position, True


def _index(query: EventQuery) -> tuple[str, dict[str, Any], bool]:
    """The condition to walk along, its values, and whether it covers the whole query."""
    timeless = query.since is None and query.until is None
    if query.subject is not None:
        alone = timeless and query.tenant is None and query.types is None and query.collection is None
        return " AND subject = :subject", {"subject": query.subject}, alone
    if query.collection is not None:
        alone = timeless and query.tenant is None and query.types is None
        return " AND collection = :collection", {"collection": query.collection}, alone
    if query.tenant is not None:
        return " AND tenant = :tenant", {"tenant": query.tenant}, timeless and query.types is None
    if query.types is not None and len(query.types) == 1 and not query.beginnings:
        return " AND type = :type", {"type": next(iter(query.types))}, timeless
    return "", {}, timeless and query.types is None


def fits(
    query: EventQuery, tenant: str | None, kind: str, subject: str | None, time: Micros, collection: str | None
) -> bool:
    """Whether an event matches the query."""
    return (
        (query.tenant is None or tenant == query.tenant)
        and (query.collection is None or collection == query.collection)
        and (query.types is None or kind in query.types or kind.startswith(query.beginnings))
        and (query.subject is None or subject == query.subject)
        and (query.since is None or time >= query.since)
        and (query.until is None or time < query.until)
    )


def _load(db: Db, seqs: list[int], bytes_max: int) -> tuple[list[Event], bool]:
    """The events in the order of `seqs`, and whether all of them are there. Large events are read in small chunks."""
    found: list[Event] = []
    size = 0
    chunk = FIRST_CHUNK
    while len(found) < len(seqs):
        part = seqs[len(found) : len(found) + chunk]
        events = {event.seq: event for event in shown(db, part)}
        for seq in part:
            event = events[seq]
            found.append(event)
            size += len(event.data) + len(event.previous or "") + len(event.changed or "")
            if size >= bytes_max:
                return found, len(found) == len(seqs)
        chunk = max(1, min(CHUNK_MAX, (bytes_max - size) * len(found) // (size + 1)))
    return found, True
