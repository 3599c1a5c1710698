"""The operation that shows what tenants share, and which of them want more than their share."""

from __future__ import annotations

import msgspec

from tidings.views.shares import ShareReport, share_reports
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts


class ShareList(msgspec.Struct, frozen=True, kw_only=True):
    """All resources that tenants share."""

    data: list[ShareReport]


async def list_shares(parts: Parts, request: Request) -> Answer:
    """Everything that tenants share."""
    return Answer(200, ShareList(data=share_reports(request.caller, parts.shares())))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_shares",
        method="GET",
        path="/v1/shares",
        scope="metrics:read",
        whole=True,
        summary="Show how tenants share limited resources",
        help=(
            "For each resource that all tenants share (requests in flight, memory, readers, streams, large bodies), "
            "the response shows how much is in use, and which tenants are held back because they want more than "
            "their share."
        ),
        handler=list_shares,
        tag="Service",
        response=ShareList,
    ),
)
