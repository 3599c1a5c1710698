"""`tidings restore --trial`: restore a backup next to it, open it as a start would, and remove it again."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import msgspec

from tidings.model.moment import Micros
from tidings.store import backup
from tidings.store.base import StoreError
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.seal import Sealer

DATABASE = "tidings.db"


class TriedBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that a server could be started with."""

    file: str
    events: int
    endpoints: int
    seconds: float


def newest(folder: Path) -> Path:
    """The newest backup in a folder, by its name. Raises StoreError if there is none, and OSError."""
    found = backup.named_by_time(folder)
    if not found:
        name = backup.NAME.format("20261128T033000Z")
        raise StoreError(f"there is no backup in {folder}: none is named after a time, such as {name}")
    return found[-1]


def restore_on_trial(source: Path, sealer: Sealer, now: Micros, progress: backup.Progress) -> TriedBackup:
    """Restore it into a new folder next to it, bring it to this version's schema, and open every secret in it.

    Raises StoreError if a start would be refused, and OSError.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".tidings-trial-", dir=source.parent) as made:
        folder = Path(made)
        copied, _ = backup.restore(source, folder / DATABASE, now, progress)
        engine = open_engine(f"sqlite:{DATABASE}", folder, "filled")
        try:
            db = engine.writer()
            try:
                Catalog(sealer).load(db)
            finally:
                db.close()
        finally:
            engine.close()
    return TriedBackup(
        file=str(source),
        events=copied.contents.events,
        endpoints=copied.contents.endpoints,
        seconds=round(time.monotonic() - began, 3),
    )
