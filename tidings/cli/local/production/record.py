"""The record of backups in the data folder: when the last one was made, and when one was last restored on trial."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from tidings.model.moment import Micros
from tidings.store.files import write_whole

FILE = "backups.json"


class BackupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `tidings backup` and `tidings restore --trial` did with the database of this folder."""

    made: str | None = None
    """The last backup's file."""
    made_at: Micros | None = None
    key_copied_at: Micros | None = None
    """When the secret key was last written elsewhere (--with-key)."""
    tried: str | None = None
    """The backup that was last restored on trial."""
    tried_at: Micros | None = None


def read(folder: Path) -> BackupRecord:
    """The record; an empty one if nothing is recorded."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=BackupRecord)
    except (OSError, msgspec.MsgspecError):
        return BackupRecord()


def note(folder: Path, **changes: str | Micros) -> None:
    """Change the record. Nothing fails if it cannot be written: the doctor will then miss a backup."""
    with contextlib.suppress(OSError):
        write_whole(folder / FILE, msgspec.json.encode(msgspec.structs.replace(read(folder), **changes)) + b"\n")
