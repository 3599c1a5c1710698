"""Look-ups of events: they are kept while several lanes send them; also whether one must wait for others."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from tidings.deliver.actions.guarding import SEPARATOR
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.queued import Queued
from tidings.model.event import Event
from tidings.model.link import ALL_TENANTS
from tidings.store.base import Db
from tidings.store.log import events

EVENT_BYTES_KEPT = 8 * 1024 * 1024
FRESH_MAX = 2_000
SUBJECT_EVENTS_MAX = 200


class KeptEvents:
    """Events by number. Belongs to the deliver thread."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._events: dict[int, Event] = {}
        self._bytes = 0
        self.fresh: deque[Event] = deque(maxlen=FRESH_MAX)
        """Events that were just committed, kept here so that they need not be read back. Any thread may add some."""

    def take_fresh(self) -> None:
        """Keep events that were just committed."""
        while self.fresh:
            self._keep(self.fresh.popleft())

    def of(self, seqs: Collection[int]) -> dict[int, Event]:
        """The events with these numbers that are still stored. Raises StoreError."""
        kept, missing = self._events, []
        found: dict[int, Event] = {}
        for seq in seqs:
            event = kept.get(seq)
            if event is None:
                missing.append(seq)
            else:
                found[seq] = event
        if missing:
            self._read(sorted(missing), found)
        return found

    def _read(self, missing: list[int], found: dict[int, Event]) -> None:
        for event in events.by_seq(self._db, missing):
            found[event.seq] = event
            self._keep(event)

    def _keep(self, event: Event) -> None:
        self._bytes += len(event.data)
        if self._bytes > EVENT_BYTES_KEPT:
            self._events.clear()
            self._bytes = len(event.data)
        self._events[event.seq] = event


def has_earlier(db: Db, lane: Lane, item: Queued) -> bool:
    """Whether the lane's backlog may hold an earlier delivery of the item's subject. Raises StoreError."""
    what = lane.link.what
    if getattr(what, "order_by", None) is not None or getattr(what, "split_by", None) is not None:
        # Its lines come from a template or from elements, which the store cannot search for.
        return True
    rows = db.all(
        "backlog_of_subject",
        link=lane.num,
        after=lane.read_to,
        before=item.number,
        subject=_subject(lane, item),
        count=SUBJECT_EVENTS_MAX,
    )
    if len(rows) == SUBJECT_EVENTS_MAX:
        # If a subject has very many events, its earliest is not searched for: each event is sent in its turn.
        return True
    return any(number is not None and number not in lane.busy for (number,) in rows)


def has_newer(db: Db, lane: Lane, item: Queued) -> bool:
    """Whether the lane's backlog holds a newer delivery of the item's subject. Raises StoreError."""
    return (
        db.one(
            "backlog_newer",
            link=lane.num,
            after=max(lane.read_to, item.number),
            subject=_subject(lane, item),
            tenant=None if lane.link.tenant != ALL_TENANTS else (item.subject or "").partition(SEPARATOR)[0],
            count=SUBJECT_EVENTS_MAX,
        )
        is not None
    )


def _subject(lane: Lane, item: Queued) -> str:
    """The subject of the events in an item's line."""
    name = item.subject or ""
    return name.partition(SEPARATOR)[2] if lane.replaces and lane.link.tenant == ALL_TENANTS else name
