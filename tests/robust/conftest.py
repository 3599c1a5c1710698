"""A server on SQLite with a clock that stands still, and copies of its store as a crash would leave it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
def server(tmp_path: Path, clock: FakeClock) -> Iterator[TestServer]:
    """A whole server in this process."""
    with TestServer(tmp_path / "tidings", clock=clock) as server:
        yield server


@pytest.fixture
def world(server: TestServer, clock: FakeClock, receiver: Receiver) -> World:
    """All three."""
    return World(server, clock, receiver)


@pytest.fixture
def crash(server: TestServer, clock: FakeClock, receiver: Receiver, tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Start a second server on a copy of the store as it is on disk now: what a kill would leave at this moment.

    What the receiver had got is forgotten, so that it shows what the new server sends.
    """
    with ExitStack() as stack:

        def copy() -> World:
            folder = tmp_path / "crashed"
            shutil.copytree(tmp_path / "tidings", folder, ignore=shutil.ignore_patterns("lock", "*-shm"))
            receiver.answer(204)
            receiver.clear()
            return World(stack.enter_context(TestServer(folder, clock=clock)), clock, receiver)

        yield copy
