"""SQLite through apsw, which brings its own current SQLite (the only file that imports it)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from tidings.rules.reading import decimals
from tidings.store.base import (
    NO_HOOKS,
    BriefDb,
    Builder,
    Db,
    Outdated,
    Positions,
    Row,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    TooLong,
    UniqueViolation,
    UnsharedEngine,
)
from tidings.store.engines.open_files import OpenFiles
from tidings.store.engines.statements import statements
from tidings.store.watch import Watch

BUSY_MS = 5_000
CACHE_KIB = 16 * 1024
BRIEF_CACHE_KIB = 64 * 1024
"""The cache of the connection that reads for the event loop, so that it need not fetch each page from the system."""
CHECKPOINT_PAGES = 4_000
JOURNAL_BYTES_MAX = 64 * 1024 * 1024
COPIED_PAGES = 2_000
"""How many pages are copied between two reports of progress: 8 MB."""
BRIEF_STEPS = 2_000
BRIEF_TIMES = 10
"""A brief read may take this many times BRIEF_STEPS steps of SQLite's virtual machine, which is about a millisecond."""


class SqliteDb:
    """One connection. Not to be used by two threads at once."""

    dialect = "sqlite"
    journal = 0
    noted = 0
    shares = False
    session = None
    positions: Positions | None = None

    def __init__(self, path: str, *, readonly: bool) -> None:
        try:
            self._open(path, readonly=readonly)
        except (apsw.CantOpenError, apsw.NotADBError, apsw.CorruptError, apsw.ReadOnlyError) as wrong:
            raise StoreError("the database cannot be opened", because=f"{path}: {wrong}") from wrong
        except apsw.Error as wrong:
            raise translated(wrong) from wrong
        self._sql = statements("sqlite")
        self.watched: dict[str, Watch] = {}
        self.rest, self.stamp = NO_HOOKS
        self.files = None if readonly else OpenFiles(Path(path))
        self._depth = 0
        self._left = 0
        self._ending = False

    def _open(self, path: str, *, readonly: bool) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
        self._db = apsw.Connection(path, flags=flags, statementcachesize=200)
        self._db.set_busy_timeout(BUSY_MS)
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", "FULL")
        self._db.pragma("foreign_keys", False)
        self._db.pragma("temp_store", "memory")
        self._db.pragma("cache_size", -CACHE_KIB)
        self._db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        self._db.pragma("journal_size_limit", JOURNAL_BYTES_MAX)
        self._db.pragma("query_only", readonly)
        self._db.convert_binding = _bound
        self._db.create_scalar_function("decimal_key", _decimal_key, 1, deterministic=True)
        self._db.create_scalar_function("decimal_text", _decimal_text, 2, deterministic=True)

    # Written out rather than wrapped in a context manager, which costs as much as a small statement.

    def one(self, name: str, /, **params: Any) -> Row | None:
        try:
            row: Row | None = self._db.execute(self._sql[name], params).fetchone()
            return row
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    def all(self, name: str, /, **params: Any) -> list[Row]:
        try:
            return self._db.execute(self._sql[name], params).fetchall()
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    def run(self, name: str, /, **params: Any) -> int:
        return self.execute(self._sql[name], params)

    def query(self, sql: str, params: dict[str, Any]) -> list[Row]:
        try:
            return self._db.execute(sql, params).fetchall()
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    def execute(self, sql: str, params: dict[str, Any]) -> int:
        try:
            self._db.execute(sql, params)
            return self._db.changes()
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        try:
            self._db.executemany(_insert(table, tuple(columns)), rows)
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    append = insert

    def run_later(self, name: str, /, **params: Any) -> None:
        self.execute(self._sql[name], params)

    def execute_later(self, sql: str, params: dict[str, Any]) -> None:
        self.execute(sql, params)

    def many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        self.execute_many(self._sql[name], rows)

    def execute_many(self, sql: str, rows: Sequence[dict[str, Any]]) -> None:
        try:
            self._db.executemany(sql, rows)
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    def begin(self, *, write: bool = True) -> None:
        self._left, self._ending = BRIEF_TIMES, False
        try:
            self._db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    def commit(self) -> None:
        if self.files is not None:
            self.files.check(self._rescue)
        with _translated():
            self._db.execute("COMMIT")

    def _rescue(self) -> None:
        """Undo the transaction, and move the journal's content into the open file.

        That file is then complete, wherever it was moved. The journal keeps its name but is empty, so it cannot be
        mistaken for the journal of a file that was put in its place.
        """
        self.rollback()
        with contextlib.suppress(apsw.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def rollback(self) -> None:
        self._ending = True
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error:
            pass

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        self._depth += 1
        name = f"s{self._depth}"
        mark = None if self.positions is None else self.positions.mark()
        try:
            with _translated():
                self._db.execute(f"SAVEPOINT {name}")
            try:
                yield
            except BaseException:
                if self.positions is not None and mark is not None:
                    self.positions.back(mark)
                with _translated():
                    if self._db.in_transaction:
                        self._db.execute(f"ROLLBACK TO {name}")
                        self._db.execute(f"RELEASE {name}")
                raise
            with _translated():
                self._db.execute(f"RELEASE {name}")
        finally:
            self._depth -= 1

    def be_brief(self) -> None:
        """From now on, reads longer than a moment after `begin` or `start_brief` raise TooLong."""

        def count() -> bool:
            self._left -= 1
            # Not while a transaction ends: an interrupted ROLLBACK would leave it open.
            return self._left < 0 and not self._ending

        self._db.set_progress_handler(count, BRIEF_STEPS)
        self._db.pragma("cache_size", -BRIEF_CACHE_KIB)

    def start_brief(self) -> None:
        """Restart the count, for a single statement without a transaction, which sees one moment anyway."""
        self._left, self._ending = BRIEF_TIMES, False

    def script(self, sql: str) -> None:
        """Run several statements (migrations)."""
        with _translated():
            self._db.execute(sql)

    def pragma(self, name: str) -> Any:
        """Read a pragma."""
        return self._db.pragma(name)

    def close(self) -> None:
        self._db.close()


class SqliteEngine(UnsharedEngine):
    """One file in the data folder; one writer, many readers (WAL)."""

    dialect = "sqlite"
    journal = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = f"sqlite:{path}"
        self._files: OpenFiles | None = None
        self._opened: SqliteDb | None = None

    def writer(self) -> Db:
        db = self._opened or SqliteDb(str(self._path), readonly=False)
        self._opened = None
        self._refuse_unsafe(db)
        self._files = db.files
        return db

    def reader(self) -> Db:
        return self._reader()

    def _reader(self) -> SqliteDb:
        if self._files is not None:
            # Opening it would create a new file, or read a different one with our journal.
            self._files.check_opening()
        return SqliteDb(str(self._path), readonly=True)

    def brief_reader(self) -> BriefDb:
        db = self._reader()
        db.be_brief()
        return db

    def awaited_reads(self) -> None:
        """None: its own connection reads for the event loop."""

    def builder(self) -> Builder:
        raise StoreError("SQLite has one writer at a time: indexes are built by its jobs")

    def check_safety(self) -> None:
        db = SqliteDb(str(self._path), readonly=False)
        self._refuse_unsafe(db)
        db.close()

    def _refuse_unsafe(self, db: SqliteDb) -> None:
        mode, sync = db.pragma("journal_mode"), db.pragma("synchronous")
        if mode != "wal" or sync < 2:
            db.close()
            raise StoreError(
                f"{self.where} runs with journal_mode={mode}, synchronous={sync}: acknowledged events could be lost. "
                "Put the data folder on a local disk that supports WAL."
            )


class SqliteFile:
    """A database file that is only read: to inspect it, to check it, and to copy it as of one moment, even while a
    server writes to it. Its folder may be read-only."""

    dialect = "sqlite"
    journal = 0

    def __init__(self, path: Path, *, still: bool = False) -> None:
        """`still`: nobody writes to it, so no file has to be made next to it. Raises StoreError."""
        wal = path.with_name(f"{path.name}-wal")
        whole = "&immutable=1" if still and not (wal.exists() and wal.stat().st_size) else ""
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        self._path = path
        try:
            self._db = apsw.Connection(f"file:{quote(str(path.absolute()))}?mode=ro{whole}", flags=flags)
            self._db.set_busy_timeout(BUSY_MS)
            # Python handles signals only between two calls, so this makes long checks interruptible.
            self._db.set_progress_handler(lambda: False, 100_000)
            self._db.execute("BEGIN")
            self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchall()
        except apsw.Error as wrong:
            raise StoreError("the database cannot be read", because=f"{path}: {wrong}") from wrong

    def query(self, sql: str, params: dict[str, Any]) -> list[Row]:
        """Read. Raises StoreError."""
        with _translated():
            return self._db.execute(sql, params).fetchall()

    def damage(self) -> str | None:
        """What is wrong with it, as far as SQLite can tell; None if nothing is wrong. Reads the whole file."""
        try:
            found = [str(row[0]) for row in self._db.execute("PRAGMA integrity_check(3)")]
        except (apsw.CorruptError, apsw.NotADBError) as wrong:
            return str(wrong)
        except apsw.Error as wrong:
            raise translated(wrong) from wrong
        return None if found == ["ok"] else "; ".join(found)

    def copy_to(self, target: Path, progress: Callable[[int, int], None]) -> None:
        """Copy it as of the moment it was opened into an empty file, and call `progress(bytes done, bytes)`.

        The read transaction that is open here keeps the copy from starting over whenever somebody writes. Raises
        StoreError.
        """
        size = int(self._db.pragma("page_size"))
        try:
            with contextlib.closing(apsw.Connection(str(target))) as copy:
                # The caller syncs the file once, when it is complete.
                copy.pragma("synchronous", "OFF")
                copy.pragma("journal_mode", "off")
                with copy.backup("main", self._db, "main") as backup:
                    while not backup.done:
                        backup.step(COPIED_PAGES)
                        progress((backup.page_count - backup.remaining) * size, backup.page_count * size)
        except (apsw.CorruptError, apsw.NotADBError) as wrong:
            raise StoreError("the database is damaged", because=f"{self._path}: {wrong}") from wrong
        except apsw.Error as wrong:
            raise translated(wrong) from wrong

    def close(self) -> None:
        """End the read transaction."""
        self._db.close()


@lru_cache(maxsize=256)
def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})"  # noqa: S608 -- our own names


def library_version() -> str:
    """The version of SQLite itself, such as `3.51.3`."""
    return apsw.sqlite_lib_version()


def _bound(cursor: Any, number: int, value: Any) -> str:
    """A value in the form that SQLite stores."""
    if isinstance(value, Decimal):
        return decimals.key(value)
    raise TypeError(f"SQLite cannot store {type(value).__name__}")


def _decimal_key(*values: Any) -> str | None:
    """The key of a number, or of a decimal's text, in SQL."""
    (value,) = values
    return None if value is None else decimals.key(decimals.of(value))


def _decimal_text(*values: Any) -> str | None:
    """The text of a decimal's key, with this many digits after the point, in SQL."""
    key, scale = values
    return None if key is None else decimals.shown(decimals.from_key(key), scale)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as wrong:
        raise translated(wrong) from wrong


def translated(wrong: apsw.Error) -> StoreError:
    """SQLite's error as our own kind of error."""
    if isinstance(wrong, apsw.FullError):
        # For a copy that finds no room, SQLite gives the text of success, "not an error".
        return StoreFull("the disk is full", because="" if str(wrong) == "not an error" else str(wrong))
    if isinstance(wrong, apsw.IOError):
        return StoreFull("the disk refuses writes", because=str(wrong))
    if isinstance(wrong, apsw.ReadOnlyError):
        return StoreFull("the database cannot be written", because=str(wrong))
    if isinstance(wrong, apsw.CorruptError | apsw.NotADBError):
        return StoreDamaged("the database is damaged", because=str(wrong))
    if isinstance(wrong, apsw.BusyError):
        return StoreBusy("the database is held by another process", because=str(wrong))
    if isinstance(wrong, apsw.ConstraintError):
        return UniqueViolation("a value is taken", because=str(wrong))
    if isinstance(wrong, apsw.InterruptError):
        return TooLong("the read takes longer than a moment")
    if isinstance(wrong, apsw.SchemaChangeError):
        return Outdated("tables are being changed")
    return StoreError("SQLite refused", because=str(wrong))
