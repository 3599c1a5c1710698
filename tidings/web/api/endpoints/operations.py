"""The operations of endpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.endpoints.body import EndpointBody, NewEndpoint
from tidings.control.endpoints.edit import valid_secrets
from tidings.model.access import EVERYTHING
from tidings.model.errors import NotFound
from tidings.model.link import Endpoint
from tidings.rules.network.address import URL_CHARS_MAX
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import standard as sign
from tidings.store.base import Db
from tidings.store.log import lists
from tidings.web.api.endpoints.views import (
    EndpointList,
    EndpointPatch,
    EndpointView,
    OldSecret,
    PauseBody,
    ResumeBody,
    RotateBody,
    SecretView,
    TestView,
    endpoint_view,
    time_text,
)
from tidings.web.habits.edits import check_revision, etag
from tidings.web.habits.given import agree
from tidings.web.habits.once import kept, once
from tidings.web.habits.paging import PAGING, SortKey, sorted_page
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, if_match, not_modified
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts
from tidings.web.wire.bodies import body

TAG = "Endpoints"


SORTS: dict[str, SortKey] = {"created": lambda endpoint: endpoint.created, "id": lambda endpoint: endpoint.id}


async def create_endpoint(parts: Parts, request: Request) -> Answer:
    """Register a URL."""
    form: NewEndpoint = request.body
    if request.key.tenant is not None:
        form = _for_tenant(form, request.key.tenant)
    operator = request.key.tenant is None and request.key.has_scope(EVERYTHING)
    job = await parts.endpoints.create(form, operator=operator, caller=request.key.tenant)

    def store(db: Db) -> Answer:
        endpoint = job(db)
        headers = [("location", f"/v1/endpoints/{endpoint.id}"), etag(endpoint.revision)]
        return Answer(201, endpoint_view(endpoint), headers)

    return await once(parts, request, store)


async def list_endpoints(parts: Parts, request: Request) -> Answer:
    """List endpoints, newest first by default."""
    tenant = request.key.tenant or request.query.get("tenant")
    state, url = request.query.get("state"), request.query.get("url")
    found = [
        endpoint
        for endpoint in parts.catalog.now.endpoints_by_id.values()
        if (tenant is None or endpoint.tenant == tenant)
        and (state is None or endpoint.mode == state)
        and (url is None or endpoint.options.url == url)
    ]
    shown, answer = sorted_page(request, found, SORTS, lambda endpoint: endpoint.num)
    counts: dict[int, int] = {}
    if request.query.get("counts"):
        counts = await parts.readers.call(
            lambda db: {each.num: lists.waiting_count(db, each.num) for each in shown}, request.key.tenant
        )
    lanes = parts.deliver.snapshot()
    views = [endpoint_view(each, lanes.get(each.num), counts.get(each.num, msgspec.UNSET)) for each in shown]
    return answer(views)


async def get_endpoint(parts: Parts, request: Request) -> Answer:
    """Read one endpoint."""
    endpoint = visible(parts, request)
    if not_modified(request, endpoint.revision):
        return Answer(304, None, [etag(endpoint.revision)])
    waiting: int | msgspec.UnsetType = msgspec.UNSET
    if request.query.get("counts"):
        waiting = await parts.readers.call(lambda db: lists.waiting_count(db, endpoint.num), request.key.tenant)
    return _shown(parts, endpoint, waiting)


async def edit_endpoint(parts: Parts, request: Request) -> Answer:
    """Change some fields; holds from the next attempt on."""
    endpoint = visible(parts, request)

    def read(document: Any) -> EndpointBody:
        return body.read(msgspec.json.encode(document), EndpointBody)[0]

    agree(request, endpoint_view(endpoint))
    expected = if_match(request)
    if "revision" in request.given:
        # What else was given back agrees with this revision.
        expected = {endpoint.revision} if expected is None else expected & {endpoint.revision}
    job = await parts.endpoints.edit(endpoint, request.value, read, expected, caller=request.key.tenant)
    return _shown(parts, await parts.writer.call(job))


async def delete_endpoint(parts: Parts, request: Request) -> Answer:
    """Forget an endpoint; what waits for it is cancelled."""
    endpoint = visible(parts, request)
    deleted: Endpoint = await parts.writer.call(parts.endpoints.delete(endpoint, if_match(request)))
    parts.endpoints.cancelling.sweep(deleted)
    return Answer(204)


async def pause_endpoint(parts: Parts, request: Request) -> Answer:
    """Send nothing for now; what happens meanwhile waits."""
    endpoint = visible(parts, request)
    reason = None if request.body is None else request.body.reason
    job = parts.endpoints.pause(endpoint, reason, if_match(request))
    return await once(parts, request, lambda db: _shown(parts, job(db)))


async def resume_endpoint(parts: Parts, request: Request) -> Answer:
    """Send again, what was missed first, or without it."""
    endpoint = visible(parts, request)
    known = await kept(parts, request)
    if known is not None:
        return known
    expected = if_match(request)
    check_revision(request, endpoint.revision)
    missed = "send" if request.body is None else request.body.missed
    waiting = await parts.readers.call(lambda db: lists.waiting_count(db, endpoint.num), request.key.tenant)
    if missed == "cancel":
        waiting = await parts.endpoints.cancelling.cancel_waiting(endpoint)
    job = parts.endpoints.resume(endpoint, expected)
    answer = await once(parts, request, lambda db: _shown(parts, job(db), waiting))
    parts.deliver.notice(endpoint.num, resumed=True)
    return answer


async def test_endpoint(parts: Parts, request: Request) -> Answer:
    """Send a test event to this endpoint alone."""
    endpoint = visible(parts, request)
    job = parts.endpoints.test(endpoint, request.request_id)
    answer = await once(parts, request, lambda db: Answer(202, TestView(event_id=job(db).id, delivery=None)))
    told = answer.body
    if isinstance(told, bytes):
        told = msgspec.json.decode(told, type=TestView)
    # The delivery is made after this job, in the same transaction.
    row = await parts.readers.call(
        lambda db: db.one("delivery_of_event", id=told.event_id, link=endpoint.num), request.key.tenant
    )
    made = None if row is None else parts.delivery_ids.of(row[0], row[1])
    return Answer(202, TestView(event_id=told.event_id, delivery=made), answer.headers)


async def get_secret(parts: Parts, request: Request) -> Answer:
    """Read the signing secret."""
    return _secret(visible(parts, request), parts.clock.now())


async def rotate_secret(parts: Parts, request: Request) -> Answer:
    """Sign with a new secret, and with the one before until the overlap is over."""
    endpoint = visible(parts, request)
    given: RotateBody = request.body or RotateBody()
    job = parts.endpoints.rotate(endpoint, given.secret, given.overlap_seconds, if_match(request))
    return await once(parts, request, lambda db: _secret(job(db), parts.clock.now()))


def visible(parts: Parts, request: Request) -> Endpoint:
    """The endpoint that the path names. Raises NotFound, also where it is another tenant's."""
    endpoint = parts.catalog.now.endpoints_by_id.get(request.path["id"])
    if endpoint is None or (request.key.tenant is not None and endpoint.tenant != request.key.tenant):
        raise NotFound(f"There is no endpoint {request.path['id'][:100]}.")
    return endpoint


def _shown(parts: Parts, endpoint: Endpoint, waiting: int | msgspec.UnsetType = msgspec.UNSET) -> Answer:
    lane = parts.deliver.lane(endpoint.num)
    return Answer(200, endpoint_view(endpoint, lane, waiting), [etag(endpoint.revision)])


def _secret(endpoint: Endpoint, now: int) -> Answer:
    newest, *older = valid_secrets(endpoint, now)
    previous = [OldSecret(secret=each.text, expires=time_text(each.expires)) for each in older]
    public = sign.public_key(newest.text) if newest.text.startswith(sign.SIGNING_KEY) else None
    return Answer(200, SecretView(secret=newest.text, previous=previous, public_key=public))


def _for_tenant(form: NewEndpoint, tenant: str) -> NewEndpoint:
    if form.tenant not in (None, tenant):
        raise Refused("/tenant", "not_permitted", f"This key belongs to the tenant {tenant}; leave tenant out.")
    return msgspec.structs.replace(form, tenant=tenant)


# --- the menu --------------------------------------------------------------------------------------------------------

COUNTS = Parameter(
    name="counts",
    schema={"type": "boolean"},
    help="Also answer `waiting`, how many deliveries wait; that is counted for each endpoint.",
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_endpoint",
        method="POST",
        path="/v1/endpoints",
        scope="endpoints:write",
        summary="Register a URL that gets events as webhooks",
        help="Only `url` is needed. The signing secret is made here; read it at `/v1/endpoints/{id}/secret`.",
        handler=create_endpoint,
        tag=TAG,
        request=NewEndpoint,
        response=EndpointView,
        status=201,
        idempotent_key=True,
        example={"url": "https://example.com/hooks", "events": ["tasks.*"]},
    ),
    Operation(
        name="list_endpoints",
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
                help="Only those in this state.",
            ),
            Parameter(name="tenant", schema={"type": "string"}, help="Only those of this tenant."),
            Parameter(
                name="url", schema={"type": "string", "maxLength": URL_CHARS_MAX}, help="Only those with this very URL."
            ),
            COUNTS,
            *PAGING,
        ),
    ),
    Operation(
        name="get_endpoint",
        method="GET",
        path="/v1/endpoints/{id}",
        scope="endpoints:read",
        summary="Read an endpoint, with its health",
        handler=get_endpoint,
        tag=TAG,
        response=EndpointView,
        parameters=(COUNTS, IF_NONE_MATCH),
    ),
    Operation(
        name="edit_endpoint",
        method="PATCH",
        path="/v1/endpoints/{id}",
        scope="endpoints:write",
        summary="Change an endpoint",
        help=(
            "A merge patch (RFC 7396): what is left out stays, null puts a field back to its default. It holds from "
            'the next attempt on, also for what waits. In `headers`, `"***"` keeps the value that is stored. '
            "`ca` and `client_certificate` are sent as PEM and shown as subject, fingerprint and day of expiry."
        ),
        handler=edit_endpoint,
        tag=TAG,
        request=EndpointPatch,
        response=EndpointView,
        parameters=(IF_MATCH,),
        masked=("ca", "client_certificate"),
        merge_patch=True,
        example={"rate": 20, "filter": None},
    ),
    Operation(
        name="delete_endpoint",
        method="DELETE",
        path="/v1/endpoints/{id}",
        scope="endpoints:write",
        summary="Delete an endpoint; what waits for it is cancelled",
        handler=delete_endpoint,
        tag=TAG,
        status=204,
        parameters=(IF_MATCH,),
    ),
    Operation(
        name="pause_endpoint",
        method="POST",
        path="/v1/endpoints/{id}:pause",
        scope="endpoints:write",
        summary="Send nothing until it is resumed; what happens meanwhile waits",
        handler=pause_endpoint,
        tag=TAG,
        idempotent_key=True,
        parameters=(IF_MATCH,),
        request=PauseBody,
        request_optional=True,
        response=EndpointView,
        example={"reason": "maintenance until noon"},
    ),
    Operation(
        name="resume_endpoint",
        method="POST",
        path="/v1/endpoints/{id}:resume",
        scope="endpoints:write",
        summary="Send again after a pause or after it was disabled",
        help=(
            "`missed` says what becomes of all that waited: `send` it (as normal), or `cancel` it. "
            "`waiting` in the answer says how many they were."
        ),
        handler=resume_endpoint,
        tag=TAG,
        idempotent_key=True,
        parameters=(IF_MATCH,),
        request=ResumeBody,
        request_optional=True,
        response=EndpointView,
        example={"missed": "send"},
    ),
    Operation(
        name="test_endpoint",
        method="POST",
        path="/v1/endpoints/{id}:test",
        scope="endpoints:write",
        summary="Send an event of type endpoint.test to this endpoint alone",
        handler=test_endpoint,
        tag=TAG,
        idempotent_key=True,
        response=TestView,
        status=202,
    ),
    Operation(
        name="get_endpoint_secret",
        method="GET",
        path="/v1/endpoints/{id}/secret",
        scope="endpoints:write",
        summary="Read the signing secret",
        help="It needs the scope to write, because whoever has it can sign as this server.",
        handler=get_secret,
        tag=TAG,
        response=SecretView,
    ),
    Operation(
        name="rotate_endpoint_secret",
        method="POST",
        path="/v1/endpoints/{id}/secret",
        scope="endpoints:write",
        summary="Sign with a new secret",
        help=(
            "The secret before signs beside the new one for `overlap_seconds` (0 to 604800, by default 86400), so "
            "that a receiver can change over in its own time. The new one is made here unless `secret` brings one."
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
