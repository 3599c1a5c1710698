"""The operation that runs a link with a timer now."""

from __future__ import annotations

from collections.abc import Callable

from tidings.control.links import WRITE
from tidings.store.base import Db
from tidings.store.log.events import WithEvents
from tidings.web.api.events.publish import Accepted, accepted
from tidings.web.habits.once import once
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts


async def run_link(parts: Parts, request: Request) -> Answer:
    """Emit the event of a due time now."""

    async def run(job: Callable[[Db], WithEvents]) -> Answer:
        return await once(parts, request, lambda db: _answered(job(db)))

    return await parts.timer_runs.run(request.caller, request.path["name"], run)


def _answered(made: WithEvents) -> WithEvents:
    return WithEvents(Answer(202, accepted(made.result)), made.events)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="run_link",
        method="POST",
        path="/v1/links/{name}:run",
        scope=WRITE,
        summary="Run a link with a timer now",
        help=(
            "Emits an event as a due time would, and returns it. The link's own times stay the same. A link never has "
            "two runs at once: this is refused until its last run has ended."
        ),
        handler=run_link,
        tag="Links",
        idempotent_key=True,
        status=202,
        response=Accepted,
    ),
)
