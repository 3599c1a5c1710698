"""Fixtures for pytest. In a `conftest.py`: `pytest_plugins = ["tidings.testing.fixtures"]`.

`tidings_server` is a fresh server for each test. If the test also uses `tidings_clock`, the server's clock stands still
until the test moves it. `webhook_receiver` receives webhooks at `webhook_receiver.url("/any/path")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.testing.clock import FakeClock
from tidings.testing.receiver import Receiver
from tidings.testing.server import TestServer


@pytest.fixture
def tidings_clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    return FakeClock()


@pytest.fixture
def tidings_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestServer]:
    """A server in a temporary folder, running in this process."""
    clock: FakeClock | None = None
    if "tidings_clock" in request.fixturenames:
        clock = request.getfixturevalue("tidings_clock")
    with TestServer(tmp_path / "tidings", clock=clock) as server:
        yield server


@pytest.fixture
def webhook_receiver() -> Iterator[Receiver]:
    """A receiver that responds to every webhook with 204."""
    with Receiver() as receiver:
        yield receiver
