"""The trail of an event as answers and pages show it."""

from __future__ import annotations

import msgspec

from tidings.control.delivery_ids import DeliveryIds
from tidings.model import moment
from tidings.model.access import Caller
from tidings.model.delivery import State
from tidings.model.event import Event
from tidings.store.base import Db
from tidings.store.catalog import Snapshot
from tidings.store.log import lists, trail
from tidings.store.log.trail import Trail

EVENTS_MAX = 200
DELIVERIES_MAX = 50
"""Of each event."""


class TrailDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery of an event in a trail, with the result of its last attempt."""

    id: str
    endpoint: str | None
    link: str | None
    state: State
    attempts: int
    outcome: str | None
    status: int | None
    reason: str | None


class TrailEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in a trail. `cause`: the event that a link acted on; `by`: that link's name, or the id of a key."""

    id: str
    type: str
    subject: str | None
    time: str
    cause: str | None
    by: str | None
    hops: int
    deliveries: list[TrailDelivery]


class TrailView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything from the first event on, in the order in which it happened. `is_cut`: not everything is shown."""

    events: list[TrailEvent]
    is_cut: bool


def trail_view(db: Db, snapshot: Snapshot, found: Trail, caller: Caller, ids: DeliveryIds) -> TrailView:
    """A trail, without the endpoints and links that do not exist for the caller."""
    names = {link.id: link.name if caller.sees_link(link) else None for link in snapshot.links.values() if link.name}
    shown, is_cut = [], found.is_cut
    for event in found.events:
        deliveries, more = _deliveries(db, snapshot, event, caller, ids)
        is_cut |= more
        shown.append(
            TrailEvent(
                id=event.id,
                type=event.type,
                subject=event.subject,
                time=moment.to_text(event.time),
                cause=event.cause,
                by=names.get(event.actor or "", event.actor),
                hops=event.hops,
                deliveries=deliveries,
            )
        )
    return TrailView(events=shown, is_cut=is_cut)


def _deliveries(
    db: Db, snapshot: Snapshot, event: Event, caller: Caller, ids: DeliveryIds
) -> tuple[list[TrailDelivery], bool]:
    found = []
    rows = lists.of_event(db, snapshot, event.seq, DELIVERIES_MAX + 1)
    for row in rows[:DELIVERIES_MAX]:
        link = snapshot.links.get(row.link)
        if link is None or not caller.sees_link(link):
            continue
        found.append(
            TrailDelivery(
                id=ids.of(row.number, row.created),
                endpoint=None if link.name else link.id,
                link=link.name or None,
                state=row.state,
                attempts=row.attempts,
                outcome=row.last_outcome,
                status=row.last_status,
                reason=trail.reason(db, row.number, row.attempts) if row.attempts else None,
            )
        )
    return found, len(rows) > DELIVERIES_MAX
