"""The record of backups in the data folder, which the console reads too."""

from tidings.store.files import BACKUPS as FILE
from tidings.store.files import BackupRecord
from tidings.store.files import note_backup as note
from tidings.store.files import read_backups as read

__all__ = ["FILE", "BackupRecord", "note", "read"]
