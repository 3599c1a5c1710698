"""The operation that lists who changed what."""

from __future__ import annotations

import msgspec

from tidings.control.standing.acts import acts_page
from tidings.store.callers.acts import ActQuery
from tidings.views.standing.acts import ActView, act_view
from tidings.web.habits.paging import PAGING, Page, counted
from tidings.web.habits.shaping import sort_of
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts


class ActList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of acts."""

    data: list[ActView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def list_acts(parts: Parts, request: Request) -> Answer:
    """List acts, newest first by default."""
    page, given = Page.of(request, str), request.query
    is_counted = bool(given.get("count"))
    query = ActQuery(
        key=given.get("key"),
        operation=given.get("operation"),
        about=given.get("about"),
        since=given.get("time__gte"),
        until=given.get("time__lt"),
    )
    found = await acts_page(
        parts.readers,
        request.caller,
        query,
        after=page.after,
        limit=page.limit,
        oldest_first=not sort_of(request)[0].startswith("-"),
        count=is_counted,
    )
    total = counted(found.total) if is_counted else None
    return page.answer([act_view(act) for act in found.acts], found.acts[-1].id if found.more else None, total)


_TIME = {"type": "string", "format": "date-time"}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_acts",
        method="GET",
        path="/v1/acts",
        scope="acts:read",
        whole=True,
        summary="List who changed what, newest first",
        help=(
            "Every operation that changes something is recorded as an act, in the same transaction as the change, "
            "with the key, the time and the operation. If the operation changed the catalogue (endpoints, links, "
            "keys, tenants, hooks ...), the act also lists the members that changed, with their values before and "
            "after the change, as the API shows them (without secrets). Publishing events and changing items are "
            "not recorded as acts, because each event already records the API key that caused it. The setting "
            "`act_days` determines how long acts are kept."
        ),
        handler=list_acts,
        tag="Acts",
        response=ActList,
        sorts=("-created", "created", "-id", "id"),
        parameters=(
            Parameter(name="key", schema={"type": "string"}, help="Return only acts of the key with this id."),
            Parameter(
                name="operation", schema={"type": "string"}, help="Return only calls of this operation (`operationId`)."
            ),
            Parameter(
                name="about",
                schema={"type": "string"},
                help="Return only acts on the resource with this id or name, such as `ep_...`.",
            ),
            Parameter(name="time__gte", schema=_TIME, help="Return only acts recorded at this time or later."),
            Parameter(name="time__lt", schema=_TIME, help="Return only acts recorded before this time."),
            *PAGING,
        ),
    ),
)
