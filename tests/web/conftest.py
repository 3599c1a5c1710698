"""One server for a whole file of tests: they do not disturb one another, and starting costs most of the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidings.testing import Api, TestServer


@pytest.fixture(scope="module")
def server(module_database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server in this process, with small limits for bodies."""
    folder = tmp_path_factory.mktemp("server")
    with TestServer(folder, database=module_database, max_body_bytes=65_536, max_batch_bytes=262_144) as server:
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    """The API, called as the operator."""
    return server.api
