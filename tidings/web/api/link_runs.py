"""The operations on runs of links: one now, and all of them from the beginning."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.control.links import WRITE
from tidings.control.timers.runs import Forgotten
from tidings.store.base import Db
from tidings.store.log.events import WithEvents
from tidings.web.api.events.publish import Accepted, accepted
from tidings.web.habits.once import once, run_once
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts


async def run_link(parts: Parts, request: Request) -> Answer:
    """Emit the event of a due time now."""

    async def run(job: Callable[[Db], WithEvents]) -> Answer:
        return await once(parts, request, lambda db: _answered(job(db)))

    return await parts.timer_runs.run(request.caller, request.path["name"], run)


def _answered(made: WithEvents) -> WithEvents:
    return WithEvents(Answer(202, accepted(made.result)), made.events)


class LinkReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`mirror`: delete the records as well, so that each is created again."""

    mirror: bool = False


async def reset_link(parts: Parts, request: Request) -> Answer:
    """Let a poll begin again."""
    forget = request.body is not None and request.body.mirror
    run = run_once(parts, request, lambda done: Answer(200, done))
    return await parts.timer_runs.reset(request.caller, request.path["name"], forget=forget, run=run)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="run_link",
        method="POST",
        path="/v1/links/{name}:run",
        scope=WRITE,
        whole=True,
        summary="Run a link with a timer now",
        help=(
            "Emits an event as a due time would, and returns it. The link's own times stay the same. A link never has "
            "two runs at once: the call is refused until the link's last run has ended."
        ),
        handler=run_link,
        tag="Links",
        idempotent_key=True,
        status=202,
        response=Accepted,
    ),
    Operation(
        name="reset_link",
        method="POST",
        path="/v1/links/{name}:reset",
        scope=WRITE,
        whole=True,
        summary="Let a link that polls begin again",
        help=(
            "The link forgets how far it has read, so its next run reads everything. Records that are unchanged in "
            "its mirror emit nothing, so only missed changes are emitted. With `mirror`, the records in the "
            "mirror are deleted too, and the next run emits each of them as created."
        ),
        handler=reset_link,
        tag="Links",
        idempotent_key=True,
        request=LinkReset,
        request_optional=True,
        response=Forgotten,
        example={"mirror": False},
    ),
)
