"""One suite, both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.world import World, opened


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres])])
def url(request: pytest.FixtureRequest) -> str:
    """Where the store is."""
    if request.param == "sqlite":
        return "sqlite:test.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def world(tmp_path: Path, url: str) -> Iterator[World]:
    """A store of the test's own."""
    with opened(tmp_path, url) as world:
        yield world
