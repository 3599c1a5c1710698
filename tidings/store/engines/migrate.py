"""Apply the numbered files of store/migrations/, one transaction each, once each.

A migration that only adds says so (ADDS): versions that do not know it can still run on the database, and what they
write is right for those that do. So versions can be upgraded one server after the other, and an upgrade can be undone.
The database keeps the last migration that a version must know (LEAST).
"""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from typing import Any

import msgspec

from tidings.store.base import StoreError

ADDS = "-- Older versions can run with this."
"""A separate line with this text marks a migration that only adds tables, columns with a default, or indexes, so that
older code can ignore it."""
LEAST = "schema_least"
"""The name of the stored value with the number of the last migration that a version must know."""
FACTS_SINCE = 3
"""The migration that introduced stored values about the store itself."""
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
    """Whether the database has nothing of Tidings in it. Writes nothing."""
    if db.query(_TABLE[db.dialect], {})[0][0] is None:
        return True
    return not db.query("SELECT 1 FROM migration LIMIT 1", {})


def migrate(db: Any) -> list[str]:
    """Bring the database to the present schema. Returns the names of the files applied.

    Raises StoreError if a newer version has changed the database so that this one cannot run on it.
    """
    db.script(
        _words(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL) STRICT;", db
        )
    )
    there = plan(db)
    if there.refusal is not None:
        raise StoreError(f"this database {there.refusal}; start that version, or restore a backup")
    applied, least = [], there.least
    for number, name, sql in migrations():
        if name not in there.missing:
            continue
        least = least if only_adds(sql) else number
        db.begin()
        try:
            if db.dialect == "postgres":
                # A migration waits for as long as it takes.
                db.execute("SET LOCAL lock_timeout = 0", {})
            db.script(_words(sql, db))
            db.insert("migration", ["number", "name"], [(number, name)])
            if number >= FACTS_SINCE:
                db.run("store_fact_put", name=LEAST, value=str(least))
            db.commit()
        except BaseException:
            db.rollback()
            raise
        applied.append(name)
    return applied


class SchemaPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a start of this version does to the schema of a database that has one."""

    schema: int
    """The number of the last migration that the database has."""
    least: int
    """The number of the last migration that a version must know to run on the database."""
    newer: int
    """How many migrations the database has that this version does not know."""
    missing: dict[str, bool]
    """The migrations that a start applies, in order. By name: whether older versions can run after it."""
    refusal: str | None
    """Why this version does not start on it, as the rest of a sentence that begins with "this database"; else None."""


def plan(db: Any) -> SchemaPlan:
    """What `migrate` would do. Writes nothing; the database must have the table `migration`."""
    done = {row[0] for row in db.query("SELECT number FROM migration", {})}
    known = migrations()
    numbers = {number for number, _, _ in known}
    newer, refusal = done - numbers, None
    least = max((number for number, _, sql in known if number in done and not only_adds(sql)), default=0)
    if newer:
        # Versions before this fact refused every newer database.
        fact = db.query("SELECT value FROM store WHERE name = :name", {"name": LEAST}) if FACTS_SINCE in done else []
        least = max(least, int(fact[0][0]) if fact else max(newer))
        if least > max(numbers):
            refusal = (
                f"was changed by a newer Tidings (schema {max(newer)}; this version knows {max(numbers)}, and only "
                f"those that know {least} can run on it)"
            )
    missing = {name: only_adds(sql) for number, name, sql in known if number not in done}
    return SchemaPlan(schema=max(done, default=0), least=least, newer=len(newer), missing=missing, refusal=refusal)


def only_adds(sql: str) -> bool:
    """Whether versions that do not know this migration can run with it."""
    return ADDS in sql.splitlines()


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
