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


class FolderLock:
    """Keeps a second server away from the same data folder."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise StoreBusy(
                f"another Tidings server runs on {folder}; stop it first, or choose another --data"
            ) from None

    def release(self) -> None:
        """Let others in."""
        os.close(self._fd)


def _file(url: str, folder: Path) -> Path:
    name = url.removeprefix("sqlite:")
    return Path(name) if name.startswith("/") else folder / name
