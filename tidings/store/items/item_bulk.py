"""Many items of one collection at once: found by pairs of a value and a tenant, and written in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model.collection import Item
from tidings.rules.items.condition import ALWAYS, Condition
from tidings.rules.items.search_words import words
from tidings.store.base import Db, Row
from tidings.store.items import tables
from tidings.store.items.conditions import Where
from tidings.store.items.items import ItemTable, Lock, locking
from tidings.store.items.tables import asked_column, column

VALUES_MAX = 1_000
"""The maximum number of values that one statement looks up."""
ITEMS_MAX = 100
"""The maximum number of complete items that one statement reads, because an item may be as large as a megabyte."""

Pair = tuple[Any, str]
"""A value of a field (or of `id`), and the tenant of the item that has it."""
Pairs = set[Pair]


def there(
    db: Db, table: ItemTable, name: str, pairs: Sequence[Pair], seen: Condition = ALWAYS, lock: Lock = ""
) -> Pairs:
    """Which of these values of a field (or of `id`) occur in an item of the tenant that matches `seen`."""
    return {(value, tenant) for _, value, tenant in holders(db, table, name, pairs, seen, lock)}


def holders(
    db: Db, table: ItemTable, name: str, pairs: Sequence[Pair], seen: Condition = ALWAYS, lock: Lock = ""
) -> list[tuple[int, Any, str]]:
    """The number, the value and the tenant of the items that have one of these values and match `seen`."""
    found: list[tuple[int, Any, str]] = []
    unpack = table.unpack.get(name)
    for start in range(0, len(pairs), VALUES_MAX):
        shown, some = f"seq, {asked_column(name)}, tenant", pairs[start : start + VALUES_MAX]
        rows = _having(db, table, shown, name, some, seen, lock)
        found += [(row[0], row[1] if unpack is None else unpack(row[1]), row[2]) for row in rows]
    return found


def items(db: Db, table: ItemTable, name: str, pairs: Sequence[Pair], lock: Lock = "") -> list[Item]:
    """The items that have one of these values of a unique field (or of `id`)."""
    found: list[Item] = []
    for start in range(0, len(pairs), ITEMS_MAX):
        rows = _having(db, table, table.shown, name, pairs[start : start + ITEMS_MAX], ALWAYS, lock)
        found += [table.item(row) for row in rows]
    return found


def referrers(
    db: Db, table: ItemTable, name: str, to: ItemTable, pairs: Sequence[Pair], most: int
) -> dict[Pair, list[int]]:
    """Which items of `table` (at most `most`) refer by a field to each of these items of `to`, given by id."""
    made = "json_group_array" if table.dialect == "sqlite" else "json_agg"
    refer = f"SELECT other.seq FROM {table.name} AS other WHERE other.{column(name)} = v AND other.tenant = t"  # noqa: S608 -- our own names
    few = f"SELECT CAST({made}(few.seq) AS TEXT) FROM ({refer} LIMIT {most}) AS few"  # noqa: S608 -- our own names
    found: dict[Pair, list[int]] = {}
    for start in range(0, len(pairs), VALUES_MAX):
        head, values = _asked(pairs[start : start + VALUES_MAX], "id", to)
        for value, tenant, seqs in db.query((f"{head} SELECT v, t, ({few}) FROM asked"), values):  # noqa: S608 -- our own names
            found[value, tenant] = msgspec.json.decode(seqs or "[]")
    return found


def insert(db: Db, table: ItemTable, rows: Sequence[Row], seqs: Sequence[int] = ()) -> None:
    """Store new items (at least one), whose ids and unique values are known to be free, as values of `columns`.

    `seqs`: their numbers, if they already have them, which is possible only on PostgreSQL.
    """
    if db.watched:
        table.grow(db)
    collection, columns = table.collection, table.columns
    searchable = [columns.index(column(field.name)) for field in collection.fields if field.searchable]
    texts = [words([row[index] for index in searchable]) for row in rows] if searchable else []
    if seqs:
        columns, rows = ["seq", *columns], [(seq, *row) for seq, row in zip(seqs, rows, strict=True)]
    if not searchable:
        db.insert(table.name, columns, rows)
        return
    if table.dialect == "postgres":
        # As a tsvector is written: words are letters and digits only, so nothing in them needs escaping.
        lexemes = [" ".join([f"'{word}'" for word in text.split()]) for text in texts]
        rows = [(*row, lexeme) for row, lexeme in zip(rows, lexemes, strict=True)]
        db.insert(table.name, [*columns, "words"], rows)
        return
    first = _next_seq(db, table)
    db.insert(table.name, ["seq", *columns], [(first + index, *row) for index, row in enumerate(rows)])
    _put_words(db, table, [(first + index, text) for index, text in enumerate(texts)])


def update(db: Db, table: ItemTable, changed: Sequence[Item]) -> None:
    """Replace the stored values of these items, whose unique values are known to be free."""
    if not changed:
        return
    if db.watched:
        table.note(db, [item.seq for item in changed])
    names = [name for name in table.columns if name not in tables.FOR_GOOD]
    places = [table.columns.index(name) for name in names]
    keys = ["seq", *(f"n{place}" for place in range(len(names)))]
    rows = [
        dict(zip(keys, (item.seq, *[row[place] for place in places]), strict=True))
        for item in changed
        for row in (table.row(item),)
    ]
    has_words = tables.has_words(table.collection)
    if table.dialect == "postgres":
        for row, item in zip(rows, changed, strict=True):
            if has_words:
                row["words"] = table.words_of(item)
        _update_postgres(db, table, names, rows)
        return
    pairs = ", ".join(f"{name} = :n{place}" for place, name in enumerate(names))
    db.execute_many(f"UPDATE {table.name} SET {pairs} WHERE seq = :seq", rows)  # noqa: S608 -- our own names
    if has_words:
        _drop_words(db, table, [item.seq for item in changed])
        _put_words(db, table, [(item.seq, table.words_of(item)) for item in changed])


def clear(db: Db, table: ItemTable, name: str, seqs: Sequence[int]) -> None:
    """Remove the value of a field from these items."""
    if seqs:
        if db.watched:
            table.note(db, seqs)
        where = f"seq IN {tables.listed(db.dialect)}"
        db.execute((f"UPDATE {table.name} SET {column(name)} = NULL WHERE {where}"), tables.listing(seqs))  # noqa: S608 -- our own names


def delete(db: Db, table: ItemTable, seqs: Sequence[int]) -> None:
    """Delete these items."""
    if seqs:
        if db.watched:
            table.note(db, seqs, gone=True)
        db.execute((f"DELETE FROM {table.name} WHERE seq IN {tables.listed(db.dialect)}"), tables.listing(seqs))  # noqa: S608 -- our own names
        if table.dialect == "sqlite" and tables.has_words(table.collection):
            _drop_words(db, table, seqs)


# --- steps ------------------------------------------------------------------------------------------------------------


def _having(
    db: Db, table: ItemTable, shown: str, name: str, pairs: Sequence[Pair], seen: Condition, lock: Lock
) -> list[Row]:
    head, values = _asked(pairs, name, table)
    where = Where(table.dialect)
    where.add(seen)
    # The pairs lead: each is looked up along the index.
    join = f"FROM asked CROSS JOIN {table.name} WHERE {asked_column(name)} = v AND tenant = t AND {where.text}"
    if locked := locking(db, lock, table.name):
        # Everywhere in the same order, so that no two nodes wait for each other.
        join += f" ORDER BY seq{locked}"
    return db.query(f"{head} SELECT {shown} {join}", {**values, **where.values})


def _asked(pairs: Sequence[Pair], name: str, table: ItemTable) -> tuple[str, dict[str, Any]]:
    """The head of a statement that asks for pairs, `v` and `t` of `asked`, with its values."""
    # Otherwise PostgreSQL would treat what the driver sends as text.
    shape = f"(CAST(:p%d AS {_kind(table, name)}), :t%d)" if table.dialect == "postgres" else "(:p%d, :t%d)"
    marks = ", ".join([shape % (index, index) for index in range(len(pairs))])
    values = {f"p{index}": pair[0] for index, pair in enumerate(pairs)}
    values |= {f"t{index}": pair[1] for index, pair in enumerate(pairs)}
    return f"WITH asked (v, t) AS (VALUES {marks})", values


def _kind(table: ItemTable, name: str) -> str:
    """The SQL type of a field, or of `id`."""
    field = table.collection.field(name)
    return "TEXT" if field is None else tables.column_type(field, table.dialect).partition(" COLLATE ")[0]


def _update_postgres(db: Db, table: ItemTable, names: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """All in one statement, from one parameter; objects and arrays are sent as texts, so they are stored unchanged."""
    kinds = {column(field.name): _kind(table, field.name) for field in table.collection.fields}
    parts, pairs = ["seq BIGINT"], []
    for place, name in enumerate(names):
        kind = kinds.get(name, "BIGINT")
        parts.append(f"n{place} {'TEXT' if kind == 'JSON' else kind}")
        pairs.append(f"{name} = {f'CAST(made.n{place} AS JSON)' if kind == 'JSON' else f'made.n{place}'}")
    if tables.has_words(table.collection):
        parts.append("words TEXT")
        pairs.append("words = array_to_tsvector(string_to_array(made.words, ' '))")
    db.execute(
        f"UPDATE {table.name} AS item SET {', '.join(pairs)} "  # noqa: S608 -- our own names
        f"FROM json_to_recordset(CAST(:rows AS JSON)) AS made ({', '.join(parts)}) WHERE item.seq = made.seq",
        {"rows": msgspec.json.encode(rows).decode()},
    )


def _put_words(db: Db, table: ItemTable, texts: Sequence[tuple[int, str]]) -> None:
    db.insert(table.words, ["rowid", "words"], texts)


def _drop_words(db: Db, table: ItemTable, seqs: Sequence[int]) -> None:
    db.execute_many((f"DELETE FROM {table.words} WHERE rowid = :seq"), [{"seq": seq} for seq in seqs])  # noqa: S608 -- our own names


def _next_seq(db: Db, table: ItemTable) -> int:
    """The number that SQLite would give next; giving it ourselves moves SQLite's own count along."""
    rows = db.query("SELECT seq FROM sqlite_sequence WHERE name = :name", {"name": table.name.strip('"')})
    return int(rows[0][0]) + 1 if rows else 1
