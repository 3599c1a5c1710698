"""The one table of operations. A new list of them joins with one line."""

from __future__ import annotations

from tidings.web import (
    collections,
    deliveries,
    docs_page,
    endpoints,
    event_types,
    events,
    health,
    keys,
    publish,
    replays,
    shares,
    tenants,
)
from tidings.web.habits import with_habits
from tidings.web.items.rows import TEMPLATES
from tidings.web.menu import Operation
from tidings.web.openapi import document
from tidings.web.paths import with_names

_LISTS: tuple[tuple[Operation, ...], ...] = (
    publish.OPERATIONS,
    events.OPERATIONS,
    event_types.OPERATIONS,
    collections.OPERATIONS,
    endpoints.OPERATIONS,
    deliveries.OPERATIONS,
    replays.OPERATIONS,
    tenants.OPERATIONS,
    keys.OPERATIONS,
    health.OPERATIONS,
    shares.OPERATIONS,
    docs_page.OPERATIONS,
)
_ALL: list[Operation] = [with_names(with_habits(operation)) for operations in _LISTS for operation in operations]
_ALL.append(
    Operation(
        name="openapi",
        method="GET",
        path="/v1/openapi.json",
        scope=None,
        summary="This API as OpenAPI 3.1, for the calling key",
        handler=document.handler(_ALL),
        tag=document.TAG,
        response=dict,
    )
)
OPERATIONS: tuple[Operation, ...] = tuple(_ALL)
"""Those that are the same for every key."""
TABLE: tuple[Operation, ...] = (*TEMPLATES, *OPERATIONS, *docs_page.LEADS)
"""Every row, those included that stand for a collection's operations; paths are looked for from the top."""
