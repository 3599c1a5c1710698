"""What `tidings doctor` checks on this machine: limits, clock, data folder, database."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import stat
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from tidings.cli.terminal.sentences import plain, sentence
from tidings.store.base import Db, Engine, StoreError
from tidings.store.engines import nodes, place
from tidings.store.engines.migrate import is_empty, plan
from tidings.store.engines.opening import files_of, shared_engine, sqlite_file
from tidings.store.engines.sqlite import SqliteFile, library_version
from tidings.store.files import refuse_partial
from tidings.store.seal import KEY_FILE

FREE_BYTES_FAIL = 100 * 1024 * 1024
FREE_BYTES_WARN = 1024 * 1024 * 1024
OPEN_FILES_WARN = 4_096
OPEN_FILES_FAIL = 256
CLOCK_BEGINS = 1_767_225_600
"""2026-01-01, in seconds since the epoch. A clock that shows an earlier time has never been set."""
SQLITE_OLDEST = (3, 51, 3)
"""The first version that is safe: older ones can lose a write after a WAL reset."""


class Finding(msgspec.Struct, frozen=True):
    """One line: the state, the subject, and a sentence that says what to do."""

    state: Literal["ok", "warn", "fail"]
    what: str
    detail: str


def look_at_machine() -> Iterator[Finding]:
    """The Python, open files and the clock."""
    yield look_at_python(sys.executable, sys.base_prefix, sysconfig.get_config_var("CONFIG_ARGS"))
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < OPEN_FILES_WARN:
        state: Literal["warn", "fail"] = "fail" if files < OPEN_FILES_FAIL else "warn"
        advice = (
            f"Raise the limit before you start the server: ulimit -n {min(most, 65536)}, or "
            f"LimitNOFILE=65536 in the systemd unit."
        )
        yield Finding(
            state, "files", f"Only {files} files can be open at once, and each connection counts as one. {advice}"
        )
    else:
        yield Finding("ok", "files", f"The process can have {files} files open at once.")
    if time.time() < CLOCK_BEGINS:
        yield Finding(
            "fail",
            "clock",
            "The clock is years behind, so receivers refuse the server's signatures. Set the clock, for example with "
            "NTP.",
        )
    else:
        yield Finding("ok", "clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def look_at_python(python: str, prefix: str, options: str | None) -> Finding:
    """Whether it was built with optimization.

    `prefix`: where it is installed. `options`: those of its `configure`; None where it has none, as on Windows. They do
    not show that a distribution's, in /usr, is optimized.
    """
    version = f"Python {sys.version.split()[0]}"
    if options is None or prefix == "/usr" or "--enable-optimizations" in options:
        return Finding("ok", "python", f"{version}, {python}.")
    return Finding(
        "warn",
        "python",
        f"{version}, {python}, was built without optimization, as pyenv does by default, so the server handles fewer "
        "events per second. Use your distribution's Python, or build this one with --enable-optimizations.",
    )


def unreadable(folder: Path, file: Path | None = None) -> str | None:
    """Why a data folder cannot be inspected, as a sentence; None if it can, or if there is no such folder.

    `file`: an SQLite database.
    """
    closed = None
    try:
        folder.stat()
        if not os.access(folder, os.R_OK | os.X_OK):
            closed = f"read {folder}"
        else:
            there = (each for each in files_of(file, folder) if each.is_file() and not os.access(each, os.R_OK))
            closed = next((f"read {each}" for each in there), None)
    except PermissionError:
        # A folder above it is closed.
        closed = f"read {folder}"
    except OSError:
        return None
    if closed is None:
        return None
    return f"You are {place.user(os.geteuid())} and cannot {closed}. Run this as root, or as the server's user."


def look_at_owner(folder: Path, file: Path | None) -> Iterator[Finding]:
    """Whether the folder and the files in it belong to one user. `file`: an SQLite database."""
    if not folder.is_dir():
        return
    wanted = folder.stat().st_uid
    for each in files_of(file, folder):
        if each.is_file() and each.stat().st_uid != wanted:
            whose = f"{each} belongs to {place.owner_of(each)}, its folder to {place.user(wanted)}"
            # Root can open everything.
            who = f"a server that runs as {place.user(wanted)} refuses to start"
            who = who if wanted else "only root can start the server"
            yield Finding("fail", "owner", f"{whose}: {who}. Run: chown -R {wanted} {folder}")
            return
    yield Finding("ok", "owner", f"{folder} and the files in it belong to {place.user(wanted)}.")


def look_at_folder(folder: Path) -> Iterator[Finding]:
    """Whether it exists, is writable, is private, and has free space."""
    if not folder.exists():
        yield Finding(
            "warn",
            "data",
            f"{folder} does not exist. The server creates the folder at its first start; if the data is elsewhere, "
            f"pass its folder with --data.",
        )
        return
    if not folder.is_dir():
        yield Finding("fail", "data", f"{folder} is not a folder. Choose another --data.")
        return
    yield _writable(folder)
    yield from _closed_to_others(folder)
    yield _room(folder)


def look_at_database(url: str, folder: Path) -> Iterator[Finding]:
    """Whether it is reachable and keeps what it acknowledges. Never creates a missing database."""
    yield _sqlite_version()
    try:
        if (file := sqlite_file(url, folder)) is not None:
            yield from _look_at_file(file, folder)
        elif url.startswith(("postgresql://", "postgres://")):
            yield from _look_at_postgres(shared_engine(url))
        else:
            yield Finding(
                "fail", "database", "The setting `database` is neither sqlite:FILE nor postgresql://USER@HOST/NAME."
            )
    except StoreError as wrong:
        yield Finding("fail", "database", sentence(str(wrong)))
    except OSError as wrong:
        yield Finding("fail", "database", plain(wrong))


def _look_at_file(path: Path, folder: Path) -> Iterator[Finding]:
    """An SQLite database, without changing it, or anything next to it. Raises StoreError."""
    refuse_partial(path)
    if not path.exists() or path.stat().st_size == 0:
        yield _no_database(path, folder)
        return
    yield from _database_closed_to_others(path)
    if (journal := unmerged(path)) is not None:
        said = (
            f"sqlite:{path} was not inspected: reading the file would merge {journal.name} into it, as the next start "
            "of the server will."
        )
        yield Finding("ok", "database", said)
        return
    with contextlib.closing(SqliteFile(path, still=True)) as db:
        yield Finding("ok", "database", f"sqlite:{path} can be read.")
        yield _schema(db)


def unmerged(path: Path) -> Path | None:
    """The journal that reading a database would merge, if no process has it open; None if there is none."""
    journal, index = (path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))
    return journal if journal.exists() and journal.stat().st_size and not index.exists() else None


def _look_at_postgres(engine: Engine) -> Iterator[Finding]:
    """Raises StoreError."""
    try:
        engine.check_safety()
        yield Finding(
            "ok", "database", f"{engine.where} is reachable, and configured to keep every write that it acknowledges."
        )
        with contextlib.closing(engine.reader()) as db:
            yield _schema(db)
        if engine.node is not None:
            yield from _nodes(engine)
    finally:
        engine.close()


def _schema(db: Db | SqliteFile) -> Finding:
    """What a start of this version would do to the schema. Raises StoreError."""
    if is_empty(db):
        return Finding("ok", "schema", "The database has no schema yet: the server creates one at its first start.")
    found = plan(db)
    if found.refusal is not None:
        return Finding("fail", "schema", f"The database {found.refusal}. Start the newer version, or restore a backup.")
    said = f"The schema is {found.schema}."
    if found.newer:
        said += (
            " This version of Tidings is older than the schema, but can still run with it, so you can go back to this "
            "version."
        )
    if found.missing:
        ends = [name for name, adds in found.missing.items() if not adds]
        said += f" The next start will apply these migrations: {', '.join(found.missing)}. "
        said += (
            f"After that, versions of Tidings without the migration {ends[-1]} cannot start on this database: make a "
            "backup first."
            if ends
            else "After that, older versions of Tidings can still run with the schema."
        )
    return Finding("ok", "schema", said)


def _nodes(engine: Engine) -> Iterator[Finding]:
    """The servers that share the database. Raises StoreError."""
    db = engine.reader()
    try:
        found = nodes.seen(db)
    finally:
        db.close()
    for node in found:
        does = f"{'is ' if node.role == 'gone' else ''}{node.role}"
        said = f"{node.name} (version {node.version}) {does}; it was last heard from {node.seconds:.0f} s ago."
        yield Finding("warn" if node.seconds > nodes.PROOF_SECONDS else "ok", "server", said)


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as wrong:
        said = f"{folder} is not writable: {(wrong.strerror or str(wrong)).lower()}"
        return Finding("fail", "data", f"{said}. {_advice_on(wrong.errno, folder)}")
    return Finding("ok", "data", f"{folder} is writable.")


def _advice_on(number: int | None, folder: Path) -> str:
    """What to do if this error prevents writing to a folder."""
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space."
    if number == errno.EROFS:
        return "Mount a writable volume at the data folder, or choose another --data."
    ours = os.geteuid()
    return f"It belongs to {place.owner_of(folder)}, but you are {place.user(ours)}. Run: chown -R {ours} {folder}"


def _closed_to_others(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield Finding("warn", "privacy", f"Other users can read {folder} (mode {mode:o}). Run: chmod 700 {folder}")
    else:
        yield Finding("ok", "privacy", f"{folder} is private.")
    key = folder / KEY_FILE
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        yield Finding("fail", "privacy", f"Other users can read {key}, so the server refuses it. Run: chmod 600 {key}")


def _no_database(path: Path, folder: Path) -> Finding:
    if (folder / KEY_FILE).exists():
        advice = "The server refuses to start without its data: restore the data with `tidings restore`."
        return Finding("fail", "database", f"{path} is {('empty' if path.exists() else 'missing')}. {advice}")
    return Finding("warn", "database", f"{path} does not exist. The server creates the file at its first start.")


def _database_closed_to_others(path: Path) -> Iterator[Finding]:
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Finding(
                "warn",
                "privacy",
                f"Other users can read {file}. The next start will fix this; to fix it now, run: chmod 600 {file}",
            )


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{folder} has {free / 1000000000.0:.1f} GB of free space."
    if free < FREE_BYTES_FAIL:
        return Finding("fail", "disk", f"{text} Free some space: the server cannot accept anything on a full disk.")
    if free < FREE_BYTES_WARN:
        return Finding("warn", "disk", f"{text} Free some space before the disk is full.")
    return Finding("ok", "disk", text)


def _sqlite_version() -> Finding:
    version = library_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_OLDEST:
        return Finding("fail", "sqlite", f"SQLite {version} can lose writes. Install apsw 3.54 or later.")
    return Finding("ok", "sqlite", f"SQLite {version}.")
