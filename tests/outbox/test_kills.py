"""kill -9 of an application and its relay: every committed order is one event. A hundred kills: `killing.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.outbox.killing import exactly_once_through_kills
from tests.outbox.shops import file_of


@pytest.mark.thorough
@pytest.mark.slow
def test_plain_sqlite(tmp_path: Path) -> None:
    exactly_once_through_kills("sqlite3", file_of(tmp_path), kills=4)


@pytest.mark.slow
def test_sqlalchemy_on_postgresql(postgres_url: str) -> None:
    exactly_once_through_kills("sqlalchemy-postgres", postgres_url, kills=4)
