"""Each test has its own server, on SQLite and (slow) on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.world import World
from tidings.testing import FakeClock, Receiver, TestServer


@pytest.fixture
def clock() -> FakeClock:
    """Stands still until it is moved."""
    return FakeClock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Answers 204 to everything until told otherwise."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, database: str | None) -> Iterator[TestServer]:
    """A whole server in this process."""
    with TestServer(tmp_path / "tidings", clock=clock, database=database) as server:
        yield server


@pytest.fixture
def world(server: TestServer, clock: FakeClock, receiver: Receiver) -> World:
    """All three."""
    return World(server, clock, receiver)
