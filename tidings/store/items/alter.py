"""Carry out a plan: tables, columns, words and indexes of items follow, in the transaction that is open.

Indexes that may wait are not made here where that would hold up everybody: on PostgreSQL those of tables that have
rows are left to control/indexes.py, unless they are unique.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidings.model.collection import Collection, Field
from tidings.model.moment import Micros
from tidings.rules.declare.plan import (
    AddField,
    ConvertField,
    DropField,
    FillField,
    Pair,
    Plan,
    RenameField,
    Step,
)
from tidings.rules.items.search_words import words
from tidings.rules.reading import decimals
from tidings.store.base import Db
from tidings.store.items import indexes, tables, values

ROWS_PER_LOOK = 2_000
_FOUND = "found_words"
"""A table for the time of one transaction: PostgreSQL's new words, by `seq`."""
_CONVERTED = {
    ("integer", "number", "sqlite"): "CAST({column} AS REAL)",
    ("integer", "number", "postgres"): "{column}::double precision",
    **dict.fromkeys(
        [("integer", "decimal", "sqlite"), ("number", "decimal", "sqlite"), ("string", "decimal", "sqlite")],
        "decimal_key({column})",
    ),
    # By way of text, because the cast of a double keeps fifteen digits of it.
    **dict.fromkeys(
        [("integer", "decimal", "postgres"), ("number", "decimal", "postgres"), ("string", "decimal", "postgres")],
        "({column}::text)::numeric",
    ),
    ("decimal", "string", "sqlite"): "decimal_text({column}, {scale})",
    ("decimal", "string", "postgres"): "round({column}, {scale})::text",
    ("date", "datetime", "sqlite"): "unixepoch({column}) * 1000000",
    ("date", "datetime", "postgres"): "(EXTRACT(EPOCH FROM {column}::timestamp) * 1000000)::bigint",
}
"""How the columns of types that are kept differently become one another; a date becomes its midnight in UTC."""


def carry_out(db: Db, plan: Plan, now: Micros) -> None:
    """Do all steps. The plan was inspected (store/items/inspect.py) in this transaction. Raises StoreError."""
    for name in plan.dropped:
        _drop(db, name)
    for pair in plan.pairs:
        indexes.move(db, pair)
        _rename(db, pair)
    for collection in plan.created:
        _run(db, tables.create(collection, db.dialect))
    for pair in plan.pairs:
        refill = _needs_words(plan, pair)
        if tables.has_words(pair.before) and (refill or not tables.has_words(pair.after)):
            _run(db, tables.drop_words(pair.after.name, db.dialect))
        for step in plan.steps:
            if step.collection == pair.after.name:
                _step(db, step, now)
        if refill:
            _run(db, tables.add_words(pair.after.name, db.dialect))
            _fill_words(db, pair.after)
    for collection in (*plan.created, *(pair.after for pair in plan.pairs)):
        indexes.make_now(db, collection)


def _run(db: Db, statements: Iterable[str]) -> None:
    for sql in statements:
        db.execute(sql, {})


def _drop(db: Db, name: str) -> None:
    if db.dialect == "sqlite":
        db.execute(f"DROP TABLE IF EXISTS {tables.words_table(name)}", {})
    db.execute(f"DROP TABLE {tables.table(name)}", {})


def _rename(db: Db, pair: Pair) -> None:
    before, after = pair.before.name, pair.after.name
    if before == after:
        return
    db.execute(f"ALTER TABLE {tables.table(before)} RENAME TO {tables.table(after)}", {})
    if db.dialect == "sqlite" and tables.has_words(pair.before):
        db.execute(f"ALTER TABLE {tables.words_table(before)} RENAME TO {tables.words_table(after)}", {})


def _step(db: Db, step: Step, now: Micros) -> None:
    table = tables.table(step.collection)
    if isinstance(step, DropField):
        db.execute(f"ALTER TABLE {table} DROP COLUMN {tables.column(step.field.name)}", {})
    elif isinstance(step, RenameField):
        was, name = tables.column(step.was), tables.column(step.field)
        db.execute(f"ALTER TABLE {table} RENAME COLUMN {was} TO {name}", {})
    elif isinstance(step, ConvertField):
        _convert(db, step, now)
    elif isinstance(step, AddField):
        kind = tables.column_type(step.field, db.dialect)
        db.execute(f"ALTER TABLE {table} ADD COLUMN {tables.column(step.field.name)} {kind}", {})
        if step.field.default is not None:
            _fill(db, step.collection, step.field, now)
    elif isinstance(step, FillField):
        _fill(db, step.collection, step.field, now)


_TOUCHED = "revision = revision + 1, updated = :now"
"""What items show has changed, so their entity tags do too."""


def _fill(db: Db, collection: str, field: Field, now: Micros) -> None:
    """Give items that lack the field its default."""
    column = tables.column(field.name)
    value = values.stored(field, field.default, db.dialect)
    sql = (
        f"UPDATE {tables.table(collection)} SET {column} = {values.assigned(field, db.dialect)}, {_TOUCHED} "  # noqa: S608 -- our own names
        f"WHERE {column} IS NULL"
    )
    db.execute(sql, {"value": value, "now": now})


def _convert(db: Db, step: ConvertField, now: Micros) -> None:
    table, column = tables.table(step.collection), tables.column(step.after.name)
    made = _CONVERTED.get((step.before.type, step.after.type, db.dialect))
    if made is None and step.before.type != step.after.type:
        return
    kind = tables.column_type(step.after, db.dialect)
    change = (made or "").format(column=column, scale=decimals.scale(step.before))
    if made is None:
        # Only what items show becomes another: how many digits.
        pass
    elif db.dialect == "postgres":
        db.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind} USING {change}", {})
    else:
        # SQLite changes no column's type: a new one takes over.
        fresh = '"f__new"'
        db.execute(f"ALTER TABLE {table} ADD COLUMN {fresh} {kind}", {})
        db.execute(f"UPDATE {table} SET {fresh} = {change} WHERE {column} IS NOT NULL", {})  # noqa: S608 -- our own names
        db.execute(f"ALTER TABLE {table} DROP COLUMN {column}", {})
        db.execute(f"ALTER TABLE {table} RENAME COLUMN {fresh} TO {column}", {})
    db.execute(f"UPDATE {table} SET {_TOUCHED} WHERE {column} IS NOT NULL", {"now": now})  # noqa: S608 -- our own names


def _needs_words(plan: Plan, pair: Pair) -> bool:
    """Whether the words of `q` are to be made again: other fields are searched, or some get values."""
    fills = [step for step in plan.steps if isinstance(step, FillField) and step.collection == pair.after.name]
    if any(step.field.searchable for step in fills):
        return True
    before = {field.name for field in pair.before.fields if field.searchable}
    sources = [pair.source(field.name) for field in pair.after.fields if field.searchable]
    return bool(sources) and (None in sources or before != {source.name for source in sources if source is not None})


def _fill_words(db: Db, collection: Collection) -> None:
    fields = [tables.column(field.name) for field in collection.fields if field.searchable]
    table = tables.table(collection.name)
    looked = f"SELECT seq, {', '.join(fields)} FROM {table} WHERE seq > :after ORDER BY seq LIMIT {ROWS_PER_LOOK}"  # noqa: S608 -- our own names
    found = "ON COMMIT DROP AS SELECT CAST(0 AS bigint) AS seq, CAST('' AS text) AS text LIMIT 0"
    if db.dialect == "postgres":
        db.execute(f"CREATE TEMPORARY TABLE {_FOUND} {found}", {})
    after = -1
    while rows := db.query(looked, {"after": after}):
        _keep_words(db, collection.name, [(row[0], words(row[1:])) for row in rows])
        after = rows[-1][0]
    if db.dialect == "postgres":
        # All in one, because each statement of many would look through the whole table.
        made = "array_to_tsvector(string_to_array(found.text, ' '))"
        db.execute(f"UPDATE {table} AS item SET words = {made} FROM {_FOUND} AS found WHERE item.seq = found.seq", {})  # noqa: S608 -- our own names
        db.execute(f"DROP TABLE {_FOUND}", {})


def _keep_words(db: Db, collection: str, found: Sequence[tuple[int, str]]) -> None:
    if db.dialect == "postgres":
        db.insert(_FOUND, ["seq", "text"], found)
    else:
        db.insert(tables.words_table(collection), ["rowid", "words"], found)
