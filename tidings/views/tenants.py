"""Tenants as answers and pages show them."""

from __future__ import annotations

import msgspec

from tidings.model import moment
from tidings.model.access import Tenant


class TenantView(msgspec.Struct, frozen=True, kw_only=True):
    """One of the operator's customers."""

    id: str
    name: str
    revision: int
    created: str
    updated: str


def tenant_view(tenant: Tenant) -> TenantView:
    """A tenant's entry."""
    return TenantView(
        id=tenant.id,
        name=tenant.name,
        revision=tenant.revision,
        created=moment.to_text(tenant.created),
        updated=moment.to_text(tenant.updated),
    )
