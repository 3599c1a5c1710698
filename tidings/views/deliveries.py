"""Deliveries as answers and pages show them."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.deliveries import DeliveryTrace
from tidings.control.delivery_ids import DeliveryIds
from tidings.model import moment
from tidings.model.delivery import Attempt, State
from tidings.store.catalog import Snapshot
from tidings.store.log.lists import DeliveryRow
from tidings.views.times import time_text


class LastView(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of the last attempt."""

    outcome: str
    status: int | None
    at: str


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to an endpoint, or through the operator's link with this name; the other one is null. `attempts` is
    the number of attempts made, `due` the time of the next one, or null. `held`: it waits behind an earlier delivery,
    because they are sent in order, so it has no due time. `item`: for a link with `split`, the list element that it is
    about; null if it is about the whole event.
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
    last: LastView | None


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `answer` contains the first 16 KiB of the response; secrets in `request_headers` are masked. `edit`:
    for a link that edits items, the item; there is no request then, and `answer` names the change. `call`: for a link
    that calls another system, the method and the URL.
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
    """A delivery with every attempt, oldest first. `held`: it waits behind an earlier delivery, because they are sent
    in order.
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
    last: LastView | None


def delivery_view(row: DeliveryRow, snapshot: Snapshot, ids: DeliveryIds) -> DeliveryView:
    """A delivery as lists show it."""
    return DeliveryView(**_fields(row, snapshot, ids), attempts=row.attempts)


def delivery_detail(trace: DeliveryTrace, snapshot: Snapshot, ids: DeliveryIds) -> DeliveryDetail:
    """A delivery with every attempt."""
    row = trace.row
    return DeliveryDetail(
        **_fields(row, snapshot, ids),
        attempts=[_attempt(attempt, _kind(row, snapshot)) for attempt in trace.attempts],
        next_attempt=time_text(row.due),
    )


def _fields(row: DeliveryRow, snapshot: Snapshot, ids: DeliveryIds) -> dict[str, Any]:
    link = snapshot.links.get(row.link)
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
        "due": time_text(row.due),
        "held": row.held,
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
