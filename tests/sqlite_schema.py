"""A new SQLite store gets its schema as a copy of one that was migrated, which takes a fifteenth of the time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from tidings.store.engines import opening
from tidings.store.engines.migrate import migrate, migrations
from tidings.store.engines.sqlite import SqliteEngine


@contextmanager
def copied_schema(folder: Path) -> Iterator[None]:
    """Within this, `open_engine` copies the schema into a file that has nothing in it. Others are migrated as ever.

    `folder`: for the store that the copies are made of.
    """
    made: Any = SqliteEngine(folder / "schema.db").writer()
    migrate(made)
    source = apsw.Connection(":memory:")
    _copy(made._db, source)
    made.close()
    lock = threading.Lock()

    def copy_or_migrate(db: Any) -> list[str]:
        if db.dialect != "sqlite" or db.query("SELECT 1 FROM sqlite_master LIMIT 1", {}):
            return migrate(db)
        with lock:
            _copy(source, db._db)
        return [name for _, name, _ in migrations()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "migrate", copy_or_migrate)
        yield


def _copy(source: apsw.Connection, target: apsw.Connection) -> None:
    with target.backup("main", source, "main") as copying:
        copying.step()
