"""The one table of operations. A new list of operations is added with one line."""

from __future__ import annotations

from tidings.web.api import (
    collections,
    connections,
    deliveries,
    event_types,
    forms,
    hooks,
    keys,
    link_runs,
    links,
    receipts,
    replays,
    schemes,
    tenants,
)
from tidings.web.api.endpoints import operations as endpoints
from tidings.web.api.events import publish, trail
from tidings.web.api.events import read as events
from tidings.web.api.portal import operations as portal
from tidings.web.api.service import acts, bulk, caller, health, inventory, report, shares, tallies
from tidings.web.docs import llms, pages
from tidings.web.habits.acts import with_acts
from tidings.web.habits.shaping import with_habits
from tidings.web.items.templates import TEMPLATES
from tidings.web.mcp import protocol as mcp
from tidings.web.openapi import document
from tidings.web.openapi.paths import with_names
from tidings.web.operation import Operation

_LISTS: tuple[tuple[Operation, ...], ...] = (
    publish.OPERATIONS,
    events.OPERATIONS,
    trail.OPERATIONS,
    event_types.OPERATIONS,
    collections.OPERATIONS,
    endpoints.OPERATIONS,
    links.OPERATIONS,
    link_runs.OPERATIONS,
    connections.OPERATIONS,
    deliveries.OPERATIONS,
    tallies.OPERATIONS,
    bulk.OPERATIONS,
    replays.OPERATIONS,
    hooks.OPERATIONS,
    receipts.OPERATIONS,
    forms.OPERATIONS,
    schemes.OPERATIONS,
    tenants.OPERATIONS,
    keys.OPERATIONS,
    portal.OPERATIONS,
    health.OPERATIONS,
    report.OPERATIONS,
    shares.OPERATIONS,
    inventory.OPERATIONS,
    acts.OPERATIONS,
    caller.OPERATIONS,
    pages.OPERATIONS,
)
_ALL: list[Operation] = [
    with_acts(with_names(with_habits(operation))) for operations in _LISTS for operation in operations
]
_ALL.append(
    Operation(
        name="openapi",
        method="GET",
        path="/v1/openapi.json",
        scope=None,
        summary="Read the OpenAPI 3.1 document of this API, for the calling key",
        handler=document.handler(_ALL),
        tag=document.TAG,
        response=dict,
    )
)
OPERATIONS: tuple[Operation, ...] = tuple(_ALL)
"""The operations that are the same for every key."""
CALLS: tuple[Operation, ...] = (*TEMPLATES, *OPERATIONS)
"""The operations that callers can call, without pages and redirects."""
TABLE: tuple[Operation, ...] = (*CALLS, *pages.LEADS, mcp.operation(CALLS), llms.operation(CALLS))
"""Every row, including the templates for a collection's operations; paths are matched from the top."""
