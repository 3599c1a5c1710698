"""Most tests of a file share its server, on SQLite and (slow) on PostgreSQL. See tests/servers.py.

The receiver of a test goes with it, and the clock of a server only moves on.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery.world import World
from tests.servers import Running
from tidings.testing import FakeClock, Receiver, TestServer


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
