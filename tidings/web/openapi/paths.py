"""The names in paths and their schemas, for the document."""

from __future__ import annotations

import dataclasses
from typing import Any

from tidings.web.openapi import examples
from tidings.web.openapi.bounds import DELIVERY_ID, ENDPOINT_ID, EVENT_ID, KEY_ID, REPLAY_ID, TENANT, TYPE
from tidings.web.openapi.collection_bounds import NAME
from tidings.web.operation import Operation, Parameter


def _name(name: str, schema: dict[str, Any], help: str, example: str) -> Parameter:
    return Parameter(name=name, schema={"type": "string", **schema}, help=help, where="path", example=example)


NAMES: dict[str, Parameter] = {
    "/v1/collections/": _name("name", NAME, "The collection's name.", "tasks"),
    "/v1/deliveries/": _name("id", DELIVERY_ID, "The delivery's id.", examples.DELIVERY),
    "/v1/endpoints/": _name("id", ENDPOINT_ID, "The endpoint's id.", examples.ENDPOINT),
    "/v1/event-types/": _name("name", TYPE, "The event type's name.", "tasks.completed"),
    "/v1/events/": _name("event", EVENT_ID, "The event's id.", examples.EVENT),
    "/v1/keys/": _name("id", KEY_ID, "The key's id, not the key itself.", examples.KEY),
    "/v1/replays/": _name("id", REPLAY_ID, "The replay's id.", examples.REPLAY),
    "/v1/tenants/": _name("id", TENANT, "The tenant's id.", "acme"),
}
"""The name or id that follows, by the beginning of the path."""


def with_names(operation: Operation) -> Operation:
    """The operation with descriptions of the names in its path, unless it has its own."""
    known = NAMES.get(operation.path.partition("{")[0])
    if known is None or "{" not in operation.path or operation.path_parameters:
        return operation
    return dataclasses.replace(operation, path_parameters=(known,))
