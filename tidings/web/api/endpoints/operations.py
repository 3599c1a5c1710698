"""The operations of endpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.endpoints.body import EndpointBody, NewEndpoint
from tidings.control.endpoints.endpoints import WRITE, Missed, Resumed
from tidings.model.event import Event
from tidings.model.link import Endpoint, Secret
from tidings.rules.network.address import URL_CHARS_MAX
from tidings.views.endpoints import (
    EndpointTrialView,
    EndpointView,
    SecretView,
    TestView,
    endpoint_view,
    secret_view,
    trial_view,
)
from tidings.web.api.endpoints.bodies import EndpointList, EndpointPatch, PauseBody, ResumeBody, RotateBody
from tidings.web.habits.edits import created, shown, unless_known
from tidings.web.habits.given import agree
from tidings.web.habits.once import kept, run_once
from tidings.web.habits.paging import PAGING, SortedPage, SortKey
from tidings.web.habits.revisions import IF_MATCH, if_match, not_modified
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts
from tidings.web.wire.bodies import body

TAG = "Endpoints"


SORTS: dict[str, SortKey] = {"created": lambda endpoint: endpoint.created, "id": lambda endpoint: endpoint.id}


async def create_endpoint(parts: Parts, request: Request) -> Answer:
    """Register a URL."""

    def answer(endpoint: Endpoint) -> Answer:
        return created(endpoint_view(endpoint), endpoint.revision, f"/v1/endpoints/{endpoint.id}")

    return await parts.endpoints.create(request.caller, request.body, run_once(parts, request, answer))


async def list_endpoints(parts: Parts, request: Request) -> Answer:
    """List endpoints, newest first by default."""
    asked = [request.query.get(name) for name in ("tenant", "state", "url")]
    found = parts.endpoints.visible(request.caller, *asked)
    page = SortedPage(request, found, SORTS, lambda endpoint: endpoint.num)
    counts: dict[int, int] = {}
    if request.query.get("counts"):
        counts = await parts.endpoints.waiting(request.caller, page.shown)
    lanes = parts.deliver.snapshot()
    views = [endpoint_view(each, lanes.get(each.num), counts.get(each.num, msgspec.UNSET)) for each in page.shown]
    return page.answer(views)


async def get_endpoint(parts: Parts, request: Request) -> Answer:
    """Read one endpoint."""
    endpoint = parts.endpoints.find(request.caller, request.path["id"])
    waiting: int | msgspec.UnsetType = msgspec.UNSET
    if request.query.get("counts") and not not_modified(request, endpoint.revision):
        waiting = (await parts.endpoints.waiting(request.caller, [endpoint]))[endpoint.num]
    return unless_known(request, _view(parts, endpoint, waiting), endpoint.revision)


async def edit_endpoint(parts: Parts, request: Request) -> Answer:
    """Change some fields; takes effect with the next attempt."""

    def read(document: Any) -> EndpointBody:
        return body.read(msgspec.json.encode(document), EndpointBody)[0]

    def expected_of(endpoint: Endpoint) -> set[int] | None:
        agree(request, endpoint_view(endpoint))
        expected = if_match(request)
        if "revision" in request.given:
            # The other members that were sent back agree with this revision.
            expected = {endpoint.revision} if expected is None else expected & {endpoint.revision}
        return expected

    edited: Endpoint = await parts.endpoints.edit(
        request.caller, request.path["id"], request.value, read, expected_of, parts.writer.call
    )
    return _shown(parts, edited)


async def delete_endpoint(parts: Parts, request: Request) -> Answer:
    """Delete an endpoint; its waiting deliveries are cancelled."""
    await parts.endpoints.delete(request.caller, request.path["id"], if_match(request), parts.writer.call)
    return Answer(204)


async def pause_endpoint(parts: Parts, request: Request) -> Answer:
    """Send nothing for now; deliveries wait in the meantime."""
    reason = None if request.body is None else request.body.reason

    def answer(endpoint: Endpoint) -> Answer:
        return _shown(parts, endpoint)

    run = run_once(parts, request, answer)
    return await parts.endpoints.pause(request.caller, request.path["id"], reason, if_match(request), run)


async def resume_endpoint(parts: Parts, request: Request) -> Answer:
    """Send again, with the missed deliveries or without them."""
    ident = parts.endpoints.find(request.caller, request.path["id"], WRITE).id
    known = await kept(parts, request)
    if known is not None:
        return known

    def answer(resumed: Resumed) -> Answer:
        return _shown(parts, resumed.endpoint, resumed.waiting)

    missed: Missed = "send" if request.body is None else request.body.missed
    run = run_once(parts, request, answer)
    return await parts.endpoints.resume(request.caller, ident, missed, if_match(request), run)


async def test_endpoint(parts: Parts, request: Request) -> Answer:
    """Send a test event to this endpoint only."""
    ident = request.path["id"]

    def sent(event: Event) -> Answer:
        return Answer(202, TestView(event_id=event.id, delivery=None))

    answer = await parts.endpoints.test(request.caller, ident, run_once(parts, request, sent))
    told = answer.body
    if isinstance(told, bytes):
        told = msgspec.json.decode(told, type=TestView)
    made = await parts.endpoints.tested(request.caller, ident, told.event_id)
    return Answer(202, TestView(event_id=told.event_id, delivery=made), answer.headers)


async def try_endpoint(parts: Parts, request: Request) -> Answer:
    """Send a test event to an endpoint that is not registered."""
    return Answer(200, trial_view(await parts.endpoints.try_out(request.caller, request.body)))


async def get_secret(parts: Parts, request: Request) -> Answer:
    """Read the signing secret of an endpoint."""
    return _secret(parts.endpoints.secrets(request.caller, request.path["id"]))


async def rotate_secret(parts: Parts, request: Request) -> Answer:
    """Rotate the signing secret of an endpoint; the previous one also signs until the overlap ends."""
    given: RotateBody = request.body or RotateBody()
    run = run_once(parts, request, _secret)
    return await parts.endpoints.rotate(
        request.caller, request.path["id"], given.secret, given.overlap_seconds, if_match(request), run
    )


def _view(parts: Parts, endpoint: Endpoint, waiting: int | msgspec.UnsetType = msgspec.UNSET) -> EndpointView:
    return endpoint_view(endpoint, parts.deliver.lane(endpoint.num), waiting)


def _shown(parts: Parts, endpoint: Endpoint, waiting: int | msgspec.UnsetType = msgspec.UNSET) -> Answer:
    return shown(_view(parts, endpoint, waiting), endpoint.revision)


def _secret(secrets: list[Secret]) -> Answer:
    return Answer(200, secret_view(secrets))


# --- the menu --------------------------------------------------------------------------------------------------------

COUNTS = Parameter(
    name="counts",
    schema={"type": "boolean"},
    help="Also return `waiting`, the number of deliveries waiting for the endpoint.",
)

NOUN = Noun(name="endpoint", path="/v1/endpoints/{id}", tag=TAG, view=EndpointView)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.creates(
        create_endpoint,
        summary="Register a URL that gets events as webhooks",
        help="Only `url` is required. A signing secret is generated unless you send your own; read it at "
        "`/v1/endpoints/{id}/secret`.",
        request=NewEndpoint,
        example={"url": "https://example.com/hooks", "events": ["tasks.*"]},
    ),
    Operation(
        name="list_endpoints",
        at_sender=True,
        method="GET",
        path="/v1/endpoints",
        scope="endpoints:read",
        summary="List endpoints, newest first",
        sorts=("-created", "created", "-id", "id"),
        sorts_max=2,
        handler=list_endpoints,
        tag=TAG,
        response=EndpointList,
        parameters=(
            Parameter(
                name="state",
                schema={"type": "string", "enum": ["enabled", "paused", "disabled"]},
                help="Return only endpoints in this state.",
            ),
            Parameter(name="tenant", schema={"type": "string"}, help="Return only endpoints of this tenant."),
            Parameter(
                name="url",
                schema={"type": "string", "maxLength": URL_CHARS_MAX},
                help=("Return only endpoints with exactly this URL."),
            ),
            COUNTS,
            *PAGING,
        ),
    ),
    NOUN.reads(get_endpoint, at_sender=True, summary="Read an endpoint, with its health", parameters=(COUNTS,)),
    NOUN.edits(
        edit_endpoint,
        at_sender=True,
        summary="Change an endpoint",
        help="The body is a merge patch (RFC 7396): omitted members keep their values, and null resets a member to "
        "its default. The change takes effect with the next attempt, even for deliveries that are already waiting. "
        'In `headers`, `"***"` keeps the stored value. Send `ca` and `client_certificate` in PEM format; responses '
        "show their subject, fingerprint and expiry date.",
        request=EndpointPatch,
        masked=("ca", "client_certificate"),
        example={"rate": 20, "filter": None},
    ),
    NOUN.deletes(delete_endpoint, at_sender=True, summary="Delete an endpoint and cancel its waiting deliveries"),
    NOUN.does(
        "pause",
        pause_endpoint,
        at_sender=True,
        summary="Pause an endpoint; new events wait until it is resumed",
        idempotent_key=True,
        parameters=(IF_MATCH,),
        request=PauseBody,
        request_optional=True,
        example={"reason": "maintenance until noon"},
    ),
    NOUN.does(
        "resume",
        resume_endpoint,
        at_sender=True,
        summary="Resume an endpoint that was paused or disabled",
        help="`missed` decides what happens to the waiting deliveries: `send` (the default) sends them now, "
        "including those waiting for a retry, and `cancel` cancels them. In the response, `waiting` is the number of "
        "these deliveries.",
        idempotent_key=True,
        parameters=(IF_MATCH,),
        request=ResumeBody,
        request_optional=True,
        example={"missed": "send"},
    ),
    NOUN.does(
        "test",
        test_endpoint,
        at_sender=True,
        summary="Send an event of type endpoint.test to this endpoint only",
        idempotent_key=True,
        response=TestView,
        status=202,
    ),
    Operation(
        name="try_endpoint",
        at_sender=True,
        method="POST",
        path="/v1/endpoints:try",
        scope="endpoints:write",
        handler=try_endpoint,
        tag=TAG,
        summary="Send a test event to an endpoint before it is registered",
        help="Nothing is stored. The body is checked as it would be for a registration. Then one event of type "
        "`endpoint.test` is sent to the `url` in the body, signed with the `secret` in the body or with a generated "
        "one. The response shows how the endpoint responded.",
        request=NewEndpoint,
        response=EndpointTrialView,
        example={"url": "https://example.com/hooks"},
    ),
    Operation(
        name="get_endpoint_secret",
        method="GET",
        path="/v1/endpoints/{id}/secret",
        scope="endpoints:write",
        summary="Read the signing secret of an endpoint",
        help="This call requires the scope `endpoints:write`, because anyone who has the secret can sign as this "
        "server.",
        handler=get_secret,
        tag=TAG,
        response=SecretView,
    ),
    Operation(
        name="rotate_endpoint_secret",
        at_sender=True,
        method="POST",
        path="/v1/endpoints/{id}/secret",
        scope="endpoints:write",
        summary="Rotate the signing secret of an endpoint",
        help=(
            "For `overlap_seconds` (0 to 604800; the default is 86400), webhooks are signed with both the new and "
            "the previous secret, so that the receiver can switch at any time in this period. The new secret is "
            "generated unless you send your own as `secret`."
        ),
        handler=rotate_secret,
        tag=TAG,
        parameters=(IF_MATCH,),
        request=RotateBody,
        request_optional=True,
        response=SecretView,
        idempotent_key=True,
        secret=True,
        example={"overlap_seconds": 86400},
    ),
)
