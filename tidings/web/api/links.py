"""The operations of links: declare, read, pause, try, delete; and a whole file of declarations at once."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.control.declare.link_plans import LinkPlan, PutLink, ResumedLink, WantedLinks
from tidings.control.endpoints.endpoints import Missed
from tidings.model.event import Event
from tidings.model.link import AnyLink
from tidings.views.endpoints import health_view
from tidings.views.links import LinkTestView, LinkView, link_test_view, link_view, with_timer
from tidings.web.habits.edits import conditions, created, shown, unless_known
from tidings.web.habits.given import agreeing
from tidings.web.habits.once import kept, run_once
from tidings.web.habits.paging import SortedPage, SortKey
from tidings.web.habits.revisions import IF_MATCH, if_match, not_modified
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Links"


class LinkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link's declaration, as in `tidings.yaml`."""

    was: str | None = None
    description: str | None = None
    tenant: str | None = None
    when: dict[str, Any]
    filter: dict[str, Any] | None = None
    only_if: str | None = msgspec.field(name="if", default=None)
    once: str | None = None
    split: str | None = None
    item: dict[str, Any] | None = None
    call: dict[str, Any] | None = None
    mail: dict[str, Any] | None = None
    emit: dict[str, Any] | None = None
    keep: dict[str, Any] | None = None
    order: str = "each"
    order_max_age_seconds: int = 3600
    rate: float | str | None = None
    max_in_flight: int = 64
    retry_delays_seconds: list[float] | None = None


class LinkPause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the link is paused, for people who check later."""

    reason: str | None = None


class LinkResume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with the deliveries that are waiting."""

    missed: Literal["send", "cancel"] = "send"


class GivenEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to test a link with, which is not stored."""

    type: str
    data: Any
    subject: str | None = None
    tenant: str | None = None
    previous: dict[str, Any] | None = None
    changed: list[str] | None = None


class LinkTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event to test the link with: `event_id` for a stored one, or `event` for a new one. Without either, the link
    is tested with the event that its timer would emit now.
    """

    event_id: str | None = None
    event: GivenEvent | None = None


class LinkList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of links, by name."""

    data: list[LinkView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


class LinksBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations of links, and of the connections that they use, by name. `prune`: also delete those that are not
    declared here.

    If `links` or `connections` is omitted or null, none of these is changed.
    """

    links: dict[str, Any] | None = None
    connections: dict[str, Any] | None = None
    prune: bool = False


class LinksApply(LinksBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations to apply. `plan`: the name of an earlier plan; apply only if the plan is still the same."""

    plan: str | None = None
    drop_waiting: bool = False


SORTS: dict[str, SortKey] = {"name": lambda link: link.name, "created": lambda link: link.created}


async def list_links(parts: Parts, request: Request) -> Answer:
    """Links, by name by default."""
    found = parts.links.visible(request.caller, request.query.get("state"), request.query.get("tenant"))
    page = SortedPage(request, found, SORTS, lambda link: link.name)
    lanes = parts.deliver.snapshot()
    return page.answer([link_view(link, health_view(lanes.get(link.num), link)) for link in page.shown])


async def get_link(parts: Parts, request: Request) -> Answer:
    """Read one link."""
    link = parts.links.find(request.caller, request.path["name"])
    health = health_view(parts.deliver.lane(link.num), link)
    view = link_view(link, health)
    if request.query.get("counts") and not not_modified(request, link.revision):
        view = link_view(link, health, await parts.links.waiting(request.caller, link))
        view = with_timer(view, await parts.timer_runs.of(request.caller, link))
    return unless_known(request, view, link.revision)


async def put_link(parts: Parts, request: Request) -> Answer:
    """Declare a link, or replace its declaration."""
    name = request.path["name"]
    check = agreeing(request, link_view)
    put: PutLink = await parts.links.put(
        request.caller, name, request.value, conditions(request), check, parts.writer.call
    )
    return created(link_view(put.link), put.link.revision, f"/v1/links/{name}") if put.is_new else _shown(put.link)


async def delete_link(parts: Parts, request: Request) -> Answer:
    """Delete a link."""
    await parts.links.delete(request.caller, request.path["name"], if_match(request), parts.writer.call)
    return Answer(204)


async def pause_link(parts: Parts, request: Request) -> Answer:
    """Do nothing for now; deliveries wait."""
    reason = None if request.body is None else request.body.reason
    run = run_once(parts, request, _shown)
    return await parts.links.pause(request.caller, request.path["name"], reason, if_match(request), run)


async def resume_link(parts: Parts, request: Request) -> Answer:
    """Act again, with the missed deliveries or without them."""
    known = await kept(parts, request)
    if known is not None:
        return known

    def answer(resumed: ResumedLink) -> Answer:
        return _shown(resumed.link, resumed.waiting)

    missed: Missed = "send" if request.body is None else request.body.missed
    run = run_once(parts, request, answer)
    return await parts.links.resume(request.caller, request.path["name"], missed, if_match(request), run)


async def test_link(parts: Parts, request: Request) -> Answer:
    """Show what the link would do with an event. Changes and sends nothing."""
    body: LinkTest = request.body
    name = request.path["name"]
    if body.event is None and body.event_id is None:
        trial = await parts.link_trials.due(request.caller, name)
    elif body.event is None:
        trial = await parts.link_trials.stored(request.caller, name, body.event_id or "")
    else:
        trial = await parts.link_trials.given(request.caller, name, _event(body.event, parts.clock.now()))
    return Answer(200, link_test_view(trial))


async def plan_links(parts: Parts, request: Request) -> Answer:
    """Show what these declarations would change; nothing is changed."""
    return Answer(200, await parts.links.plan(request.caller, _wanted(request)))


async def apply_links(parts: Parts, request: Request) -> Answer:
    """Apply these declarations, all or none."""
    body: LinksApply = request.body
    run = run_once(parts, request, lambda shown: Answer(200, shown))
    return await parts.links.apply(
        request.caller, _wanted(request), run, plan_name=body.plan, drop_waiting=body.drop_waiting
    )


def _wanted(request: Request) -> WantedLinks:
    links, connections = request.value.get("links"), request.value.get("connections")
    return WantedLinks(links=links, connections=connections, prune=request.body.prune)


def _event(given: GivenEvent, now: int) -> Event:
    def text(value: Any) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    return Event(
        id="evt_trial",
        type=given.type,
        time=now,
        tenant=given.tenant,
        subject=given.subject,
        data=msgspec.json.encode(given.data).decode(),
        previous=text(given.previous),
        changed=text(given.changed),
    )


def _shown(link: AnyLink, waiting: int | msgspec.UnsetType = msgspec.UNSET) -> Answer:
    return shown(link_view(link, waiting=waiting), link.revision)


EXAMPLE: dict[str, Any] = {
    "when": {"event": ["shop.order.created", "shop.order.updated"]},
    "item": {"collection": "tasks", "put": "{{ data.id }}", "data": {"title": "{{ data.title }}"}},
}

COUNTS = Parameter(
    name="counts",
    schema={"type": "boolean"},
    help="Also return `waiting` (the number of deliveries waiting for the link) and, if the link has a timer, when its "
    "next run is due.",
)
NOUN = Noun(name="link", path="/v1/links/{name}", tag=TAG, view=LinkView)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.lists(
        list_links,
        LinkList,
        SORTS,
        at_sender=True,
        summary="List links",
        parameters=(
            Parameter(
                name="state",
                schema={"type": "string", "enum": ["enabled", "paused"]},
                help="Return only links in this state.",
            ),
            Parameter(name="tenant", schema={"type": "string"}, help="Return only links of this tenant."),
        ),
    ),
    NOUN.reads(get_link, at_sender=True, summary="Read a link", parameters=(COUNTS,)),
    NOUN.puts(
        put_link,
        at_sender=True,
        whole=True,
        summary="Declare a link, or replace its declaration",
        help=(
            "An edit takes effect with the next attempt, and no waiting delivery is lost. With `If-None-Match: *`, "
            "the call can only create a link; with `If-Match`, it can only replace an existing one."
        ),
        request=LinkBody,
        example=EXAMPLE,
    ),
    NOUN.deletes(
        delete_link, at_sender=True, whole=True, summary="Delete a link", help="Its waiting deliveries are cancelled."
    ),
    NOUN.does(
        "pause",
        pause_link,
        at_sender=True,
        whole=True,
        summary="Pause a link; new events wait until it is resumed",
        idempotent_key=True,
        parameters=(IF_MATCH,),
        request=LinkPause,
        request_optional=True,
        example={"reason": "the collection is being cleaned up"},
    ),
    NOUN.does(
        "resume",
        resume_link,
        at_sender=True,
        whole=True,
        summary="Resume a link that was paused",
        help="`missed` decides what happens to the waiting deliveries: `send` (the default) sends them, `cancel` "
        "cancels them. In the response, `waiting` is the number of these deliveries.",
        idempotent_key=True,
        parameters=(IF_MATCH,),
        request=LinkResume,
        request_optional=True,
        example={"missed": "send"},
    ),
    NOUN.does(
        "test",
        test_link,
        at_sender=True,
        whole=True,
        summary="Show the exact edit or call that a link would make for an event",
        help="Nothing is changed or sent. Send the `event_id` of a stored event, or a made-up `event`; a link with a "
        "timer needs neither.",
        request=LinkTest,
        response=LinkTestView,
        example={"event": {"type": "shop.order.created", "data": {"id": "o-1", "title": "Two chairs"}}},
    ),
    NOUN.does_to_all(
        "plan",
        plan_links,
        whole=True,
        summary="See what declarations of links would change",
        help="Nothing is changed. In the response, `refusals` lists the reasons why the plan cannot be applied, and "
        "`loses` lists what would be lost.",
        request=LinksBody,
        response=LinkPlan,
        large=True,
        example={"links": {"shop-update": EXAMPLE}},
    ),
    NOUN.does_to_all(
        "apply",
        apply_links,
        at_sender=True,
        whole=True,
        summary="Apply declarations of links, all or none",
        help="To apply exactly what an earlier plan showed, set `plan` to the name of that plan: the call is "
        "refused if anything has changed since then.",
        request=LinksApply,
        response=LinkPlan,
        large=True,
        idempotent_key=True,
        example={"links": {"shop-update": EXAMPLE}, "drop_waiting": False},
    ),
)
