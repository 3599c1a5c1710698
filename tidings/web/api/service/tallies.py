"""The operations on tallies: the results of attempts, minute by minute or hour by hour, and how each link is doing."""

from __future__ import annotations

import msgspec

from tidings.views.standing.tallies import LinkTally, TallyReport, link_tally, tally_report
from tidings.web.habits.paging import PAGING, SortedPage
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Tallies"


class LinkTallyList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of endpoints and links, with how they are doing."""

    data: list[LinkTally]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def get_tallies(parts: Parts, request: Request) -> Answer:
    """A series, with its totals and the reasons for failures."""
    given = request.query
    step = given.get("step", "minute")
    series = await parts.tallies.series(
        request.caller,
        step,
        since=given.get("time__gte"),
        until=given.get("time__lt"),
        endpoint=given.get("endpoint"),
        link=given.get("link"),
        tenant=given.get("tenant"),
    )
    return Answer(200, tally_report(series, step, parts.catalog.now, parts.delivery_ids))


async def list_link_tallies(parts: Parts, request: Request) -> Answer:
    """How each link is doing."""
    given = request.query
    links = parts.tallies.links(
        request.caller, endpoint=given.get("endpoint"), link=given.get("link"), tenant=given.get("tenant")
    )
    page = SortedPage(request, links, {"created": lambda each: each.num}, lambda each: each.num)
    lanes, now = parts.deliver.snapshot(), parts.clock.now()
    standings = await parts.tallies.standings(request.caller, page.shown)
    return page.answer([link_tally(each, lanes, now) for each in standings])


_TIME = {"type": "string", "format": "date-time"}
_WHOSE = (
    Parameter(name="endpoint", schema={"type": "string"}, help="Count only attempts to the endpoint with this id."),
    Parameter(name="link", schema={"type": "string"}, help="Count only attempts of the link with this name or id."),
    Parameter(
        name="tenant", schema={"type": "string"}, help="Count only attempts of this tenant's endpoints and links."
    ),
)
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="get_tallies",
        method="GET",
        path="/v1/tallies",
        scope="deliveries:read",
        summary="Show the results of attempts, minute by minute or hour by hour",
        help=(
            "The response has what charts need: the attempts of each minute or hour, counted by result, with their "
            "durations in buckets; the success rate and the mean, p50 and p95 duration of the whole range; and the "
            "most frequent reasons for failures, each with an example. Counts are stored every five seconds. Counts "
            "by minute are kept for 26 hours, counts by hour for 90 days. Without a filter, the series covers all "
            "endpoints and links, and also has the number of accepted events."
        ),
        handler=get_tallies,
        tag=TAG,
        response=TallyReport,
        parameters=(
            Parameter(
                name="step",
                schema={"type": "string", "enum": ["minute", "hour"], "default": "minute"},
                help="The length of each step of the series.",
            ),
            *_WHOSE,
            Parameter(
                name="time__gte",
                schema=_TIME,
                help="The start of the range. The default is an hour ago with `step=minute`, and a day ago with "
                "`step=hour`.",
            ),
            Parameter(name="time__lt", schema=_TIME, help="The end of the range. The default is now."),
        ),
    ),
    Operation(
        name="list_link_tallies",
        at_sender=True,
        method="GET",
        path="/v1/tallies:links",
        scope="deliveries:read",
        summary="Show how each endpoint and link did in the last 24 hours, and how many deliveries are waiting for it",
        help=(
            "For each endpoint and link, the response contains the success rate and attempt durations over the last "
            "24 hours, a summary of each hour, the number of waiting deliveries (counted up to 1,000), and how long "
            "the oldest one has been waiting."
        ),
        handler=list_link_tallies,
        tag=TAG,
        response=LinkTallyList,
        sorts=("created", "-created"),
        parameters=(*_WHOSE, *PAGING),
    ),
)
