"""The operations on tenants. Events and endpoints can name a tenant that has no entry; an entry gives the tenant a
name."""

from __future__ import annotations

import msgspec

from tidings.control.tenants import NewTenant, TenantBody
from tidings.model.access import Tenant
from tidings.views.tenants import TenantView, tenant_view
from tidings.web.habits.edits import created, merged, patch_of, shown, unless_known
from tidings.web.habits.given import agree
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import SortedPage, SortKey
from tidings.web.habits.revisions import if_match
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Tenants"


TenantPatch = patch_of(
    TenantBody, "TenantPatch", "A merge patch: omitted members keep their values, and null clears a member."
)


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
        return created(tenant_view(tenant), tenant.revision, f"/v1/tenants/{tenant.id}")

    return await parts.tenants.create(request.caller, request.body, run_once(parts, request, answer))


async def get_tenant(parts: Parts, request: Request) -> Answer:
    """Read one tenant."""
    tenant = parts.tenants.find(request.caller, request.path["id"])
    return unless_known(request, tenant_view(tenant), tenant.revision)


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
    return shown(tenant_view(tenant), tenant.revision)


NOUN = Noun(name="tenant", path="/v1/tenants/{id}", tag=TAG, view=TenantView, whole_to_write=True)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.lists(list_tenants, TenantList, SORTS, summary="List tenants"),
    NOUN.creates(create_tenant, summary="Add a tenant", request=NewTenant, example={"id": "acme", "name": "Acme Ltd"}),
    NOUN.reads(get_tenant, summary="Read a tenant"),
    NOUN.edits(edit_tenant, summary="Change a tenant", request=TenantPatch, example={"name": "Acme Limited"}),
    NOUN.deletes(
        delete_tenant,
        summary="Delete a tenant",
        help="The call is refused with 409 while the tenant has endpoints or keys. The tenant's events are kept; its "
        "portal links are revoked.",
    ),
)
