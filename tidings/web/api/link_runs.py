"""The operations on runs of links: one now, and all of them from the beginning."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.control.links import READ, WRITE
from tidings.control.timers.runs import Forgotten
from tidings.store.base import Db
from tidings.store.log.events import WithEvents
from tidings.views.links import KeptView, LinkSecretView, kept_view, link_secret_view
from tidings.web.api.events.publish import Accepted, accepted
from tidings.web.api.links import NOUN
from tidings.web.habits.once import once, run_once
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts


async def run_link(parts: Parts, request: Request) -> Answer:
    """Emit the event of the link's timer now."""

    async def run(job: Callable[[Db], WithEvents]) -> Answer:
        return await once(parts, request, lambda db: _answered(job(db)))

    return await parts.timer_runs.run(request.caller, request.path["name"], run)


def _answered(made: WithEvents) -> WithEvents:
    return WithEvents(Answer(202, accepted(made.result)), made.events)


class LinkReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`mirror`: also delete the records in the mirror, so that each is emitted as created again. `kept`: instead,
    delete the values kept from responses, for one `subject` or for all.
    """

    mirror: bool = False
    kept: bool = False
    subject: str | None = None


async def reset_link(parts: Parts, request: Request) -> Answer:
    """Let a poll start from the beginning, or delete the kept values."""
    asked = request.body or LinkReset()
    run = run_once(parts, request, lambda done: Answer(200, done))
    return await parts.timer_runs.reset(
        request.caller,
        request.path["name"],
        forget=asked.mirror,
        subject=asked.subject,
        is_kept=asked.kept,
        run=run,
    )


async def get_kept(parts: Parts, request: Request) -> Answer:
    """Read the values kept for a subject."""
    given = request.query
    found = await parts.timer_runs.kept(request.caller, request.path["name"], given["subject"], given.get("tenant"))
    return Answer(200, kept_view(found))


async def get_link_secret(parts: Parts, request: Request) -> Answer:
    """Read the secret that a link signs its requests with."""
    return Answer(200, link_secret_view(parts.link_trials.signing(request.caller, request.path["name"])))


OPERATIONS: tuple[Operation, ...] = (
    NOUN.does(
        "run",
        run_link,
        at_sender=True,
        whole=True,
        summary="Run a link with a timer immediately",
        help="The link emits the event that it would emit if it were due, and the call returns this event. The link's "
        "schedule does not change. A link never has two runs at once: the call is refused until the previous run has "
        "ended.",
        idempotent_key=True,
        status=202,
        response=Accepted,
    ),
    NOUN.does(
        "reset",
        reset_link,
        at_sender=True,
        whole=True,
        summary="Reset a link that polls",
        help="The link's next run starts from the beginning and reads everything. Records that still match the "
        "link's mirror emit nothing, so only missed changes are emitted. With `mirror`, the records in the mirror "
        "are deleted too, and the next run emits every record as created. With `kept`, the poll is not reset; "
        "instead, the values that the link kept from responses are deleted. Links that use the same connection share "
        "these values.",
        idempotent_key=True,
        request=LinkReset,
        request_optional=True,
        response=Forgotten,
        example={"mirror": False},
    ),
    Operation(
        name="get_kept",
        method="GET",
        path="/v1/links/{name}/kept",
        scope=READ,
        summary="Read the values that a link has kept for a subject",
        help=(
            "The response has the values that the link's `keep` stored for this subject; in templates, they are "
            "called `mine`. Links that use the same connection share these values."
        ),
        handler=get_kept,
        tag="Links",
        parameters=(
            Parameter(name="subject", schema={"type": "string"}, help="The subject of the events.", required=True),
            Parameter(name="tenant", schema={"type": "string"}, help="The tenant of the events."),
        ),
        response=KeptView,
    ),
    Operation(
        name="get_link_secret",
        method="GET",
        path="/v1/links/{name}/secret",
        scope=WRITE,
        whole=True,
        summary="Read the secret that a link signs its requests with",
        help=(
            "The receiver needs this secret to verify the link's requests. Only a generated secret is returned, not "
            "one that you declared yourself."
        ),
        handler=get_link_secret,
        tag="Links",
        response=LinkSecretView,
    ),
)
