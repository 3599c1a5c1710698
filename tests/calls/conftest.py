"""A server, a peer that is called, and a clock that stands still; on SQLite and (slow) on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.world import Calls
from tidings.testing import FakeClock, Receiver, TestServer


@pytest.fixture
def peer() -> Iterator[Receiver]:
    with Receiver() as peer:
        yield peer


@pytest.fixture
def calls(tmp_path: Path, database: str | None, peer: Receiver) -> Iterator[Calls]:
    clock = FakeClock()
    with TestServer(tmp_path / "tidings", clock=clock, database=database) as server:
        yield Calls(server, clock, peer)
