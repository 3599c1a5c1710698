"""One suite, both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.world import World, opened


@pytest.fixture
def url(database: str | None) -> str:
    """Where the store is."""
    return database or "sqlite:test.db"


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    """A store of the test's own."""
    with opened(tmp_path, url) as world:
        yield world
