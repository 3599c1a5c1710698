"""One server for a whole file of tests, on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidings.testing import Api, FakeClock, TestServer


@pytest.fixture(scope="module")
def clock() -> FakeClock:
    """The server's clock, which is moved by hand."""
    return FakeClock()


@pytest.fixture(scope="module")
def server(
    module_database: str | None, tmp_path_factory: pytest.TempPathFactory, clock: FakeClock
) -> Iterator[TestServer]:
    """A whole server in this process."""
    folder = tmp_path_factory.mktemp("portal")
    with TestServer(folder, database=module_database, clock=clock, public_url="https://hooks.example.com") as server:
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    """The API, called as the operator."""
    return server.api
