"""The operation that says what is shared out by tenant, and who would have more of it."""

from __future__ import annotations

import msgspec

from tidings.rules.share import ShareView
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TENANTS_SHOWN = 10


class TenantShare(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's part; `tenant` null is work without a tenant, the operator's own."""

    tenant: str | None
    held: int
    """What it holds now."""
    refused: int
    """How often it wanted more than its share since the start."""


class ShareReport(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is shared out: how much is held of how much there is."""

    of: str
    used: int
    total: int
    tenants: int
    """How many tenants hold something now."""
    held_back: list[TenantShare]
    """Those that are at their share now, or were before, the worst first."""


class ShareList(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shared out."""

    data: list[ShareReport]


async def list_shares(parts: Parts, request: Request) -> Answer:
    """Everything that is shared out by tenant."""
    request.caller.need("metrics:read", "Shares")
    return Answer(200, ShareList(data=[_report(view) for view in parts.shares()]))


def _report(view: ShareView) -> ShareReport:
    held, refused = dict(view.held_back), dict(view.refused)
    names = sorted(held.keys() | refused.keys(), key=lambda name: (-refused.get(name, 0), -held.get(name, 0)))
    shown = [
        TenantShare(tenant=name or None, held=held.get(name, 0), refused=refused.get(name, 0))
        for name in names[:TENANTS_SHOWN]
    ]
    return ShareReport(of=view.name, used=view.used, total=view.total, tenants=view.tenants, held_back=shown)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_shares",
        method="GET",
        path="/v1/shares",
        scope="metrics:read",
        summary="See which tenants hold how much",
        help=(
            "Resources that all tenants share (requests in flight, memory, readers, streams, large bodies): "
            "how much of each is in use, and which tenants are held back because they want more than their "
            "share."
        ),
        handler=list_shares,
        tag="Service",
        response=ShareList,
    ),
)
