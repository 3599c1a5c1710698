"""What `tidings doctor` checks on this machine: limits, clock, data folder, database."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from tidings.cli.terminal.sentences import sentence
from tidings.store.base import Engine, StoreError
from tidings.store.engines import nodes
from tidings.store.engines.migrate import is_empty, plan
from tidings.store.engines.postgres import PostgresEngine
from tidings.store.engines.sqlite import SqliteEngine, library_version
from tidings.store.files import refuse_partial
from tidings.store.seal import KEY_FILE

FREE_BYTES_FAIL = 100 * 1024 * 1024
FREE_BYTES_WARN = 1024 * 1024 * 1024
OPEN_FILES_WARN = 4_096
OPEN_FILES_FAIL = 256
CLOCK_BEGINS = 1_767_225_600
"""2026-01-01: a clock before this has never been set."""
SQLITE_OLDEST = (3, 51, 3)
"""Older versions can lose a write after a WAL reset."""


class Finding(msgspec.Struct, frozen=True):
    """One line: the state, the subject, and a sentence that says what to do."""

    state: Literal["ok", "warn", "fail"]
    what: str
    detail: str


def look_at_machine() -> Iterator[Finding]:
    """Open files and the clock."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < OPEN_FILES_WARN:
        state: Literal["warn", "fail"] = "fail" if files < OPEN_FILES_FAIL else "warn"
        advice = (
            f"Raise the limit before you start the server: ulimit -n {min(most, 65536)}, or "
            f"LimitNOFILE=65536 in the systemd unit."
        )
        yield Finding(
            state, "files", f"Only {files} files can be open at a time, and each connection counts as one. {advice}"
        )
    else:
        yield Finding("ok", "files", f"{files} files can be open at a time.")
    if time.time() < CLOCK_BEGINS:
        yield Finding(
            "fail",
            "clock",
            "The clock is years behind, so receivers refuse signatures. Set the clock, for example by NTP.",
        )
    else:
        yield Finding("ok", "clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def look_at_folder(folder: Path) -> Iterator[Finding]:
    """Whether it exists, is writable, is private, and has free space."""
    if not folder.exists():
        yield Finding(
            "warn",
            "data",
            f"{folder} does not exist. The first start creates it; if the data is elsewhere, name its folder "
            f"with --data.",
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
    engine: Engine
    if url.startswith("sqlite:"):
        path = folder / url.removeprefix("sqlite:")
        try:
            refuse_partial(path)
        except StoreError as wrong:
            yield Finding("fail", "database", sentence(str(wrong)))
            return
        if not path.exists() or path.stat().st_size == 0:
            yield _no_database(path, folder)
            return
        yield from _database_closed_to_others(path)
        engine = SqliteEngine(path)
    elif url.startswith(("postgresql://", "postgres://")):
        engine = PostgresEngine(url)
    else:
        yield Finding("fail", "database", "The setting is neither sqlite:FILE nor postgresql://USER@HOST/NAME.")
        return
    try:
        engine.check_safety()
        yield Finding(
            "ok", "database", f"{engine.where} is reachable, and configured to keep every write that it acknowledges."
        )
        yield from _schema(engine)
        if engine.node is not None:
            yield from _nodes(engine)
    except StoreError as wrong:
        yield Finding("fail", "database", sentence(str(wrong)))
    finally:
        engine.close()


def _schema(engine: Engine) -> Iterator[Finding]:
    """What a start of this version would do to the schema. Raises StoreError."""
    db = engine.reader()
    try:
        if is_empty(db):
            yield Finding("ok", "schema", "The database has no schema yet: the first start makes it.")
            return
        found = plan(db)
    finally:
        db.close()
    if found.refusal is not None:
        yield Finding("fail", "schema", f"The database {found.refusal}. Start that version, or restore a backup.")
        return
    said = f"The schema is {found.schema}."
    if found.newer:
        said += " It is newer than this version, which can run with what was added. Going back is possible."
    if found.missing:
        ends = [name for name, adds in found.missing.items() if not adds]
        said += f" A start applies {', '.join(found.missing)}. "
        said += (
            f"Versions that do not know {ends[-1]} cannot start afterwards: make a backup first."
            if ends
            else "Older versions can run with it."
        )
    yield Finding("ok", "schema", said)


def _nodes(engine: Engine) -> Iterator[Finding]:
    """The servers that share the database. Raises StoreError."""
    db = engine.reader()
    try:
        found = nodes.seen(db)
    finally:
        db.close()
    for node in found:
        does = "works" if node.works else "stands by"
        said = f"{node.name} (version {node.version}) {does}; it was last heard {node.seconds:.0f} s ago."
        yield Finding("warn" if node.seconds > nodes.PROOF_SECONDS else "ok", "server", said)


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as wrong:
        owner = folder.stat().st_uid
        advice = (
            f"It belongs to user {owner}, you are {os.getuid()}. Free space, or run: chown -R {os.getuid()} {folder}"
        )
        return Finding("fail", "data", f"{folder} is not writable: {wrong.strerror}. {advice}")
    return Finding("ok", "data", f"{folder} is writable.")


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
    return Finding("warn", "database", f"{path} does not exist. The first start creates it.")


def _database_closed_to_others(path: Path) -> Iterator[Finding]:
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Finding(
                "warn", "privacy", f"Other users can read {file}. The next start fixes this; or run: chmod 600 {file}"
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
