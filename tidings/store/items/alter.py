"""Carry out a plan: the tables of items follow it, in the transaction that is open.

A large table is changed in the same way in slices (handover.py); the steps are those of this file and of successor.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import msgspec

from tidings.model.collection import Collection
from tidings.model.errors import Unavailable
from tidings.model.moment import Micros
from tidings.rules.declare.plan import AddField, DropField, Pair, Plan, RenameField
from tidings.store.base import LOCK_SECONDS, Db, Held
from tidings.store.items import indexes, tables
from tidings.store.items.successor import Successor, is_needed

LOCK_MILLISECONDS = 50
RETRY_AFTER_SECONDS = 5.0
_THERE = {
    "sqlite": "SELECT 1 FROM sqlite_schema WHERE name = :name",
    "postgres": "SELECT 1 FROM pg_class WHERE relname = :name AND relnamespace = current_schema()::regnamespace",
}


class InUse(Unavailable):
    """A table that has to be altered is being read. On PostgreSQL, everybody would wait until that read ends."""


@contextlib.contextmanager
def without_waiting(db: Db, milliseconds: int = LOCK_MILLISECONDS) -> Iterator[None]:
    """Tables are altered inside this context. Raises InUse if somebody reads them for longer than a moment."""
    if db.dialect != "postgres":
        yield
        return
    db.execute(f"SET LOCAL lock_timeout = {milliseconds}", {})
    try:
        yield
    except Held as wrong:
        detail = "Something, such as a backup, has been reading the items for too long, so nothing was declared."
        raise InUse(detail, retry_after_seconds=RETRY_AFTER_SECONDS) from wrong
    db.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'", {})


def keep_others_out(db: Db, plan: Plan) -> None:
    """If other nodes write as well: until the end of the transaction, they wait to write these items.

    Then they begin again and write as the new declaration says (store/writing/contention.py, `end`).
    """
    if db.shares and plan.steps and plan.present:
        names = ", ".join(sorted(map(tables.table, plan.present.values())))
        db.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE", {})


def carry_out(db: Db, plan: Plan, now: Micros) -> dict[str, Collection]:
    """Do all steps. Returns the collections that were made or changed, by name, with their tables.

    The plan was inspected (inspect.py) in this transaction. Raises StoreError.
    """
    if db.shares:
        discard(db, [plan.present[name] for name in plan.dropped])
        return _carried_out_beside_others(db, plan, now)
    for name in plan.dropped:
        drop(db, tables.table(plan.present[name]))
    moved = [pair for pair in plan.pairs if pair.before.name != pair.after.name or is_needed(plan, pair, db.dialect)]
    aside = {pair.after.name: _put_aside(db, pair.before) for pair in moved}
    made = {}
    for pair in plan.pairs:
        name = pair.after.name
        made[name] = _rebuilt(db, plan, pair, aside[name], now) if name in aside else in_place(db, plan, pair)
    return made | {collection.name: create(db, collection) for collection in plan.created}


def _carried_out_beside_others(db: Db, plan: Plan, now: Micros) -> dict[str, Collection]:
    """The same if other nodes read in the meantime: the tables that they read are left unchanged, and dropped later."""
    made = {}
    for pair in plan.pairs:
        name = pair.after.name
        if pair.before.name == name and not is_needed(plan, pair, db.dialect):
            made[name] = in_place(db, plan, pair)
        else:
            made[name] = _replaced(
                db, Successor(plan, pair, named(db, pair.after), tables.table(pair.before), db.dialect, now)
            )
            discard(db, [pair.before])
    return made | {collection.name: create(db, collection) for collection in plan.created}


def create(db: Db, collection: Collection) -> Collection:
    """Make the table of a new collection."""
    made = named(db, collection)
    for sql in tables.complete(made, db.dialect):
        db.execute(sql, {})
    return made


def named(db: Db, collection: Collection) -> Collection:
    """The collection with the name of a table to create: its own, or another if that table exists."""
    made, number = msgspec.structs.replace(collection, table=""), 0
    listed = {row[0] for row in db.all("discarded_tables")}
    while tables.bare(made) in listed or db.query(_THERE[db.dialect], {"name": tables.bare(made)}):
        number += 1
        made = msgspec.structs.replace(collection, table=f"{collection.name}__{number}")
    return made


def in_place(db: Db, plan: Plan, pair: Pair) -> Collection:
    """Alter a table without touching its rows, when it needs no successor (successor.py, `is_needed`)."""
    table = tables.table(pair.after)
    steps = [step for step in plan.steps_of(pair) if isinstance(step, AddField | DropField | RenameField)]
    if steps:
        indexes.move(db, pair)
    for step in steps:
        if isinstance(step, DropField):
            db.execute(f"ALTER TABLE {table} DROP COLUMN {tables.column(step.field.name)}", {})
        elif isinstance(step, RenameField):
            was, name = tables.column(step.was), tables.column(step.field)
            db.execute(f"ALTER TABLE {table} RENAME COLUMN {was} TO {name}", {})
        elif isinstance(step, AddField):
            kind = tables.column_type(step.field, db.dialect)
            db.execute(f"ALTER TABLE {table} ADD COLUMN {tables.column(step.field.name)} {kind}", {})
    return pair.after


def drop(db: Db, table: str) -> None:
    """Drop a (quoted) table of items, if it is there."""
    if db.dialect == "sqlite":
        db.execute(f"DROP TABLE IF EXISTS {tables.words_table(table)}", {})
    db.execute(f"DROP TABLE IF EXISTS {table}", {})


def discard(db: Db, collections: Iterable[Collection]) -> None:
    """Leave these collections' tables to the background job that drops tables (control/declare/discarded.py)."""
    _list(db, "discarded_put", map(tables.bare, collections))


def keep(db: Db, collections: Iterable[Collection]) -> None:
    """Take tables off that list: they are collections' now."""
    _list(db, "discarded_drop", map(tables.bare, collections))


def unlist(name: str, db: Db) -> None:
    """Take a table off that list by its name without quotes."""
    _list(db, "discarded_drop", [name])


def _list(db: Db, statement: str, names: Iterable[str]) -> None:
    if found := list(names):
        db.run(statement, names=msgspec.json.encode(found).decode())


def lessen(table: str, db: Db, most: int) -> bool:
    """On SQLite, remove an index or some rows of a (quoted) table that is being dropped; returns whether any are
    left."""
    bare = {"name": table.strip('"')}
    if not db.query("SELECT 1 FROM sqlite_schema WHERE name = :name", bare):
        return False
    made = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = :name AND sql IS NOT NULL LIMIT 1"
    for (index,) in db.query(made, bare):
        db.execute(f'DROP INDEX "{index}"', {})
        return True
    rows = f"SELECT seq FROM {table} ORDER BY seq LIMIT :most"  # noqa: S608 -- our own names
    return db.execute(f"DELETE FROM {table} WHERE seq IN ({rows})", {"most": most}) > 0  # noqa: S608 -- our own names


def _put_aside(db: Db, collection: Collection) -> str:
    """Free the names of a table, its indexes and its words; returns its new name."""
    table = tables.table(collection)
    aside = f'{table[:-1]}__before"'
    for name in indexes.present(db, collection):
        db.execute(f"DROP INDEX {name}", {})
    if db.dialect == "sqlite":
        db.execute(f"DROP TABLE IF EXISTS {tables.words_table(table)}", {})
    db.execute(f"ALTER TABLE {table} RENAME TO {aside}", {})
    return aside


def _rebuilt(db: Db, plan: Plan, pair: Pair, aside: str, now: Micros) -> Collection:
    """Put another table in the place of one that was put aside."""
    made = _replaced(db, Successor(plan, pair, named(db, pair.after), aside, db.dialect, now))
    db.execute(f"DROP TABLE {aside}", {})
    return made


def _replaced(db: Db, made: Successor) -> Collection:
    made.make(db)
    made.fill(db, "TRUE", {})
    made.take_numbers(db)
    return made.collection
