"""`tidings restore --trial`: restore a backup next to it, open it as a start would, and remove it again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tidings.model.moment import Micros
from tidings.store import backup
from tidings.store.base import StoreError
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.seal import Sealer

DATABASE = "tidings.db"
FOLDER = ".tidings-trial-"
"""The prefix of the names of the folders in which backups are tried."""


class TriedBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup with which a server could start."""

    file: str
    events: int
    endpoints: int
    seconds: float


def newest(folder: Path, mark: str | None) -> Path:
    """The newest backup in a folder, by name; preferably one encrypted with the key that has this mark.

    Raises StoreError if there is none, and OSError.
    """
    found = backup.named_by_time(folder)
    if not found:
        name = backup.NAME.format("20261128T033000Z")
        raise StoreError(f"there is no backup in {folder}: none is named after a time, such as {name}")
    return next((path for path in reversed(found) if backup.is_sealed_by(path, mark)), found[-1])


def restore_on_trial(source: Path, sealer: Sealer, now: Micros, progress: backup.Progress) -> TriedBackup:
    """Restore it into a new folder next to it, migrate it to this version's schema, and decrypt every secret in it.

    Raises StoreError if a start would be refused, and OSError.
    """
    began = time.monotonic()
    with _folder_in(source.parent) as folder:
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


@contextlib.contextmanager
def _folder_in(place: Path) -> Iterator[Path]:
    """A new folder, locked while it is needed. Folders left behind by killed trials are removed. Raises OSError."""
    for left in place.glob(f"{FOLDER}*"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=FOLDER, dir=place) as made, _locked(Path(made)):
        yield Path(made)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is released however the process ends. Raises BlockingIOError if it is taken."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)
