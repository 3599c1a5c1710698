"""One server for each file of tests, on every engine, with a few declared collections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.items.collections import COLLECTIONS, declare
from tests.postgres_server import PostgresServer
from tidings.testing import Api, TestServer


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres])]
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A whole server in this process."""
    folder: Path = tmp_path_factory.mktemp("server")
    database: str | None = None
    if request.param == "postgres":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        name = postgres.create_database()
        request.addfinalizer(lambda: postgres.drop_database(name))
        database = postgres.url(name)
    with TestServer(folder / "tidings", database=database) as server:
        for collection in COLLECTIONS:
            declare(server, collection)
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    """The API, called as the operator."""
    return server.api
