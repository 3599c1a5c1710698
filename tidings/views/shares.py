"""What is shared out by tenant, and who would have more of it, as answers and pages show it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidings.model.access import Caller
from tidings.rules.share import ShareView

READ, WHOLE = "metrics:read", "Shares"
TENANTS_SHOWN = 10


class TenantShare(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's share. If `tenant` is null, it is work without a tenant, such as the operator's own."""

    tenant: str | None
    held: int
    """How much it holds now."""
    refused: int
    """How often the tenant has wanted more than its share since the server started."""


class ShareReport(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that tenants share: how much of it is in use, and how much there is."""

    of: str
    used: int
    total: int
    tenants: int
    """The number of tenants that hold some of the resource now."""
    held_back: list[TenantShare]
    """Tenants that are at their share now, or have been since the server started; the worst first."""


def share_reports(caller: Caller, views: Sequence[ShareView]) -> list[ShareReport]:
    """The state of every resource that tenants share. Raises Forbidden for keys of one tenant."""
    caller.need(READ, WHOLE)
    return [_report(view) for view in views]


def _report(view: ShareView) -> ShareReport:
    held, refused = dict(view.held_back), dict(view.refused)
    names = sorted(held.keys() | refused.keys(), key=lambda name: (-refused.get(name, 0), -held.get(name, 0)))
    shown = [
        TenantShare(tenant=name or None, held=held.get(name, 0), refused=refused.get(name, 0))
        for name in names[:TENANTS_SHOWN]
    ]
    return ShareReport(of=view.name, used=view.used, total=view.total, tenants=view.tenants, held_back=shown)


def check_reader(caller: Caller) -> None:
    """Who may read the metrics. Raises Forbidden for keys of one tenant."""
    caller.need(READ, "Metrics")
