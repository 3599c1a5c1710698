"""The operations on tenants. An event or an endpoint may name a tenant that has no entry; an entry gives it a name."""

from __future__ import annotations

import msgspec

from tidings.model import moment
from tidings.model.access import TENANT_RULE, Tenant, is_tenant
from tidings.model.errors import Conflict, Invalid, NotFound
from tidings.store.base import Db
from tidings.web.habits.edits import check_revision, etag, merged, only_operators
from tidings.web.habits.given import agree
from tidings.web.habits.once import once
from tidings.web.habits.paging import PAGING, SortKey, sorted_page
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, not_modified
from tidings.web.openapi.bounds import NAME_CHARS_MAX
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Tenants"
WHAT = "Tenants"


class NewTenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant: its id as events and endpoints name it, and a name for people."""

    id: str
    name: str = ""


class TenantBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be changed of a tenant."""

    name: str = ""


class TenantPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch: what is left out stays, null empties a field."""

    name: str | msgspec.UnsetType | None = msgspec.UNSET


class TenantView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the operator's customers."""

    id: str
    name: str
    revision: int
    created: str
    updated: str


class TenantList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tenants, by id."""

    data: list[TenantView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


SORTS: dict[str, SortKey] = {
    "id": lambda tenant: tenant.id,
    "name": lambda tenant: tenant.name,
    "created": lambda tenant: tenant.created,
}


async def list_tenants(parts: Parts, request: Request) -> Answer:
    """Tenants, by id by default; a key with a tenant sees its own."""
    tenants = [tenant for tenant in parts.catalog.now.tenants.values() if request.key.tenant in (None, tenant.id)]
    shown, answer = sorted_page(request, tenants, SORTS, lambda tenant: tenant.id)
    return answer([_view(tenant) for tenant in shown])


async def create_tenant(parts: Parts, request: Request) -> Answer:
    """Add a tenant."""
    only_operators(request, WHAT)
    new: NewTenant = request.body
    if not is_tenant(new.id):
        raise Invalid.at("/id", "tenant", TENANT_RULE)
    _check_name(new.name)
    now = parts.clock.now()
    tenant = Tenant(id=new.id, name=new.name, created=now, updated=now)

    def job(db: Db) -> Answer:
        if _present(db, tenant.id) is not None:
            raise Conflict(f"There is a tenant {tenant.id} already.")
        parts.catalog.put_tenant(db, tenant)
        return Answer(201, _view(tenant), [("location", f"/v1/tenants/{tenant.id}"), etag(tenant.revision)])

    return await once(parts, request, job)


async def get_tenant(parts: Parts, request: Request) -> Answer:
    """Read one tenant."""
    tenant = _found(parts, request)
    if not_modified(request, tenant.revision):
        return Answer(304, None, [etag(tenant.revision)])
    return Answer(200, _view(tenant), [etag(tenant.revision)])


async def edit_tenant(parts: Parts, request: Request) -> Answer:
    """Change a tenant's name."""
    only_operators(request, WHAT)
    _found(parts, request)
    now = parts.clock.now()

    def job(db: Db) -> Answer:
        before = _present(db, request.path["id"])
        if before is None:
            raise _absent(request)
        check_revision(request, before.revision)
        agree(request, _view(before))
        name = merged({"name": before.name}, request, TenantBody).name
        _check_name(name)
        tenant = msgspec.structs.replace(before, name=name, revision=before.revision + 1, updated=now)
        parts.catalog.put_tenant(db, tenant)
        return Answer(200, _view(tenant), [etag(tenant.revision)])

    answer: Answer = await parts.writer.call(job)
    return answer


async def delete_tenant(parts: Parts, request: Request) -> Answer:
    """Delete a tenant's entry, once it has neither endpoints nor keys; its events stay."""
    only_operators(request, WHAT)
    _found(parts, request)

    def job(db: Db) -> Answer:
        before = _present(db, request.path["id"])
        if before is None:
            raise _absent(request)
        check_revision(request, before.revision)
        endpoints = int((db.one("tenant_endpoints", tenant=before.id) or (0,))[0])
        keys = int((db.one("tenant_keys", tenant=before.id) or (0,))[0])
        if endpoints or keys:
            raise Conflict(f"The tenant still has {endpoints} endpoints and {keys} keys. Delete them first.")
        parts.catalog.drop_tenant(db, before.id)
        return Answer(204)

    answer: Answer = await parts.writer.call(job)
    return answer


def _found(parts: Parts, request: Request) -> Tenant:
    tenant = parts.catalog.now.tenants.get(request.path["id"])
    if tenant is None or request.key.tenant not in (None, tenant.id):
        raise _absent(request)
    return tenant


def _absent(request: Request) -> NotFound:
    return NotFound(f"There is no tenant {request.path['id'][:64]}.")


def _present(db: Db, ident: str) -> Tenant | None:
    row = db.one("tenant_of", id=ident)
    return None if row is None else Tenant(**dict(zip(Tenant.__struct_fields__, row, strict=True)))


def _check_name(name: str) -> None:
    if len(name) > NAME_CHARS_MAX:
        detail = f"A name has at most {NAME_CHARS_MAX} characters."
        raise Invalid.at("/name", "too_long", detail)


def _view(tenant: Tenant) -> TenantView:
    return TenantView(
        id=tenant.id,
        name=tenant.name,
        revision=tenant.revision,
        created=moment.to_text(tenant.created),
        updated=moment.to_text(tenant.updated),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_tenants",
        method="GET",
        path="/v1/tenants",
        scope="tenants:read",
        summary="List tenants",
        handler=list_tenants,
        tag=TAG,
        response=TenantList,
        sorts=("id", "-id", "name", "-name", "created", "-created"),
        sorts_max=3,
        parameters=PAGING,
    ),
    Operation(
        name="create_tenant",
        method="POST",
        path="/v1/tenants",
        scope="tenants:write",
        summary="Add a tenant",
        handler=create_tenant,
        tag=TAG,
        request=NewTenant,
        response=TenantView,
        status=201,
        idempotent_key=True,
        example={"id": "acme", "name": "Acme Ltd"},
    ),
    Operation(
        name="get_tenant",
        method="GET",
        path="/v1/tenants/{id}",
        scope="tenants:read",
        summary="Read a tenant",
        handler=get_tenant,
        tag=TAG,
        response=TenantView,
        parameters=(IF_NONE_MATCH,),
    ),
    Operation(
        name="edit_tenant",
        method="PATCH",
        path="/v1/tenants/{id}",
        scope="tenants:write",
        summary="Change a tenant",
        handler=edit_tenant,
        tag=TAG,
        request=TenantPatch,
        merge_patch=True,
        response=TenantView,
        parameters=(IF_MATCH,),
        example={"name": "Acme Limited"},
    ),
    Operation(
        name="delete_tenant",
        method="DELETE",
        path="/v1/tenants/{id}",
        scope="tenants:write",
        summary="Delete a tenant",
        help="Refused with 409 while it has endpoints or keys. Its events stay.",
        handler=delete_tenant,
        tag=TAG,
        status=204,
        parameters=(IF_MATCH,),
    ),
)
