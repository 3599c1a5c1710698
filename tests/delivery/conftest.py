"""Most tests of a file share its server, on SQLite and (slow) on PostgreSQL: to start one takes longer than they do.

Its clock only moves on. After each test its endpoints, links and the like are deleted, and its receiver goes, so that
nothing is sent any more. Its events and deliveries stay: a test asks for those of its own endpoints. A test that asks
for everything there is, or leaves a server that others cannot use, is marked `own_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.conftest import ENGINES
from tests.delivery.world import World
from tests.postgres_server import PostgresServer
from tidings.testing import Api, FakeClock, Receiver, TestServer

Running = tuple[TestServer, FakeClock]
MADE = {"links": "name", "endpoints": "id", "collections": "name"}
"""What tests make, in the order in which it can be deleted, and what it is called by."""


class Servers:
    """The server that the tests of a file share on one engine, and others for tests that need their own."""

    def __init__(
        self, postgres: PostgresServer | None, factory: pytest.TempPathFactory, clock: Callable[[], FakeClock]
    ) -> None:
        self._postgres, self._factory, self._clock = postgres, factory, clock
        self._stack = ExitStack()
        self._shared: Running | None = None

    def shared(self) -> Running:
        """The shared one."""
        if self._shared is None:
            self._shared = self._stack.enter_context(self.own())
        return self._shared

    @contextmanager
    def own(self) -> Iterator[Running]:
        """One with a folder and a database that nobody else has."""
        clock, folder = self._clock(), self._factory.mktemp("server") / "tidings"
        with ExitStack() as stack:
            made = None if self._postgres is None else stack.enter_context(self._postgres.database(migrated=True))
            yield stack.enter_context(TestServer(folder, clock=clock, database=made)), clock

    def close(self) -> None:
        """Stop the shared one; who asks then gets another."""
        self._shared = None
        self._stack.close()


@pytest.fixture(scope="module")
def new_clock() -> Callable[[], FakeClock]:
    """Makes the clock of a server: it stands still until it is moved."""
    return FakeClock


@pytest.fixture(scope="module", params=ENGINES)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_clock: Callable[[], FakeClock]
) -> Iterator[Servers]:
    """Those of a file, on each engine."""
    postgres = request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    found = Servers(postgres, tmp_path_factory, new_clock)
    yield found
    found.close()


@pytest.fixture
def running(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Running]:
    """The test's server and its clock."""
    if request.node.get_closest_marker("own_server") is not None:
        with servers.own() as found:
            yield found
        return
    server, clock = servers.shared()
    yield server, clock
    try:
        emptied(server.api)
    except Exception:
        # It failed in the middle of something; the others shall not fail of that.
        servers.close()
        raise


def emptied(api: Api) -> None:
    """Delete what a test has made."""
    for kind, ident in MADE.items():
        for each in api.pages(f"/v1/{kind}"):
            api.delete(f"/v1/{kind}/{each[ident]}")


@pytest.fixture
def clock(running: Running) -> FakeClock:
    """The server's."""
    return running[1]


@pytest.fixture
def server(running: Running) -> TestServer:
    """A whole server in this process."""
    return running[0]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Answers 204 to everything until told otherwise."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def world(server: TestServer, clock: FakeClock, receiver: Receiver) -> World:
    """All three."""
    return World(server, clock, receiver)
