"""What else can be done with an endpoint: recover failed messages, send an example, and count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.control.replays import NewReplay
from tidings.control.svix.notes import notes_of
from tidings.model import moment
from tidings.model.delivery import State
from tidings.model.errors import Invalid
from tidings.model.event import Event, EventType
from tidings.model.replay import Replay
from tidings.store.log.lists import DeliveryQuery
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts
from tidings.web.svix.nouns import endpoint_forms
from tidings.web.svix.nouns.endpoints import ONE, TAG
from tidings.web.svix.nouns.messages import shown
from tidings.web.svix.rows import of_first_version, row
from tidings.web.svix.shapes import EndpointStats, EventExampleIn, MessageOut, RecoverIn, RecoverOut

STATES: dict[str, tuple[State, ...]] = {
    "success": ("delivered",),
    "pending": ("waiting",),
    "fail": ("dead",),
    "canceled": ("cancelled",),
}
_TIME = {"type": "string", "format": "date-time"}


async def recover(parts: Parts, request: Request) -> Answer:
    """Resend every message that has failed since a given time."""
    given: RecoverIn = request.body
    endpoint = endpoint_forms.find(parts, request, "endpoints:read")
    new = NewReplay(endpoint_id=endpoint.id, since=given.since, until=given.until)

    def started(replay: Replay) -> Answer:
        at = moment.to_text(replay.updated)
        return Answer(202, RecoverOut(id=replay.id, status="running", task="endpoint.recover", updated_at=at))

    return await parts.replays.start(request.caller, new, run_once(parts, request, started))


async def send_example(parts: Parts, request: Request) -> Answer:
    """Send an event type's example to this endpoint only."""
    given: EventExampleIn = request.body
    endpoint = endpoint_forms.find(parts, request, "endpoints:write")
    data = _example(parts.event_types.find(request.caller, given.event_type))

    def sent(event: Event) -> Answer:
        return Answer(202 if of_first_version(request) else 200, shown(event))

    run: Callable[[Any], Any] = run_once(parts, request, sent)
    answer: Answer = await parts.endpoints.test(request.caller, endpoint.id, run, example=(given.event_type, data))
    return answer


async def stats(parts: Parts, request: Request) -> Answer:
    """Count an endpoint's messages by state."""
    endpoint = endpoint_forms.find(parts, request, "deliveries:read")
    counts: dict[str, int] = {}
    for name, states in STATES.items():
        counts[name] = 0
        for state in states:
            query = DeliveryQuery(
                state=state, since=request.query.get("since"), until=request.query.get("until"), limit=1
            )
            found = await parts.deliveries.page(request.caller, query, endpoint=endpoint.id, count=True)
            if found.total is None:
                detail = "There are too many messages to count. Ask for a shorter range, with a later `since`."
                raise Invalid.of_parameter("since", "out_of_range", detail)
            counts[name] += found.total
    return Answer(200, EndpointStats(**counts, sending=0))


def _example(kind: EventType) -> str:
    """The example of an event type, as JSON. Raises Invalid if it has none."""
    if kind.example is not None:
        return kind.example
    schemas = notes_of(kind).get("schemas") or {}
    for version in sorted(schemas, reverse=True):
        schema = schemas[version]
        given = schema.get("examples")
        found = given[0] if isinstance(given, list) and given else schema.get("example")
        if isinstance(found, dict):
            return msgspec.json.encode(found).decode()
    detail = (
        f"The event type {kind.name} has no example. Add `examples` to its schema, or an `example` to the event type."
    )
    raise Invalid.at("/eventType", "example", detail)


OPERATIONS: tuple[Operation, ...] = (
    row(
        "v1.endpoint.recover",
        "POST",
        f"{ONE}/recover",
        "replays:write",
        recover,
        tag=TAG,
        at_sender=True,
        request=RecoverIn,
        response=RecoverOut,
        status=202,
    ),
    row(
        "v1.endpoint.send-example",
        "POST",
        f"{ONE}/send-example",
        "endpoints:write",
        send_example,
        tag=TAG,
        request=EventExampleIn,
        response=MessageOut,
    ),
    row(
        "v1.endpoint.get-stats",
        "GET",
        f"{ONE}/stats",
        "deliveries:read",
        stats,
        tag=TAG,
        response=EndpointStats,
        parameters=(
            Parameter(name="since", schema=_TIME, help="Count only messages created at this time or later."),
            Parameter(name="until", schema=_TIME, help="Count only messages created before this time."),
        ),
    ),
)
