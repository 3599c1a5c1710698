"""Many items of one collection at once: what of a thousand is there already, and new ones stored in one go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidings.rules.items.condition import ALWAYS, Compare, Condition
from tidings.rules.items.search_words import words
from tidings.store.base import Db, Row
from tidings.store.items import tables
from tidings.store.items.conditions import Where
from tidings.store.items.items import ItemTable
from tidings.store.items.tables import asked_column, column

VALUES_MAX = 1_000
"""So many values are asked for in one statement."""

Pairs = set[tuple[Any, str]]


def there(db: Db, table: ItemTable, name: str, values: Sequence[Any], seen: Condition = ALWAYS) -> Pairs:
    """Which of these values of a field (or of `id`) some item that fits `seen` has, each with the item's tenant."""
    found: Pairs = set()
    shown = asked_column(name)
    for start in range(0, len(values), VALUES_MAX):
        where = Where(table.dialect)
        where.add(Compare(name, "in", tuple(values[start : start + VALUES_MAX])))
        where.add(seen)
        rows = db.query(f"SELECT {shown}, tenant FROM {table.name} WHERE {where.text}", where.values)  # noqa: S608
        unpack = table.unpack.get(name)
        found.update((row[0] if unpack is None else unpack(row[0]), row[1]) for row in rows)
    return found


def insert(db: Db, table: ItemTable, rows: Sequence[Row]) -> None:
    """Store new items (at least one), whose ids and unique values are known to be free, as values of `columns`."""
    collection, columns = table.collection, table.columns
    searchable = [columns.index(column(field.name)) for field in collection.fields if field.searchable]
    if not searchable:
        db.insert(table.name, columns, rows)
        return
    texts = [words([row[index] for index in searchable]) for row in rows]
    if table.dialect == "postgres":
        # As a tsvector is written: words are letters and digits only, so nothing in them needs escaping.
        lexemes = [" ".join([f"'{word}'" for word in text.split()]) for text in texts]
        rows = [(*row, lexeme) for row, lexeme in zip(rows, lexemes, strict=True)]
        db.insert(table.name, [*columns, "words"], rows)
        return
    first = _next_seq(db, table)
    db.insert(table.name, ["seq", *columns], [(first + index, *row) for index, row in enumerate(rows)])
    db.insert(
        tables.words_table(collection.name),
        ["rowid", "words"],
        [(first + index, text) for index, text in enumerate(texts)],
    )


def _next_seq(db: Db, table: ItemTable) -> int:
    """The number that SQLite would give next; giving it ourselves moves SQLite's own count along."""
    rows = db.query("SELECT seq FROM sqlite_sequence WHERE name = :name", {"name": table.name.strip('"')})
    return int(rows[0][0]) + 1 if rows else 1
