"""Open a store by its URL: the one list of engines."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tidings.store.base import Engine, StoreBusy, StoreError
from tidings.store.migrate import migrate


def open_engine(url: str, folder: Path) -> Engine:
    """The engine for `sqlite:FILE` (relative to the data folder) or `postgresql://...`, brought to the present schema.

    Raises StoreError where the database cannot be used, or would lose acknowledged data.
    """
    engine: Engine
    if url.startswith("sqlite:"):
        from tidings.store.sqlite import SqliteEngine

        engine = SqliteEngine(_file(url, folder))
    elif url.startswith(("postgresql://", "postgres://")):
        from tidings.store.postgres import PostgresEngine

        engine = PostgresEngine(url)
    else:
        raise StoreError(
            f"the database {url.split(':')[0]!r} is not known: use sqlite:FILE or postgresql://USER@HOST/NAME"
        )
    engine.check_safety()
    db = engine.writer()
    try:
        migrate(db)
    finally:
        db.close()
    return engine


LOCK = "lock"


class FolderLock:
    """Keeps a second server away from the same data folder, or from the same database in another folder."""

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        self._fd = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise StoreBusy(
                f"another Tidings server runs on {folder if name == LOCK else folder / name.removesuffix('.lock')}; "
                f"stop it first, or choose another {'--data' if name == LOCK else '--database'}"
            ) from None

    def release(self) -> None:
        """Let others in."""
        os.close(self._fd)


def lock_database(url: str, folder: Path) -> FolderLock | None:
    """Lock an SQLite database that lies outside the data folder; PostgreSQL is locked by whoever writes.

    Raises StoreBusy.
    """
    if not url.startswith("sqlite:"):
        return None
    file = _file(url, folder).resolve()
    if file.parent == folder.resolve() or not file.parent.is_dir():
        return None
    return FolderLock(file.parent, f"{file.name}.lock")


def _file(url: str, folder: Path) -> Path:
    name = url.removeprefix("sqlite:")
    return Path(name) if name.startswith("/") else folder / name
