"""Open a store by its URL: the one list of engines, and the checks against a second server and a lost database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from tidings.store import journal
from tidings.store.base import Db, Engine, StoreError
from tidings.store.engines.gaps import REACHED, HowFar, reached
from tidings.store.engines.migrate import is_empty, migrate, plan
from tidings.store.files import PRIVATE, FileLock, close_to_others, make_private, refuse_partial
from tidings.store.seal import KEY_FILE

if TYPE_CHECKING:
    from tidings.store.engines.postgres import PostgresEngine

FOLDER_LOCK = "lock"
NODE, WORKERS = "node", "workers"
DRAINING = "draining"
LAST_DATABASE = "database"
"""The name of the line in the folder's lock file about the last database that was opened from the folder."""

NO_DRIVER = "PostgreSQL needs an extra, which is not installed: run `pip install 'tidings[postgres]'`"

Expected = Literal["any", "filled", "empty"]
"""The database that a start accepts: `filled`, an existing one; `empty`, a new one; or `any`."""


def open_engine(
    url: str,
    folder: Path,
    expected: Expected = "any",
    joined: bool = False,
    wants_to_send: bool = True,
    *,
    keeps: bool = False,
) -> Engine:
    """The engine for `sqlite:FILE` (relative to the data folder) or `postgresql://...`, brought to the present schema.

    `joined`: it works together with other joined nodes; `wants_to_send`: it routes and sends if no other node does.
    `keeps`: its connection is the writer's; if not, it is closed, unless the node is joined.
    Raises StoreError if the database cannot be used, would lose acknowledged data, or is not as `expected`.
    """
    if joined:
        return _join(url, folder, expected, wants_to_send)
    engine: Engine
    file = sqlite_file(url, folder)
    if file is not None:
        from tidings.store.engines.sqlite import SqliteEngine

        _prepare(file, folder, expected)
        engine = SqliteEngine(file)
    else:
        engine = shared_engine(url)
    db = engine.writer()
    try:
        _open(engine, db, folder, expected)
    except BaseException:
        db.close()
        raise
    if keeps:
        engine.keep(db)
    else:
        db.close()
    return engine


def _open(engine: Engine, db: Db, folder: Path, expected: Expected) -> None:
    empty = is_empty(db)
    if empty and expected == "filled":
        raise _lost(engine.where, folder)
    if not empty and expected == "empty":
        raise StoreError(f"{engine.where} is not empty: start without --new-store, or choose another --database")
    migrate(db)
    journal.begin(db)
    engine.claim(db)


def _join(url: str, folder: Path, expected: Expected, wants_to_send: bool) -> Engine:
    """The same for a joined node.

    Its writer's session stays open: if it got another one, another node could be the sender.
    """
    if sqlite_file(url, folder) is not None:
        raise StoreError("--join requires a PostgreSQL database: an SQLite file belongs to one server")
    engine = shared_engine(url, joined=True, wants_to_send=wants_to_send)
    db = engine.writer()
    try:
        with db.opening() as others:
            if others and not is_empty(db) and not all(plan(db).missing.values()):
                raise StoreError(
                    "this version changes the database so that nodes of older versions cannot run on it: stop all "
                    "other nodes first"
                )
            _open(engine, db, folder, expected)
    except BaseException:
        db.close()
        raise
    engine.keep(db)
    return engine


def shared_engine(url: str, *, joined: bool = False, wants_to_send: bool = True) -> PostgresEngine:
    """The engine of a database that several servers can reach, not opened yet. Raises StoreError."""
    if not url.startswith(("postgresql://", "postgres://")):
        # Whatever else it is may have a password in it.
        raise StoreError("the database is neither sqlite:FILE nor postgresql://USER@HOST/NAME")
    with driver_needed():
        from tidings.store.engines.postgres import PostgresEngine

    return PostgresEngine(url, joined=joined, wants_to_send=wants_to_send)


@contextmanager
def driver_needed() -> Iterator[None]:
    """Wrap an import that uses psycopg. Raises StoreError if psycopg, or the libpq that it needs, is missing."""
    try:
        yield
    except ImportError as wrong:
        raise StoreError(NO_DRIVER, because="" if isinstance(wrong, ModuleNotFoundError) else str(wrong)) from wrong


def sqlite_file(url: str, folder: Path) -> Path | None:
    """The file of an SQLite database; None if the URL names something else."""
    if not url.startswith("sqlite:"):
        return None
    name = url.removeprefix("sqlite:")
    return Path(name) if name.startswith("/") else folder / name


def files_of(database: Path | None, folder: Path) -> list[Path]:
    """The files that a server writes to or reads in its data folder, and those of an SQLite database."""
    files = [folder / FOLDER_LOCK, folder / KEY_FILE]
    if database is not None:
        files += [database.with_name(f"{database.name}{end}") for end in ("", "-wal", "-shm", ".lock")]
    return files


def lock_folder(folder: Path) -> FileLock:
    """Keep a second server away from the same data folder. Raises StoreBusy."""
    return FileLock(folder / FOLDER_LOCK, folder, "--data")


def lock_database(url: str, folder: Path) -> FileLock | None:
    """Keep a second server away from the same SQLite file, whichever data folder or name it uses.

    None: on PostgreSQL the writer holds the lock. Raises StoreBusy.
    """
    file = sqlite_file(url, folder)
    if file is None or not file.resolve().parent.is_dir():
        return None
    file = file.resolve()
    lock = FileLock(file.with_name(f"{file.name}.lock"), file, "--database")
    try:
        if file.is_file():
            lock.also_inode(file)
    except BaseException:
        lock.release()
        raise
    return lock


def was_used(url: str, folder: Path, lock: FileLock) -> bool:
    """Whether a store was opened from this folder before, so that an empty database means a lost one."""
    return (folder / KEY_FILE).exists() or lock.before.get(LAST_DATABASE) == _place(url, folder)


def note_use(url: str, folder: Path, lock: FileLock) -> None:
    """Remember that this database was opened from this folder, for a folder without a key file."""
    lock.note(LAST_DATABASE, _place(url, folder))


def note_node(node: str, lock: FileLock) -> None:
    """Remember the id of the node that runs with this folder."""
    lock.note(NODE, node)
    lock.note(WORKERS, 0)


def note_workers(folder: Path, count: int, lock: FileLock) -> None:
    """Remember that several nodes use the folder, and copy what a single one has left in it into each of theirs.

    Raises StoreBusy if one of an earlier start still runs.
    """
    for each in sorted({*worker_folders(folder, count), *folder.glob("worker-*")}):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        theirs = lock_folder(each)
        for name in (LAST_DATABASE, REACHED):
            if name in lock.before and name not in theirs.before:
                theirs.note(name, lock.before[name])
        theirs.release()
    lock.note(WORKERS, count)


def worker_folders(folder: Path, count: int) -> list[Path]:
    """The folders of the nodes that run with this folder: each has its own lock and its own notes."""
    return [folder / f"worker-{number}" for number in range(1, count + 1)]


def note_draining(folder: Path, *, asked: bool) -> None:
    """Record whether all nodes of this folder were asked to exit, so that none is started again.

    Raises OSError.
    """
    file = folder / DRAINING
    if asked:
        file.touch(PRIVATE)
    else:
        file.unlink(missing_ok=True)


def is_draining(folder: Path) -> bool:
    """Whether all nodes of this folder were asked to exit."""
    return (folder / DRAINING).exists()


def nodes_of(folder: Path) -> list[str]:
    """The ids of the nodes that run with this folder, or last did; empty if none ever has."""
    noted = FileLock.content_of(folder / FOLDER_LOCK)
    folders = worker_folders(folder, noted.get(WORKERS) or 0)
    found = [FileLock.content_of(each / FOLDER_LOCK).get(NODE) for each in folders] if folders else [noted.get(NODE)]
    return [each for each in found if each is not None]


def reached_before(url: str, folder: Path, lock: FileLock) -> HowFar | None:
    """How far this database had come when a server last used it from this folder; None if that is not known."""
    return reached(lock.before.get(REACHED)) if lock.before.get(LAST_DATABASE) == _place(url, folder) else None


def _place(url: str, folder: Path) -> str:
    """Which database this is, without a password."""
    file = sqlite_file(url, folder)
    if file is not None:
        return f"sqlite:{file.resolve()}"
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return f"postgresql://{hosts if ',' in hosts else parts.hostname or ''}{parts.path}"


def _prepare(file: Path, folder: Path, expected: Expected) -> None:
    """Check that the file exists, has no other name, and is closed to others. Raises StoreError."""
    try:
        if file.is_dir():
            return
        refuse_partial(file)
        size = file.stat().st_size if file.exists() else 0
        wal = file.with_name(f"{file.name}-wal")
        if size == 0 and expected == "filled":
            raise _lost(f"sqlite:{file}", folder)
        if size == 0 and wal.exists() and wal.stat().st_size > 0:
            raise StoreError(
                f"{file} is {('empty' if file.exists() else 'missing')}, but {wal} contains changes to it, "
                "which opening would destroy. Put the database back, or move that file away"
            )
        if size == 0 and file.resolve().parent.is_dir():
            make_private(file.resolve())
        if file.exists() and file.stat().st_nlink > 1:
            raise StoreError(
                f"{file} is one of {file.stat().st_nlink} names (hard links) of the same file. SQLite would keep a "
                f"journal for each name and destroy the database. Copy it, and remove the other names: "
                f"find / -xdev -samefile {file}"
            )
        for name in (file.name, f"{file.name}-wal", f"{file.name}-shm"):
            close_to_others(file.with_name(name))
    except OSError as wrong:
        raise StoreError("the database cannot be opened", because=f"{file}: {wrong.strerror}") from wrong


def _lost(where: str, folder: Path) -> StoreError:
    return StoreError(
        f"the data folder {folder} was used before, but its database is empty or missing ({where}): the server "
        "would start with nothing. Put the database back (tidings restore), or name it with --database. To "
        "begin with nothing on purpose, start once with --new-store"
    )
