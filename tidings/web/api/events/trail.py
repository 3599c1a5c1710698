"""The operation that shows what led to an event, and what followed from it."""

from __future__ import annotations

from tidings.control.reading import READ, find
from tidings.store.base import Db
from tidings.store.log import trail
from tidings.views.trail import EVENTS_MAX, TrailView, trail_view
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts


async def get_trail(parts: Parts, request: Request) -> Answer:
    """Everything from the first event to the last call."""
    caller, snapshot = request.caller, parts.catalog.now

    def read(db: Db) -> TrailView:
        event = find(db, caller, request.path["event"], request.query.get("tenant"))
        found = trail.of(db, event, EVENTS_MAX)
        return trail_view(db, snapshot, found, caller, parts.delivery_ids)

    return Answer(200, await parts.readers.call(read, request.key.tenant))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="get_event_trail",
        method="GET",
        path="/v1/events/{event}/trail",
        scope=READ,
        summary="Show what led to an event, and what followed from it",
        help=(
            "The trail lists the events and deliveries from the first event, through every link, to the last "
            f"delivery, in chronological order, each with its result. The trail has at most {EVENTS_MAX} events; "
            "`is_cut` is true if some were left out."
        ),
        handler=get_trail,
        tag="Events",
        response=TrailView,
        parameters=(
            Parameter(
                name="tenant",
                schema={"type": "string"},
                help="The event's tenant; needed only if several tenants have an event with this id.",
            ),
        ),
    ),
)
