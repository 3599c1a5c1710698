"""One server for a file of tests; each test has forms of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.forms.world import FormWorld
from tidings.intake.hooks import refusals
from tidings.testing import FakeClock, TestServer


@pytest.fixture(scope="module")
def world(module_database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FormWorld]:
    """A server in this process that takes bodies of 64 KiB."""
    clock = FakeClock(ticking=True)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(refusals, "FLUSH_SECONDS", 0.02)
    folder = tmp_path_factory.mktemp("server")
    with TestServer(folder, database=module_database, clock=clock, max_form_bytes=65_536) as server:
        yield FormWorld(server, clock)
    monkeypatch.undo()
