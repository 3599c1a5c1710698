"""Copies of an SQLite store: made while a server writes, checked before they get their name, and restored.

A copy is written aside (`NAME.partial`), checked as a database, synced, and only then renamed, so that a file with the
final name is a complete backup, whenever the power fails. The secret key is never in it; the database knows the key's
mark, by which a restore tells whether a key is the right one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.moment import Micros
from tidings.store.base import StoreBusy, StoreError
from tidings.store.engines.migrate import is_empty, plan
from tidings.store.engines.sqlite import SqliteFile
from tidings.store.files import PARTIAL, PRIVATE, sync_folder, write_whole
from tidings.store.seal import KEY_MARK, Sealer

_sync_data = getattr(os, "fdatasync", os.fsync)
NAME = "tidings-{}.db"
_OURS = re.compile(r"tidings-[0-9]{8}T[0-9]{6}Z\.db\.partial")
_WHOLE = re.compile(r"tidings-[0-9]{8}T[0-9]{6}Z\.db")
Progress = Callable[[int, int], None]
"""Called with the number of bytes copied so far, and the total number."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a store.

    `secret_mark`: the mark of the key that seals its secrets; None if it is older than marks.
    """

    schema: int
    events: int
    endpoints: int
    secret_mark: str | None


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that was made and checked."""

    file: str
    bytes: int
    contents: Contents
    seconds: float


def back_up(source: Path, destination: Path, now: Micros, progress: Progress, *, replace: bool = False) -> Copied:
    """Copy the store as it is now to `destination`: a file, or a folder, in which the copy is named after the time.

    A server may write to it meanwhile. Raises StoreError and OSError; then that name is still free, or has the old
    file.
    """
    begun = time.monotonic()
    if not source.is_file() or not source.stat().st_size:
        raise StoreError(f"there is no database at {source}; name its folder with --data")
    target = _target(destination, now)
    refuse_special(target)
    if target.exists() and not replace:
        raise StoreError(f"{target} already exists; choose another name or a folder, or replace it with --force")
    if target.exists() and target.samefile(source):
        raise StoreError(f"{target} is the database itself")
    contents = _copy(source, target, progress)
    return Copied(
        file=str(target), bytes=target.stat().st_size, contents=contents, seconds=round(time.monotonic() - begun, 3)
    )


def restore(
    source: Path, target: Path, now: Micros, progress: Progress, *, replace: bool = False
) -> tuple[Copied, str]:
    """Replace a database, whose lock the caller holds, with a copy. Also returns where the old one was moved, or "".

    Raises StoreError, and OSError; the old database then stays in place.
    """
    begun = time.monotonic()
    there = [file for file in _of_database(target) if file.exists() and file.stat().st_size]
    if there and not replace:
        raise StoreError(f"{there[0]} already exists. Choose an empty --data folder, or use --force to move it aside")
    if target.exists() and target.samefile(source):
        raise StoreError(f"{source} is the database that it would replace")
    kept = ""

    def make_way() -> None:
        nonlocal kept
        kept = str(_aside(target, now)) if there else ""
        for file in _of_database(target):
            file.unlink(missing_ok=True)

    contents = _copy(source, target, progress, make_way, still=True)
    made = Copied(
        file=str(target), bytes=target.stat().st_size, contents=contents, seconds=round(time.monotonic() - begun, 3)
    )
    return made, kept


def contents_of(path: Path) -> Contents:
    """The content of a database. Raises StoreError if it is not ours, or of a newer version."""
    with contextlib.closing(SqliteFile(path, still=True)) as db:
        return _contents(db, path)


def fits(path: Path, sealer: Sealer) -> bool:
    """Whether the secrets of a database can be opened with this key."""
    with contextlib.closing(SqliteFile(path, still=True)) as db:
        mark = _contents(db, path).secret_mark
        if mark is not None:
            return mark == sealer.mark
        try:
            for ident, sealed in db.query("SELECT id, sealed FROM link LIMIT 1", {}):
                sealer.open(sealed, ident)
        except StoreError:
            return False
        return True


def mark_in(path: Path) -> str | None:
    """The mark of the key that a database knows; None if it is older than marks, or empty. Raises StoreError."""
    with contextlib.closing(SqliteFile(path, still=True)) as db:
        return _mark(db)


def put_key(key: bytes, path: Path, now: Micros) -> None:
    """Write a secret key's text to a file, 0600; an existing other one is moved aside. Raises StoreError, OSError."""
    path = path.resolve() if path.is_symlink() else path
    refuse_special(path)
    if path.exists() and path.read_bytes().strip() == key.strip():
        return
    if path.exists():
        _rename(path, path.with_name(f"{path.name}.before-{_stamp(now)}"))
    write_whole(path, key.strip() + b"\n")


def refuse_special(path: Path) -> None:
    """Raise StoreError for a device (even /dev/null), a pipe or a folder, which a file would replace."""
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a regular file, so it cannot be replaced. Name a new file")


def _target(destination: Path, now: Micros) -> Path:
    # What a link such as /dev/stdout names is replaced, not the link.
    destination = destination.resolve() if destination.is_symlink() else destination
    if destination.is_dir():
        return destination / NAME.format(_stamp(now))
    if not destination.parent.is_dir():
        raise StoreError(f"there is no folder {destination.parent}; create it first")
    return destination


def _copy(
    source: Path, target: Path, progress: Progress, make_way: Callable[[], None] = lambda: None, *, still: bool = False
) -> Contents:
    """Copy, check, sync, rename."""
    with _partial(target) as (partial, fd):

        def slice_done(done: int, size: int) -> None:
            # A single sync at the end would delay those of a server that writes to the same disk.
            _sync_data(fd)
            progress(done, size)

        _copy_one_moment(source, partial, slice_done, still=still)
        with contextlib.closing(SqliteFile(partial, still=True)) as copy:
            damage = copy.damage()
            if damage is not None:
                raise StoreError(f"{source} is damaged, so it was not copied", because=damage)
            contents = _contents(copy, source)
        os.fsync(fd)
        make_way()
        partial.replace(target)
        sync_folder(target.parent)
    return contents


def _copy_one_moment(source: Path, partial: Path, progress: Progress, *, still: bool) -> None:
    """Copy a database, and leave nothing next to it. `still`: nobody will write to it.

    SQLite makes a journal for anyone who opens a database, even to read it, and a server that starts as another user
    could not use it. A database without a journal is open nowhere, so it is read as a plain file. If a server starts
    meanwhile, and changes the file, it is read again.
    """
    while True:
        before = _state(source)
        is_unused = still or not source.with_name(f"{source.name}-wal").exists()
        with contextlib.closing(SqliteFile(source, still=is_unused)) as db:
            _contents(db, source)
            db.copy_to(partial, progress)
        if still or not is_unused or _state(source) == before:
            return
        os.truncate(partial, 0)


def _state(path: Path) -> tuple[int, int, int]:
    """What changes if somebody writes to a file, or replaces it."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[tuple[Path, int]]:
    """An empty file next to the target, open and locked, so that it is not mistaken for the remains of a killed
    copy."""
    for left in target.parent.glob(f"*{PARTIAL}"):
        if left.name == f"{target.name}{PARTIAL}" or _OURS.fullmatch(left.name):
            _clear(left)
    partial = target.with_name(f"{target.name}{PARTIAL}")
    try:
        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        raise StoreBusy(f"another backup or restore is writing {partial}") from None
    try:
        os.fchmod(fd, PRIVATE)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield partial, fd
    finally:
        os.close(fd)
        for file in _of_database(partial):
            file.unlink(missing_ok=True)


def _clear(left: Path) -> None:
    """Remove the remains of a killed copy, unless it is still being written."""
    with contextlib.suppress(OSError):
        fd = os.open(left, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
        finally:
            os.close(fd)


def _contents(db: SqliteFile, path: Path) -> Contents:
    if is_empty(db):
        raise StoreError(f"{path} is not a Tidings database")
    schema = plan(db)
    if schema.refusal is not None:
        raise StoreError(f"{path} {schema.refusal}")
    return Contents(
        schema=schema.schema,
        events=db.query("SELECT COUNT(*) FROM event", {})[0][0],
        endpoints=db.query("SELECT COUNT(*) FROM link WHERE deleted IS NULL", {})[0][0],
        secret_mark=_mark(db),
    )


def _mark(db: SqliteFile) -> str | None:
    marks: list[Any] = []
    if db.query("SELECT 1 FROM sqlite_master WHERE name = 'store'", {}):
        marks = db.query("SELECT value FROM store WHERE name = :name", {"name": KEY_MARK})
    return str(marks[0][0]) if marks else None


def _aside(target: Path, now: Micros) -> Path:
    """Move a database with its journal to another name, where it can be opened."""
    kept = target.with_name(f"{target.name}.before-{_stamp(now)}")
    for file, name in zip(_of_database(target), _of_database(kept), strict=True):
        if file.exists():
            _rename(file, name)
    return kept


def _rename(file: Path, name: Path) -> None:
    if name.exists():
        raise StoreError(f"{name} already exists; move it away first")
    file.rename(name)
    sync_folder(file.parent)


def _of_database(path: Path) -> list[Path]:
    return [path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal"))]


def _stamp(now: Micros) -> str:
    return moment.to_text(now)[:19].replace("-", "").replace(":", "") + "Z"


def named_by_time(folder: Path) -> list[Path]:
    """The backups in a folder that are named after the time, oldest first. Raises OSError."""
    return sorted(path for path in folder.iterdir() if _WHOLE.fullmatch(path.name) and path.is_file())


def is_sealed_by(path: Path, mark: str | None) -> bool:
    """Whether a file is a database that knows the key with this mark. Raises OSError."""
    try:
        return mark is not None and mark_in(path) == mark
    except StoreError:
        return False


def delete_oldest(made: Path, mark: str | None, keep: int) -> tuple[list[Path], list[Path]]:
    """Delete the oldest backups next to one that was just made; returns them, and those that are not of its store.

    These stay, as do files with other names: what is sealed by another key than `mark` is another server's. The names
    sort by time. The new one is kept even if a wrong clock has given others later names. Raises OSError.
    """
    others = [path for path in named_by_time(made.parent) if path.name != made.name]
    own = [path for path in others if is_sealed_by(path, mark)]
    oldest = own[: max(0, len(own) - (keep - 1))]
    for path in oldest:
        path.unlink()
    return oldest, [path for path in others if path not in own]
