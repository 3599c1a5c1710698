"""The operations of replays: send a time range of events again, to an endpoint or through a link."""

from __future__ import annotations

import msgspec

from tidings.control.replays import NewReplay
from tidings.model.replay import Replay
from tidings.views.replays import DryRunView, ReplayView, dry_run_view, replay_view
from tidings.web.habits.once import idempotency_key, run_once
from tidings.web.habits.paging import PAGING, Page, counted
from tidings.web.habits.shaping import sort_of
from tidings.web.openapi.examples import ENDPOINT
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Replays"


class ReplayList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of replays."""

    data: list[ReplayView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def create_replay(parts: Parts, request: Request) -> Answer:
    """Start a replay, or count what it would send."""
    new: NewReplay = request.body
    # Checked for a dry run too, although its response is not kept: a malformed key is refused.
    idempotency_key(request)
    if new.dry_run:
        dry = await parts.replays.dry_run(request.caller, new)
        return Answer(200, dry_run_view(dry, parts.catalog.now))

    def answer(replay: Replay) -> Answer:
        return Answer(201, replay_view(replay, parts.catalog.now), [("location", f"/v1/replays/{replay.id}")])

    return await parts.replays.start(request.caller, new, run_once(parts, request, answer))


async def list_replays(parts: Parts, request: Request) -> Answer:
    """List replays, newest first by default."""
    page, given = Page.of(request, str), request.query
    is_counted = bool(given.get("count"))
    found = await parts.replays.page(
        request.caller,
        endpoint=given.get("endpoint"),
        link=given.get("link"),
        tenant=given.get("tenant"),
        state=given.get("state"),
        after=page.after,
        limit=page.limit,
        oldest_first=not sort_of(request)[0].startswith("-"),
        count=is_counted,
    )
    views = [replay_view(replay, parts.catalog.now) for replay in found.replays]
    total = counted(found.total) if is_counted else None
    return page.answer(views, found.replays[-1].id if found.more else None, total)


async def get_replay(parts: Parts, request: Request) -> Answer:
    """Read how far a replay has come."""
    return _shown(parts, await parts.replays.find(request.caller, request.path["id"]))


async def cancel_replay(parts: Parts, request: Request) -> Answer:
    """Stop a replay; deliveries already sent are not undone."""

    def answer(replay: Replay) -> Answer:
        return _shown(parts, replay)

    return await parts.replays.cancel(request.caller, request.path["id"], run_once(parts, request, answer))


def _shown(parts: Parts, replay: Replay) -> Answer:
    return Answer(200, replay_view(replay, parts.catalog.now))


# --- the menu --------------------------------------------------------------------------------------------------------

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_replay",
        at_sender=True,
        method="POST",
        path="/v1/replays",
        scope="replays:write",
        summary="Send the events of a time range again, to an endpoint or through a link",
        help=(
            "With `which: failed`, the dead deliveries in the range are retried; with `which: all`, every event in "
            "the range that the endpoint or link currently selects gets a new delivery. The `webhook-id` stays the "
            "same, so receivers can recognize duplicates. A link repeats its edits and calls with the values of the "
            "old events, so later edits of an item are overwritten. With `dry_run`, nothing is started; the "
            "response has status 200 and shows how many deliveries would be sent."
        ),
        handler=create_replay,
        tag=TAG,
        request=NewReplay,
        response=ReplayView | DryRunView,
        status=201,
        also=((200, "Nothing was started; the response shows what a replay would do."),),
        idempotent_key=True,
        example={"endpoint_id": ENDPOINT, "since": "2026-11-20T00:00:00Z", "which": "failed", "dry_run": True},
    ),
    Operation(
        name="list_replays",
        method="GET",
        path="/v1/replays",
        scope="replays:read",
        summary="List replays, newest first",
        handler=list_replays,
        tag=TAG,
        response=ReplayList,
        # An id begins with the time at which it was made, so both names mean the same order.
        sorts=("-created", "created", "-id", "id"),
        parameters=(
            Parameter(
                name="state",
                schema={"type": "string", "enum": ["running", "done", "cancelled"]},
                help="Return only replays in this state.",
            ),
            Parameter(
                name="endpoint", schema={"type": "string"}, help="Return only replays to the endpoint with this id."
            ),
            Parameter(
                name="link",
                schema={"type": "string"},
                help="Return only replays through the link with this name or id.",
            ),
            Parameter(
                name="tenant",
                schema={"type": "string"},
                help="Return only replays to this tenant's endpoints and through its links.",
            ),
            *PAGING,
        ),
    ),
    Operation(
        name="get_replay",
        method="GET",
        path="/v1/replays/{id}",
        scope="replays:read",
        summary="Read the progress of a replay",
        handler=get_replay,
        tag=TAG,
        response=ReplayView,
    ),
    Operation(
        name="cancel_replay",
        at_sender=True,
        method="POST",
        path="/v1/replays/{id}:cancel",
        scope="replays:write",
        summary="Stop a replay; deliveries already sent are not recalled",
        handler=cancel_replay,
        tag=TAG,
        idempotent_key=True,
        response=ReplayView,
    ),
)
