"""The table of this door's operations. A new list of operations is added with one line."""

from __future__ import annotations

import dataclasses

from tidings.web.habits.acts import with_acts
from tidings.web.operation import Operation
from tidings.web.svix import document
from tidings.web.svix.nouns import applications, attempts, endpoints, event_types, jobs, messages, portal

PATHS = ("/svix/api/v1", "/api/v1")
"""The paths of this API. Some SDKs drop the path of the server URL that they are given, so `/svix` can be left out."""

OPERATIONS: tuple[Operation, ...] = (
    *applications.OPERATIONS,
    *endpoints.OPERATIONS,
    *jobs.OPERATIONS,
    *messages.OPERATIONS,
    *attempts.OPERATIONS,
    *event_types.OPERATIONS,
    *portal.OPERATIONS,
)
"""All operations. Their paths begin after the version, as in `/app/{app_id}`."""

TABLE: tuple[Operation, ...] = tuple(
    with_acts(dataclasses.replace(each, path=path + each.path))
    for path in PATHS
    for each in (*OPERATIONS, document.operation(OPERATIONS))
)
