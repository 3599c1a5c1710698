"""One suite, every engine: each test that takes `engine` runs on SQLite, and (slow) on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.store.base import Db, Engine
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.seal import Sealer
from tidings.store.writer import Writer


class HandClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at = 1_763_690_000_000_000

    def now(self) -> int:
        return self.at

    def on_jump(self, wake: object) -> None:
        """Nobody sleeps on it here."""


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def engine(database: str | None, tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(database or "sqlite:test.db", tmp_path)
    yield made
    made.close()


@pytest.fixture
def db(engine: Engine) -> Iterator[Db]:
    """A write connection without the writer thread."""
    made = engine.writer()
    yield made
    made.rollback()
    made.close()


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(Sealer(b"k" * 32))


@pytest.fixture
def writer(engine: Engine, clock: HandClock) -> Iterator[Writer]:
    made = Writer(engine, clock)
    yield made
    made.close()
