"""The operations on receipts: list requests to hooks and forms, show which were refused and why, and let these in."""

from __future__ import annotations

import msgspec

from tidings.model.errors import Invalid, NotFound, TooLarge
from tidings.model.hook import Receipt
from tidings.rules import schemes
from tidings.store.receipts import FIRST, LAST, ReceiptQuery
from tidings.views.hooks import ReceiptSummary, ReceiptView, is_form, receipt_summary, receipt_view
from tidings.views.schemes import SchemeView, scheme_view
from tidings.web.habits.once import kept, run_once
from tidings.web.habits.paging import PAGING, Page, SortedPage, SortKey, counted
from tidings.web.habits.shaping import sort_of
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Hooks"


class ReceiptList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of receipts."""

    data: list[ReceiptSummary]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


class SchemeList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of signature schemes."""

    data: list[SchemeView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def list_receipts(parts: Parts, request: Request) -> Answer:
    """Requests to hooks and forms, newest first by default."""
    return await _list(parts, request, refused=False)


async def list_refusals(parts: Parts, request: Request) -> Answer:
    """Refused requests, newest first by default."""
    return await _list(parts, request, refused=True)


async def get_receipt(parts: Parts, request: Request) -> Answer:
    """Read one receipt."""
    receipt = await parts.hooks.receipt(request.caller, request.path["id"])
    verdict = await _explained(parts, receipt) if receipt.state == "refused" else None
    return Answer(200, receipt_view(parts.hooks.shown(receipt), verdict))


async def get_receipt_body(parts: Parts, request: Request) -> Answer:
    """The bytes of the body as received."""
    receipt = await parts.hooks.receipt(request.caller, request.path["id"])
    headers = [("content-disposition", "attachment")]
    return Answer(200, receipt.body, headers, "application/octet-stream")


async def retry_refusal(parts: Parts, request: Request) -> Answer:
    """Check a refused request again, as of its arrival, and let it in if it now passes."""
    receipt = await parts.hooks.receipt(request.caller, request.path["id"], "hooks:write")
    before = await kept(parts, request)
    if before is not None:
        return before

    def answer(let_in: Receipt) -> Answer:
        return Answer(200, receipt_view(parts.hooks.shown(let_in)))

    look = parts.forms.refused if is_form(receipt.hook) else parts.second_look
    return await look.let_in(receipt, request.request_id, run_once(parts, request, answer))


async def list_schemes(parts: Parts, request: Request) -> Answer:
    """The signature schemes that hooks can name."""
    page = SortedPage(request, schemes.schemes(), SCHEME_SORTS, lambda scheme: scheme.name)
    return page.answer([scheme_view(scheme) for scheme in page.shown])


SCHEME_SORTS: dict[str, SortKey] = {"name": lambda scheme: scheme.name, "title": lambda scheme: scheme.title}


async def _explained(parts: Parts, receipt: Receipt) -> schemes.Verdict | None:
    try:
        return await parts.second_look.explain(receipt)
    except (NotFound, TooLarge):
        return None


async def _list(parts: Parts, request: Request, *, refused: bool) -> Answer:
    page = Page.of(request, str)
    oldest_first = not sort_of(request)[0].startswith("-")
    hook, form = request.query.get("hook"), request.query.get("form")
    query = ReceiptQuery(
        tenant=request.query.get("tenant"),
        refused=refused,
        after=page.after if oldest_first and page.after is not None else FIRST,
        before=page.after if not oldest_first and page.after is not None else LAST,
        oldest_first=oldest_first,
    )
    if hook is not None and hook not in {each.id for each in parts.hooks.visible(request.caller)}:
        raise Invalid.of_parameter("hook", "not_found", f"There is no hook {hook[:100]}.")
    if form is not None:
        if hook is not None:
            raise Invalid.of_parameter("form", "not_together", "Send `hook` or `form`, not both.")
        if not parts.hooks.sees_form(request.caller, form):
            raise Invalid.of_parameter("form", "not_found", f"There is no form {form[:100]}.")
    is_counted = bool(request.query.get("count"))
    found = await parts.hooks.receipts(request.caller, query, page.limit, hook or form, count=is_counted)
    views = [receipt_summary(row) for row in found.rows]
    return page.answer(views, found.more, counted(found.total) if is_counted else None)


_FILTERS = (
    Parameter(name="hook", schema={"type": "string"}, help="Return only requests to the hook with this id."),
    Parameter(name="form", schema={"type": "string"}, help="Return only submissions of the form with this id."),
    Parameter(name="tenant", schema={"type": "string"}, help="Return only requests to this tenant's hooks and forms."),
    *PAGING,
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_receipts",
        method="GET",
        path="/v1/receipts",
        scope="hooks:read",
        summary="List requests to hooks and forms, newest first",
        handler=list_receipts,
        tag=TAG,
        response=ReceiptList,
        sorts=("-received", "received"),
        parameters=_FILTERS,
    ),
    Operation(
        name="get_receipt",
        method="GET",
        path="/v1/receipts/{id}",
        scope="hooks:read",
        summary="Read a receipt: a request as received, and the result",
        handler=get_receipt,
        tag=TAG,
        response=ReceiptView,
    ),
    Operation(
        name="get_receipt_body",
        method="GET",
        path="/v1/receipts/{id}/body",
        scope="hooks:read",
        summary="Read the body of a received request, byte for byte",
        handler=get_receipt_body,
        tag=TAG,
        response=bytes,
        media="application/octet-stream",
    ),
    Operation(
        name="list_refusals",
        method="GET",
        path="/v1/refusals",
        scope="hooks:read",
        summary="List the requests that hooks and forms refused, newest first",
        handler=list_refusals,
        tag=TAG,
        response=ReceiptList,
        sorts=("-received", "received"),
        parameters=_FILTERS,
    ),
    Operation(
        name="retry_refusal",
        method="POST",
        path="/v1/refusals/{id}:retry",
        scope="hooks:write",
        summary="Check a refused request again, and let it in if it passes",
        help=(
            "Use this after correcting the hook's secret, scheme or public URL. The request is checked with the "
            "hook's present settings, but its timestamp is compared with the time at which it arrived. If it passes, "
            "it becomes an event. For a form submission, only the values are checked, so that you can let in a person "
            "who was mistaken for a bot. If the request is refused again, the response is 409 and gives the reason."
        ),
        handler=retry_refusal,
        tag=TAG,
        response=ReceiptView,
        idempotent_key=True,
    ),
    Operation(
        name="list_schemes",
        method="GET",
        path="/v1/schemes",
        scope="hooks:read",
        summary="List the signature schemes that hooks can name",
        handler=list_schemes,
        tag=TAG,
        response=SchemeList,
        sorts=("name", "-name", "title", "-title"),
        sorts_max=2,
        parameters=PAGING,
    ),
)
