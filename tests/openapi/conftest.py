"""One server, and four callers with different keys: each has a document of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidings.model.access import SCOPES
from tidings.testing import Api, TestServer

CALLERS = ("operator", "tenant", "reader", "nobody")
"""The operator, a key of one tenant, a key that may only read, and no key."""
TENANT_SCOPES = [
    *("events:read", "events:write", "event-types:read", "endpoints:read", "endpoints:write"),
    *("deliveries:read", "deliveries:write", "replays:read", "replays:write"),
]
THEIR_SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"$ref": "#/$defs/id"}, "count": {"type": "integer"}, "tags": {"type": "array"}},
    "$defs": {"id": {"type": "string"}},
}
"""An event type's schema as somebody may write it: without a limit to anything."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server in this process, where nobody is shut out for sending many wrong keys."""
    limits = {"max_body_bytes": 65_536, "max_batch_bytes": 262_144}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tidings.web.access.FAILURES_MAX", 10**9)
        with TestServer(tmp_path_factory.mktemp("openapi") / "tidings", **limits) as server:
            yield server


@pytest.fixture(scope="module")
def callers(server: TestServer) -> dict[str, Api]:
    """The API by who calls, with some of everything to read."""
    api = server.api
    theirs = {"description": "A car was sold.", "schema": THEIR_SCHEMA, "example": {"id": "c1"}}
    api.post("/v1/event-types", {"name": "cars.sold", **theirs})
    tenant = api.with_key(api.post("/v1/keys", {"scopes": TENANT_SCOPES, "tenant": "acme"})["key"])
    reading = [scope for scope in SCOPES if scope.endswith(":read")]
    for caller in (api, tenant):
        caller.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "retry_delays_seconds": [0]})
        caller.publish("cars.sold", {"id": "c1"}, subject="c1")
    reader = api.with_key(api.post("/v1/keys", {"scopes": reading})["key"])
    return {"operator": api, "tenant": tenant, "reader": reader, "nobody": api.with_key(None)}
