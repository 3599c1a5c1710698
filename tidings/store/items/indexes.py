"""The indexes that the tables of items have, and those that they should have (tables.py): compared, moved, made,
dropped."""

from __future__ import annotations

import msgspec

from tidings.model.collection import Collection
from tidings.rules.declare.plan import Pair
from tidings.rules.items.field import OWN_TIMES
from tidings.store.base import Db
from tidings.store.items import tables
from tidings.store.items.tables import Index

_PRESENT = {
    "sqlite": "SELECT name, 1 FROM sqlite_schema WHERE type = 'index' AND tbl_name = :name",
    "postgres": "SELECT i.relname, x.indisvalid::int FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid "
    "JOIN pg_class t ON t.oid = x.indrelid WHERE t.relname = :name AND t.relnamespace = current_schema()::regnamespace",
}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How the indexes of one table differ from those that it should have."""

    missing: tuple[Index, ...]
    unneeded: tuple[str, ...]
    """The indexes to drop, including invalid ones, which a crash left half built."""


def present(db: Db, collection: Collection) -> dict[str, bool]:
    """The names of the indexes that we made for a table, and whether each can be used."""
    rows = db.query(_PRESENT[db.dialect], {"name": tables.bare(collection)})
    return {str(name): bool(usable) for name, usable in rows if tables.is_index(str(name))}


def difference(db: Db, collection: Collection) -> Difference:
    """What has to be created and dropped."""
    there = present(db, collection)
    wanted = {index.name: index for index in tables.indexes(collection, db.dialect)}
    return Difference(
        missing=tuple(index for name, index in wanted.items() if not there.get(name)),
        unneeded=tuple(name for name, usable in there.items() if name not in wanted or not usable),
    )


def move(db: Db, pair: Pair) -> None:
    """Before columns change: drop indexes that the table will not have, and rename the others to match."""
    wanted = {index.name for index in tables.indexes(pair.after, db.dialect)}
    follows = dict(
        zip(
            (index.name for index in tables.indexes(pair.before, db.dialect)),
            (index.name for index in tables.indexes(_moved(pair), db.dialect)),
            strict=True,
        )
    )
    for name, usable in present(db, pair.before).items():
        after = follows.get(name)
        if not usable or after is None or after not in wanted:
            db.execute(f"DROP INDEX {name}", {})
        elif after != name:
            db.execute(f"ALTER INDEX {name} RENAME TO {after}", {})


def _moved(pair: Pair) -> Collection:
    """The old collection, with the names that it and its fields will have."""
    after = {source.name: field.name for field in pair.after.fields if (source := pair.source(field.name)) is not None}

    def name(old: str) -> str:
        if old in OWN_TIMES:
            return old
        # A dropped field must not be confused with a new one of its name, so it gets a name that no field can have.
        return after.get(old, f"{old}-gone")

    questions = tuple(
        msgspec.structs.replace(
            question,
            parameters=tuple(
                name(field) + dashes + operator
                for field, dashes, operator in (parameter.partition("__") for parameter in question.parameters)
            ),
        )
        for question in pair.before.questions
    )
    fields = tuple(msgspec.structs.replace(field, name=name(field.name)) for field in pair.before.fields)
    return msgspec.structs.replace(
        pair.before, name=pair.after.name, table=pair.after.table, fields=fields, questions=questions
    )
