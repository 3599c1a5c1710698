"""The operations on tenants. An event or an endpoint may name a tenant that has no entry; an entry gives it a name."""

from __future__ import annotations

import msgspec

from tidings.control.tenants import NewTenant, TenantBody
from tidings.model.access import Tenant
from tidings.views.tenants import TenantView, tenant_view
from tidings.web.habits.edits import etag, merged, patch_of
from tidings.web.habits.given import agree
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import PAGING, SortedPage, SortKey
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, if_match, not_modified
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Tenants"


TenantPatch = patch_of(TenantBody, "TenantPatch", "A merge patch: omitted members stay, null clears a field.")


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
    page = SortedPage(request, parts.tenants.visible(request.caller), SORTS, lambda tenant: tenant.id)
    return page.answer([tenant_view(tenant) for tenant in page.shown])


async def create_tenant(parts: Parts, request: Request) -> Answer:
    """Add a tenant."""

    def answer(tenant: Tenant) -> Answer:
        return Answer(201, tenant_view(tenant), [("location", f"/v1/tenants/{tenant.id}"), etag(tenant.revision)])

    return await parts.tenants.create(request.caller, request.body, run_once(parts, request, answer))


async def get_tenant(parts: Parts, request: Request) -> Answer:
    """Read one tenant."""
    tenant = parts.tenants.find(request.caller, request.path["id"])
    if not_modified(request, tenant.revision):
        return Answer(304, None, [etag(tenant.revision)])
    return _shown(tenant)


async def edit_tenant(parts: Parts, request: Request) -> Answer:
    """Change a tenant's name."""

    def change(before: Tenant) -> TenantBody:
        agree(request, tenant_view(before))
        return merged({"name": before.name}, request, TenantBody)

    expected = if_match(request)
    return _shown(await parts.tenants.edit(request.caller, request.path["id"], expected, change, parts.writer.call))


async def delete_tenant(parts: Parts, request: Request) -> Answer:
    """Delete a tenant's entry, once it has neither endpoints nor keys; its events stay."""
    await parts.tenants.delete(request.caller, request.path["id"], if_match(request), parts.writer.call)
    return Answer(204)


def _shown(tenant: Tenant) -> Answer:
    return Answer(200, tenant_view(tenant), [etag(tenant.revision)])


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
