"""One server for a whole file of tests: they do not disturb one another, and starting costs most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres_server import PostgresServer
from tidings.testing import Api, TestServer


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres])]
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server in this process, with small limits for bodies."""
    folder: Path = tmp_path_factory.mktemp("server")
    database: str | None = None
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        name = postgres.create_database()
        request.addfinalizer(lambda: postgres.drop_database(name))
        database = postgres.url(name)
    limits = {"max_body_bytes": 65_536, "max_batch_bytes": 262_144}
    with TestServer(folder / "tidings", database=database, **limits) as server:
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    """The API, called as the operator."""
    return server.api
