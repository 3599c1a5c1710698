"""The operation that shows who calls and from where, as the server sees it: what a proxy in between passes on."""

from __future__ import annotations

import msgspec

from tidings.rules.network.address import parse_networks
from tidings.rules.network.client_address import is_trusted
from tidings.views.shares import check_reader
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts


class CallerReport(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it arrived."""

    key_id: str
    key_name: str
    address: str
    """The caller's address, as it is used for limits and logs."""
    connected_from: str
    """The address of the connection: the last proxy's, if there is one."""
    connection_trusted: bool
    """Whether `trusted_proxies` lists `connected_from`."""
    x_forwarded_for: str | None
    forwarded: str | None
    public_url: str | None


async def show_caller(parts: Parts, request: Request) -> Answer:
    """Who calls, from where."""
    check_reader(request.caller)
    settings = parts.settings
    connected = _host(request.connected_from)
    report = CallerReport(
        key_id=request.key.id,
        key_name=request.key.name,
        address=_host(request.client),
        connected_from=connected,
        connection_trusted=is_trusted(connected, parse_networks(settings.trusted_proxies)),
        x_forwarded_for=request.headers.get("x-forwarded-for"),
        forwarded=request.headers.get("forwarded"),
        public_url=settings.public_url or None,
    )
    return Answer(200, report)


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="show_caller",
        method="GET",
        path="/v1/caller",
        scope="metrics:read",
        whole=True,
        addressed=True,
        summary="Show the caller as the server sees it",
        help=(
            "The response has the key, the caller's address, and what proxies reported about that address. Call this "
            "through a proxy to check that the proxy passes on the caller's address, and that `trusted_proxies` lists "
            "the proxy."
        ),
        handler=show_caller,
        tag="Service",
        response=CallerReport,
    ),
)
