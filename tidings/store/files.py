"""Files that a store depends on: written atomically, closed to others, and used by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import shlex
import stat
import struct
import sys
from pathlib import Path
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.moment import Micros
from tidings.store.base import StoreBusy, StoreError

PRIVATE = 0o600
PARTIAL = ".partial"
"""The suffix of the name of an unfinished copy, which a backup or restore is making or has left behind."""
BACKUPS = "backups.json"
"""The name of the file in the data folder that records the backups."""
_CONTENT_BYTES = 4_096
_INODE_LOCK_AT, _INODE_LOCK_BYTES = 0x7469_6469, 1
"""The byte to lock, which is far from those that SQLite locks (0x40000000 to 0x400001FF)."""

log = logging.getLogger("tidings.store")


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file: a crash or a power cut leaves the old one or the new one. Mode 0600. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        os.fchmod(file.fileno(), PRIVATE)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new and renamed files of a folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def refuse_partial(database: Path) -> None:
    """Raise StoreError if an interrupted restore left its copy next to the database, which is then not the restored
    one.

    Raises StoreError.
    """
    partial = database.with_name(f"{database.name}{PARTIAL}")
    try:
        fd = os.open(partial, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreBusy(f"another backup or restore is writing {partial}; wait for it, then start") from None
    finally:
        os.close(fd)
    there = database.exists() and database.stat().st_size
    again = f"tidings restore SRC --data {shlex.quote(str(database.parent))}{' --force' if there else ''}"
    without = f"To start with the existing database, remove {partial}" if there else f"Otherwise remove {partial}"
    raise StoreError(f"a restore was interrupted and left {partial}. Run it again: {again}. {without}")


def make_private(path: Path) -> None:
    """Make an empty file that only its owner may read, whatever the umask; an existing one is kept. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        try:
            os.fchmod(fd, PRIVATE)
        finally:
            os.close(fd)
        sync_folder(path.parent)


def close_to_others(path: Path) -> None:
    """Remove others' permissions on a file, and log it; does nothing if there is no such file."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & 0o700)
            log.warning("other users could read %s (mode %o); this is fixed now", path, mode)
    except FileNotFoundError:
        return
    except OSError as wrong:
        log.warning("other users can read %s, and this cannot be fixed: %s", path, wrong.strerror)


class FileLock:
    """A lock that the system releases when the process ends.

    Its file names the holder, so that others can report it.
    """

    def __init__(self, path: Path, what: Path, option: str) -> None:
        """`what` it protects, and the `option` that chooses another. Raises StoreBusy if it is taken."""
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError as wrong:
            raise StoreError(f"the lock {path} cannot be opened: {wrong.strerror}") from None
        self._inode_fd: int | None = None
        self._what, self._option = what, option
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self.content()
            os.close(self._fd)
            raise self._taken(_who(holder)) from None
        self.before = self.content()
        """The content that the last holder of the lock left in the file."""
        self._write({**self.before, "pid": os.getpid(), "since": moment.to_text(moment.SystemClock().now())})

    def content(self) -> dict[str, Any]:
        """The file's text; empty if it cannot be read."""
        try:
            return _object(os.pread(self._fd, _CONTENT_BYTES, 0))
        except OSError:
            return {}

    @staticmethod
    def content_of(path: Path) -> dict[str, Any]:
        """The text of the lock file of another process; empty if it cannot be read."""
        try:
            return _object(path.read_bytes())
        except OSError:
            return {}

    def note(self, name: str, value: Any) -> None:
        """Leave a note for the next holder."""
        self._write({**self.content(), name: value})

    def also_inode(self, path: Path) -> None:
        """Lock the file itself too, since another name or mount of it has a different lock file. Raises StoreBusy.

        The lock belongs to this descriptor (F_OFD_SETLK), so SQLite's locks on the same file do not release it.
        """
        if sys.platform != "linux" or self._inode_fd is not None:
            return
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        # struct flock: l_type, l_whence, l_start, l_len, l_pid.
        wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _INODE_LOCK_AT, _INODE_LOCK_BYTES, 0)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, wanted)
        except OSError as wrong:
            os.close(fd)
            if wrong.errno in (errno.EACCES, errno.EAGAIN):
                raise self._taken("") from None
            return
        self._inode_fd = fd

    def release(self) -> None:
        """Release the lock."""
        if self._inode_fd is not None:
            os.close(self._inode_fd)
            self._inode_fd = None
        os.close(self._fd)

    def _taken(self, who: str) -> StoreBusy:
        return StoreBusy(
            f"another Tidings server is running on {self._what}{who}; stop it first, or choose another {self._option}"
        )

    def _write(self, content: dict[str, Any]) -> None:
        # The note helps people; a full disk must not prevent inspecting a server.
        with contextlib.suppress(OSError):
            text = json.dumps(content).encode() + b"\n"
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))


def _object(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _who(holder: dict[str, Any]) -> str:
    pid, since = holder.get("pid"), holder.get("since")
    return f" (process {pid}, since {since})" if pid and since else ""


class BackupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `tidings backup` and `tidings restore --trial` did with the database of this folder."""

    made: str | None = None
    """The file of the last backup, which was checked before it got this name."""
    made_at: Micros | None = None
    key_copied_at: Micros | None = None
    """When the secret key was last copied to another place (--with-key)."""
    tried: str | None = None
    """The backup that was last restored as a trial."""
    tried_at: Micros | None = None


def read_backups(folder: Path) -> BackupRecord:
    """The record; an empty one if nothing is recorded."""
    try:
        return msgspec.json.decode((folder / BACKUPS).read_bytes(), type=BackupRecord)
    except (OSError, msgspec.MsgspecError):
        return BackupRecord()


def note_backup(folder: Path, **changes: str | Micros) -> None:
    """Change the record. If it cannot be written, nothing fails; the doctor just does not know about the backup."""
    with contextlib.suppress(OSError):
        write_whole(
            folder / BACKUPS, msgspec.json.encode(msgspec.structs.replace(read_backups(folder), **changes)) + b"\n"
        )
        give_to_owner_of(folder, folder / BACKUPS)


def give_to_owner_of(folder: Path, file: Path) -> None:
    """As root, give root's file to the owner of its folder, since the server there need not run as root. Raises
    OSError.

    Does nothing as another user.
    """
    if os.geteuid() == 0 and file.stat().st_uid == 0:
        owner = folder.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
