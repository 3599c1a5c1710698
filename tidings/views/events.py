"""Events as answers and pages show them, where they went, and why an endpoint did not get one."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from tidings.control.delivery_ids import DeliveryIds
from tidings.model import moment
from tidings.model.access import Caller
from tidings.model.event import Event
from tidings.model.link import ALL_TENANTS, AnyLink
from tidings.rules import filter
from tidings.rules.wants import CHANGED, CUT_OFF, EARLIER, KICKED, NOT_ROUTED, NOT_TRIED, Reason, Wants
from tidings.store.base import Db
from tidings.store.catalog import Snapshot
from tidings.store.log import failures, lists
from tidings.views.deliveries import LaneOf, next_attempt
from tidings.views.times import time_text

DELIVERIES_MAX = 1_000
ENDED = ("waiting", "dead", "cancelled", "replaced")
"""States of deliveries whose last attempt shows why they were not delivered."""
NOT_MATCHED_MAX = 1_000
FILTER_SECONDS = 0.05
"""How long endpoints' filters may take in total for one response."""


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """An event. `collection`, `previous` and `changed` are set for changes of items. `actor` is the id of the key or
    link that caused it, and `request_id` the id of the request. `cause` is the id of the event that the link acted on,
    and `hops` the length of the chain of links that led to this event.
    """

    id: str
    type: str
    subject: str | None
    time: str
    tenant: str | None
    data: msgspec.Raw
    previous: msgspec.Raw | None
    changed: msgspec.Raw | None
    collection: str | None
    actor: str | None
    request_id: str | None
    cause: str | None
    hops: int
    created: str


class DeliveryOfEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of one of an event's deliveries."""

    id: str
    endpoint: str | None
    link: str | None
    state: str
    attempts: int
    due: str | None = None
    """When the next attempt may be made; null if there is none, or while nothing is sent."""
    outcome: str | None = None
    """The outcome of the last attempt."""
    reason: str | None = None
    """The reason why the last attempt did not deliver the event."""
    note: str | None = None
    """A remark about it."""


class NotMatched(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, or an operator's link, that did not get the event, with the reason."""

    endpoint: str | None
    link: str | None
    reason: str


class EventDetail(EventView, frozen=True, kw_only=True):
    """An event with where it went (the first 1,000) and why it did not go elsewhere."""

    deliveries: list[DeliveryOfEvent]
    not_matched: list[NotMatched]


def event_view(event: Event) -> EventView:
    """An event as lists, feeds and streams show it."""
    return EventView(**_fields(event))


def event_detail(
    db: Db, snapshot: Snapshot, event: Event, caller: Caller, ids: DeliveryIds, lane_of: LaneOf
) -> EventDetail:
    """An event with its deliveries. Endpoints and links that do not exist for the caller are left out."""
    deliveries = []
    got: set[int] = set()
    reasons = _Reasons(event)
    rows = lists.of_event(db, snapshot, event.seq, DELIVERIES_MAX)
    failed = {each.number: each.reason for each in failures.last(db, [row.number for row in rows], 0, ENDED)}
    for row in rows:
        got.add(row.link)
        link = snapshot.links.get(row.link)
        if link is not None and caller.sees_link(link):
            ident = ids.of(row.number, row.created)
            is_cut_off = link.filter is not None and reasons.of(link)[0] is CUT_OFF
            note = CUT_OFF.sentence if is_cut_off else None
            deliveries.append(
                DeliveryOfEvent(
                    id=ident,
                    **_named(link),
                    state=row.state,
                    attempts=row.attempts,
                    due=time_text(next_attempt(row, link, lane_of)[0]),
                    outcome=row.last_outcome,
                    reason=failed.get(row.number),
                    note=note,
                )
            )
    is_routed = lists.routed(db, event.tenant or "") >= event.seq
    return EventDetail(
        **_fields(event),
        deliveries=deliveries,
        not_matched=_not_matched(snapshot, event, got, caller, reasons if is_routed else None),
    )


def _fields(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "subject": event.subject,
        "time": moment.to_text(event.time),
        "tenant": event.tenant,
        "data": msgspec.Raw(event.data.encode()),
        "previous": None if event.previous is None else msgspec.Raw(event.previous.encode()),
        "changed": None if event.changed is None else msgspec.Raw(event.changed.encode()),
        "collection": event.collection,
        "actor": event.actor,
        "request_id": event.request_id,
        "cause": event.cause,
        "hops": event.hops,
        "created": moment.to_text(event.created),
    }


def _not_matched(
    snapshot: Snapshot, event: Event, got: set[int], caller: Caller, reasons: _Reasons | None
) -> list[NotMatched]:
    found: list[NotMatched] = []
    for link in (*snapshot.links_by_name.values(), *snapshot.endpoints_by_id.values()):
        if link.num in got or link.tenant not in (event.tenant, ALL_TENANTS):
            continue
        if not caller.sees_link(link):
            continue
        sentence = NOT_ROUTED.sentence if reasons is None else reasons.of(link)[1]
        found.append(NotMatched(**_named(link), reason=sentence))
        if len(found) >= NOT_MATCHED_MAX:
            break
    return found


def _named(link: AnyLink) -> dict[str, str | None]:
    """An endpoint by its id, or the operator's link by its name."""
    return {"endpoint": None if link.name else link.id, "link": link.name or None}


class _Reasons:
    """Says why links have no delivery of an event. All filters together may take FILTER_SECONDS."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._document: dict[str, Any] | None = None
        self._took = 0.0

    def of(self, link: AnyLink) -> tuple[Reason, str]:
        """Why this link has no delivery of the event, and one sentence that says so."""
        event, wants = self._event, Wants.of(link)
        reason = wants.before_filter(event)
        if not link.after and link.created > event.created and event.target is None:
            reason = EARLIER
        if reason is None and wants.fits is not None:
            reason, sentence = self._filtered(wants)
            is_kick = reason is CHANGED and link.timer is not None
            return (KICKED, KICKED.sentence) if is_kick else (reason, sentence)
        reason = reason or (CHANGED if link.timer is None else KICKED)
        return reason, wants.explain(reason, event.type)

    def _filtered(self, wants: Wants) -> tuple[Reason, str]:
        if self._took >= FILTER_SECONDS:
            return NOT_TRIED, NOT_TRIED.sentence
        began = time.monotonic()
        event = self._event
        try:
            if self._document is None:
                self._document = filter.document(event.type, event.subject, event.data, event.previous, event.changed)
            reason = wants.filtered(self._document) or CHANGED
            return reason, wants.explain(reason, event.type, self._document)
        finally:
            self._took += time.monotonic() - began
