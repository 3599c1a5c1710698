"""The one table of operations. A new list of them joins with one line."""

from __future__ import annotations

from tidings.web import (
    deliveries,
    docs_page,
    endpoints,
    event_types,
    events,
    health,
    keys,
    openapi,
    publish,
    replays,
    tenants,
)
from tidings.web.habits import with_habits
from tidings.web.menu import Operation
from tidings.web.paths import with_names

_LISTS: tuple[tuple[Operation, ...], ...] = (
    publish.OPERATIONS,
    events.OPERATIONS,
    event_types.OPERATIONS,
    endpoints.OPERATIONS,
    deliveries.OPERATIONS,
    replays.OPERATIONS,
    tenants.OPERATIONS,
    keys.OPERATIONS,
    health.OPERATIONS,
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
        handler=openapi.handler(_ALL),
        tag=openapi.TAG,
        response=dict,
    )
)
OPERATIONS: tuple[Operation, ...] = tuple(_ALL)
