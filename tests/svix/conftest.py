"""One server and one receiver for each file, and Svix's SDK pointed at the server by its URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.svix import sdk
from tidings.testing import Receiver, TestServer


@pytest.fixture(scope="module")
def server(module_database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with TestServer(tmp_path_factory.mktemp("server"), database=module_database) as running:
        yield running


@pytest.fixture(scope="module")
def receiver(server: TestServer) -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


Connect = Callable[..., "sdk.Svix"]


@pytest.fixture(scope="module")
def connect(server: TestServer) -> Connect:
    """Make a client with a key."""

    def client(key: str | None = None, path: str = "/svix") -> sdk.Svix:
        return sdk.Svix(key or server.api.key or "", sdk.SvixOptions(server_url=server.url + path, retry_schedule=[]))

    return client


@pytest.fixture(scope="module")
def svix(connect: Connect) -> sdk.Svix:
    return connect()
