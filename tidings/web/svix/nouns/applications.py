"""Applications: our tenants."""

from __future__ import annotations

from msgspec import UNSET

from tidings.control.svix.applications import ApplicationChange, uid_of
from tidings.control.svix.notes import notes_of
from tidings.model import moment
from tidings.model.access import Tenant
from tidings.model.errors import Conflict
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts
from tidings.web.svix.paging import listed
from tidings.web.svix.rows import ORDER, PAGING, application, refuse_rate, row, uid_of_path
from tidings.web.svix.shapes import ApplicationIn, ApplicationOut, ApplicationPatch, ListResponse

TAG = "Application"
READ, WRITE = "tenants:read", "tenants:write"


def shown(tenant: Tenant) -> ApplicationOut:
    """An application."""
    uid = uid_of(tenant)
    return ApplicationOut(
        id=tenant.id,
        name=tenant.name,
        uid=UNSET if uid is None else uid,
        metadata=notes_of(tenant).get("metadata", {}),
        created_at=moment.to_text(tenant.created),
        updated_at=moment.to_text(tenant.updated),
    )


def _created(tenant: Tenant) -> Answer:
    return Answer(201, shown(tenant))


async def list_applications(parts: Parts, request: Request) -> Answer:
    """List applications."""
    found = parts.tenants.visible(request.caller)
    return listed(request, "applications", found, lambda each: [each.created, each.id], shown)


async def create(parts: Parts, request: Request) -> Answer:
    """Create an application."""
    given: ApplicationIn = request.body
    refuse_rate(given.throttle_rate, given.rate_limit)
    if request.query.get("get_if_exists") and given.uid is not None:
        there = parts.svix.applications.known(request.caller, given.uid)
        if there is not None:
            return Answer(200, shown(parts.tenants.find(request.caller, there.id)))
    run = run_once(parts, request, _created)
    return await parts.svix.applications.create(request.caller, given.name, given.uid, given.metadata or {}, run)


async def get(parts: Parts, request: Request) -> Answer:
    """Get an application by its id or uid."""
    return Answer(200, shown(parts.tenants.find(request.caller, application(parts, request).id)))


async def patch(parts: Parts, request: Request) -> Answer:
    """Change part of an application."""
    given: ApplicationPatch = request.body
    refuse_rate(given.throttle_rate, given.rate_limit)
    changed = ApplicationChange(name=given.name, uid=given.uid, metadata=given.metadata, former_id=given.former_id)
    return await _edited(parts, request, changed)


async def put(parts: Parts, request: Request) -> Answer:
    """Create an application, or replace it."""
    given: ApplicationIn = request.body
    refuse_rate(given.throttle_rate, given.rate_limit)
    caller, ident, metadata = request.caller, request.path["app_id"], given.metadata or {}
    if parts.svix.applications.known(caller, ident) is None:
        uid = uid_of_path(given.uid, ident)
        try:
            return _created(await parts.svix.applications.create(caller, given.name, uid, metadata, parts.writer.call))
        except Conflict:
            # Another request was first.
            application(parts, request)
    return await _edited(parts, request, ApplicationChange(name=given.name, metadata=metadata, uid=given.uid or UNSET))


async def delete(parts: Parts, request: Request) -> Answer:
    """Delete an application with its endpoints."""
    run = parts.writer.call
    await parts.svix.applications.delete(request.caller, request.path["app_id"], run, run)
    return Answer(204)


async def _edited(parts: Parts, request: Request, given: ApplicationChange) -> Answer:
    ident = request.path["app_id"]
    return Answer(200, shown(await parts.svix.applications.edit(request.caller, ident, given, parts.writer.call)))


_IF_EXISTS = Parameter(
    name="get_if_exists",
    schema={"type": "boolean"},
    help="If the application already exists, return it with status 200.",
)
ALL, ONE = "/app", "/app/{app_id}"
OPERATIONS: tuple[Operation, ...] = (
    row(
        "v1.application.list",
        "GET",
        ALL,
        READ,
        list_applications,
        tag=TAG,
        response=ListResponse[ApplicationOut],
        parameters=(*PAGING, ORDER),
    ),
    row(
        "v1.application.create",
        "POST",
        ALL,
        WRITE,
        create,
        tag=TAG,
        request=ApplicationIn,
        response=ApplicationOut,
        status=201,
        parameters=(_IF_EXISTS,),
    ),
    row("v1.application.get", "GET", ONE, READ, get, tag=TAG, response=ApplicationOut),
    row("v1.application.update", "PUT", ONE, WRITE, put, tag=TAG, request=ApplicationIn, response=ApplicationOut),
    row("v1.application.patch", "PATCH", ONE, WRITE, patch, tag=TAG, request=ApplicationPatch, response=ApplicationOut),
    row("v1.application.delete", "DELETE", ONE, WRITE, delete, tag=TAG, at_sender=True, status=204),
)
