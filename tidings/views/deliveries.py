"""Deliveries as answers and pages show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from tidings.control.deliveries import DeliveryTrace
from tidings.control.delivery_ids import DeliveryIds
from tidings.deliver.lane.view import LaneView
from tidings.model import moment
from tidings.model.delivery import Attempt, State
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.store.catalog import Snapshot
from tidings.store.log.lists import DeliveryRow
from tidings.views.times import time_text

LaneOf = Callable[[int], LaneView | None]
"""Returns the present state of a link's lane, by the link's number."""
Because = Literal["order", "paused", "disabled", "failing", "asked_to_wait"]
"""Why a delivery waits, if not only for its due time."""


class LastView(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of the last attempt."""

    outcome: str
    status: int | None
    at: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to an endpoint, or through the operator's link with this name; the other one is null. `attempts` is
    the number of attempts made, and `due` the time of the next one, or null. The attempt may be made later, but earlier
    only if the endpoint or link recovers from an outage, or is resumed or edited.

    `waiting_because` says why the delivery waits, if not only for its turn. `order`: it waits behind an earlier
    delivery, because the two are sent in order, and `held` is true; `paused`, `disabled`: its endpoint or link is, so
    nothing is sent; `failing`: only probes are sent to it; `asked_to_wait`: it asked for a pause. `item`: for a link
    with `split`, the list element that the delivery is about; null if it is about the whole event.
    """

    id: str
    event_id: str | None
    event_type: str | None
    endpoint_id: str | None
    link: str | None
    item: msgspec.Raw | None
    state: State
    attempts: int
    created: str
    due: str | None
    held: bool
    waiting_because: Because | None
    last: LastView | None


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `answer` contains the first 16 KiB of the response; secrets in `request_headers` are masked. `edit`:
    for a link that edits items, the edited item; there is no request then, and `answer` describes the change. `call`:
    for a link that calls another system, the method and the URL.
    """

    n: int
    at: str
    outcome: str
    state: State
    status: int | None
    duration_ms: int
    request_headers: dict[str, str] | None
    edit: dict[str, str] | None
    call: dict[str, str] | None
    answer: str | None
    reason: str | None


class DeliveryDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with every attempt, oldest first. `held`, `waiting_because`: see the list; `next_attempt` is the same
    as `due`.
    """

    id: str
    event_id: str | None
    event_type: str | None
    endpoint_id: str | None
    link: str | None
    item: msgspec.Raw | None
    state: State
    attempts: list[AttemptView]
    next_attempt: str | None
    held: bool
    created: str
    due: str | None
    waiting_because: Because | None
    last: LastView | None


def delivery_view(row: DeliveryRow, snapshot: Snapshot, ids: DeliveryIds, lane_of: LaneOf) -> DeliveryView:
    """A delivery as lists show it."""
    return DeliveryView(**_fields(row, snapshot, ids, lane_of), attempts=row.attempts)


def delivery_detail(trace: DeliveryTrace, snapshot: Snapshot, ids: DeliveryIds, lane_of: LaneOf) -> DeliveryDetail:
    """A delivery with every attempt."""
    row = trace.row
    fields = _fields(row, snapshot, ids, lane_of)
    return DeliveryDetail(
        **fields,
        attempts=[_attempt(attempt, _kind(row, snapshot)) for attempt in trace.attempts],
        next_attempt=fields["due"],
    )


def next_attempt(row: DeliveryRow, link: AnyLink | None, lane_of: LaneOf) -> tuple[Micros | None, Because | None]:
    """When the next attempt may be made, and why not before. The due time that is stored knows nothing of its link."""
    if row.state != "waiting" or link is None:
        return row.due, None
    if link.mode != "enabled":
        return None, link.mode
    if row.held:
        return None, "order"
    lane = lane_of(row.link)
    if lane is None:
        return row.due, None
    probe, held = (lane.probe_at or 0) if lane.open else 0, lane.held_until or 0
    due = max(row.due or 0, probe, held) or None
    if lane.open:
        return due, "failing"
    return due, "asked_to_wait" if held and held == due else None


def wait_in_words(found: DeliveryDetail, now: Micros) -> str:
    """What a waiting delivery waits for, in a sentence."""
    who, at = "link" if found.link else "endpoint", "" if found.due is None else found.due[11:19]
    because = found.waiting_because
    if because in ("paused", "disabled"):
        return f"Its {who} is {because}. The delivery will be sent once the {who} is resumed."
    if because == "order":
        return "It is waiting behind an earlier delivery, because the two are sent in order."
    is_due = found.due is None or moment.from_text(found.due) <= now
    if because == "failing":
        when = "" if is_due else f"; it may be one from {at} UTC on"
        return f"Its {who} is failing, so only probes are sent{when}."
    if because == "asked_to_wait" and not is_due:
        asks = "The system that its link calls" if found.link else "Its endpoint"
        return f"{asks} asked for a pause until {at} UTC."
    return "It is next in line." if is_due else f"The next attempt is at {at} UTC."


def _fields(row: DeliveryRow, snapshot: Snapshot, ids: DeliveryIds, lane_of: LaneOf) -> dict[str, Any]:
    link = snapshot.links.get(row.link)
    due, because = next_attempt(row, link, lane_of)
    last = None
    if row.last_outcome is not None and row.last_at is not None:
        last = LastView(outcome=row.last_outcome, status=row.last_status, at=moment.to_text(row.last_at))
    return {
        "id": ids.of(row.number, row.created),
        "event_id": row.event_id,
        "event_type": row.event_type,
        "endpoint_id": None if link is None or link.name else link.id,
        "link": None if link is None or not link.name else link.name,
        "item": None if row.element is None else msgspec.Raw(row.element.encode()),
        "state": row.state,
        "created": moment.to_text(row.created),
        "due": time_text(due),
        "held": row.held,
        "waiting_because": because,
        "last": last,
    }


def _kind(row: DeliveryRow, snapshot: Snapshot) -> str | None:
    link = snapshot.links.get(row.link)
    return None if link is None else link.kind


def _attempt(attempt: Attempt, kind: str | None) -> AttemptView:
    request = None if attempt.request is None else msgspec.json.decode(attempt.request)
    called = request if kind == "call" and request else None
    return AttemptView(
        n=attempt.n,
        at=moment.to_text(attempt.at),
        outcome=attempt.outcome,
        state=attempt.state,
        status=attempt.status,
        duration_ms=attempt.duration_ms,
        request_headers=called["headers"] if called else None if kind in ("item", "call") else request,
        edit=request or None if kind == "item" else None,
        call=None if called is None else {"method": called["method"], "url": called["url"]},
        answer=attempt.response,
        reason=attempt.reason,
    )
