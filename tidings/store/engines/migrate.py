"""Apply the numbered files of store/migrations/, one transaction each, once each."""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from typing import Any

from tidings.store.base import StoreError

_FILE = re.compile(r"([0-9]{4})_\w+\.sql")

_TABLE = {
    "sqlite": "SELECT MAX(name) FROM sqlite_master WHERE type = 'table' AND name = 'migration'",
    "postgres": "SELECT to_regclass('migration')::text",
}

_POSTGRES_WORDS = (
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
    (re.compile(r"\bBLOB\b"), "BYTEA"),
    (re.compile(r"\bREAL\b"), "DOUBLE PRECISION"),
    (re.compile(r"\)\s*STRICT(, WITHOUT ROWID)?;"), ");"),
)


def is_empty(db: Any) -> bool:
    """Whether the database has nothing of ours. Writes nothing."""
    if db.query(_TABLE[db.dialect], {})[0][0] is None:
        return True
    return not db.query("SELECT 1 FROM migration LIMIT 1", {})


def migrate(db: Any) -> list[str]:
    """Bring the database to the present schema. Returns the names of the files applied.

    Raises StoreError if the database is newer than this program.
    """
    db.script(
        _words(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL) STRICT;", db
        )
    )
    done = {row[0] for row in db.query("SELECT number FROM migration", {})}
    known = migrations()
    if done - {number for number, _, _ in known}:
        raise StoreError("this database was made by a newer Tidings; start that version, or restore a backup")
    applied = []
    for number, name, sql in known:
        if number in done:
            continue
        db.begin()
        try:
            if db.dialect == "postgres":
                # A migration waits for as long as it takes.
                db.execute("SET LOCAL lock_timeout = 0", {})
            db.script(_words(sql, db))
            db.insert("migration", ["number", "name"], [(number, name)])
            db.commit()
        except BaseException:
            db.rollback()
            raise
        applied.append(name)
    return applied


@functools.cache
def migrations() -> tuple[tuple[int, str, str], ...]:
    """Every migration: number, file name, text."""
    found = []
    for file in files("tidings.store.migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match:
            found.append((int(match[1]), file.name, file.read_text()))
    return tuple(sorted(found))


def _words(sql: str, db: Any) -> str:
    if db.dialect == "postgres":
        for pattern, word in _POSTGRES_WORDS:
            sql = pattern.sub(word, sql)
    return sql
