"""The operations that publish: one event, or up to a thousand all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from tidings.intake.publish import EVENTS_MAX, NewEvent
from tidings.model import moment
from tidings.model.event import Event
from tidings.store.log import events
from tidings.store.log.events import Publication
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Listing, Operation, Request
from tidings.web.parts import Parts
from tidings.web.wire.bodies import slices

TAG = "Events"
EVENT_WEIGHT = 1_000
EXAMPLE = {"type": "tasks.completed", "subject": "t_17", "data": {"id": "t_17", "title": "Water the plants"}}


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was stored on disk. Its deliveries follow."""

    id: str
    type: str
    subject: str | None
    time: str
    tenant: str | None


class EventBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events to store, all or none."""

    events: Annotated[tuple[NewEvent, ...], msgspec.Meta(min_length=1, max_length=EVENTS_MAX)]


class AcceptedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a batch, in the order in which they were sent."""

    events: list[Accepted]


async def publish_event(parts: Parts, request: Request) -> Answer:
    """Store one event; answered after the commit."""
    new: NewEvent = request.body
    publication = parts.publisher.check((new,), (request.value,), caller=request.caller, pointers=("",))

    if "idempotency-key" in request.headers:
        run = run_once(parts, request, _first)
        return await parts.publisher.publish_with(publication, run, single=True)
    return _first(await parts.publisher.publish(publication, single=True))


def _first(stored: Sequence[Event]) -> Answer:
    return Answer(202, accepted(stored[0]))


async def publish_batch(parts: Parts, request: Request) -> Answer:
    """Store up to 1,000 events, all or none."""
    found: list[Publication] = []
    caller = request.caller

    def take(given: EventBatch, value: Any, start: int) -> None:
        pointers = [f"/events/{index}" for index in range(len(given.events))]
        found.append(parts.publisher.check(given.events, value["events"], caller=caller, pointers=pointers))

    await slices.read(request, EventBatch, parts.work, take)
    publication = found[0] if len(found) == 1 else events.joined(found)

    def answer(stored: Sequence[Event]) -> Answer:
        return Answer(202, AcceptedBatch(events=[accepted(event) for event in stored]))

    if "idempotency-key" in request.headers:
        return await parts.publisher.publish_with(publication, run_once(parts, request, answer))
    return answer(await parts.publisher.publish(publication))


def accepted(event: Event) -> Accepted:
    """The response for a stored event."""
    return Accepted(
        id=event.id, type=event.type, subject=event.subject, time=moment.to_text(event.time), tenant=event.tenant
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="publish_event",
        method="POST",
        path="/v1/events",
        scope="events:write",
        summary="Publish an event",
        help=(
            "The response is 202 once the event is on disk. The event is then sent as a webhook to every endpoint "
            "that selects its type. With your own `id`, or an `Idempotency-Key`, you can safely repeat the call: it "
            "returns the stored event. If the tenant already has a different event with this `id`, the response is "
            "409. `time` is stored to the microsecond; further digits are dropped."
        ),
        handler=publish_event,
        tag=TAG,
        request=NewEvent,
        response=Accepted,
        status=202,
        idempotent_key=True,
        example=EXAMPLE,
    ),
    Operation(
        name="publish_batch",
        method="POST",
        path="/v1/events:batch",
        scope="events:write",
        summary="Publish up to 1,000 events",
        help=(
            "Either all events are stored, or none. Errors point to the invalid event, as in `/events/17/type`. The "
            "size limit of each event is the same as for an event that is published alone."
        ),
        handler=publish_batch,
        tag=TAG,
        request=EventBatch,
        response=AcceptedBatch,
        status=202,
        idempotent_key=True,
        large=True,
        listing=Listing("events", EVENTS_MAX, EVENT_WEIGHT),
        example={"events": [EXAMPLE, {"type": "tasks.created", "data": {"id": "t_18"}}]},
    ),
)
