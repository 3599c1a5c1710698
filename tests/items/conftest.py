"""One server for each file of tests, on every engine, with a few declared collections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.items.collections import COLLECTIONS, declare
from tidings.testing import Api, TestServer


@pytest.fixture(scope="module")
def server(module_database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server in this process."""
    with TestServer(tmp_path_factory.mktemp("server"), database=module_database) as server:
        for collection in COLLECTIONS:
            declare(server, collection)
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    """The API, called as the operator."""
    return server.api


@pytest.fixture
def own(api: Api, request: pytest.FixtureRequest) -> Api:
    """The API as the owner of a fresh tenant, which has no items."""
    tenant = f"t{abs(hash(request.node.name)) % 10**9}"
    scopes = ["items:read", "items:write", "events:read"]
    return api.with_key(api.post("/v1/keys", {"name": tenant, "scopes": scopes, "tenant": tenant})["key"])
