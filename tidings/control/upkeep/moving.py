"""Move a store from SQLite to PostgreSQL: the same rows under the same numbers, so ids, cursors and secrets stay valid.

Everything is written in one transaction of the target: an interrupted move leaves the target empty and the source
unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tidings.model.collection import Collection
from tidings.store import catalog_rows
from tidings.store.base import Db, Row, StoreError
from tidings.store.items import item_bulk, tables
from tidings.store.items.items import ItemTable

ROWS = 200
"""The number of rows in memory at once; a row may be as large as a megabyte."""
OWN = frozenset({"migration", "node", "discarded_table"})
"""Tables about the database itself. Tables that the source has discarded do not exist in the target."""
MADE = frozenset({"cursor", "store"})
"""Tables that have rows even in an empty store."""

Progress = Callable[[int], None]
"""Called with the number of rows copied so far."""


class MovedStore(msgspec.Struct, frozen=True, kw_only=True):
    """What a move has copied: rows by table, and items by collection."""

    rows: dict[str, int]
    items: dict[str, int]

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values()) + sum(self.items.values())


def count(source: Db) -> int:
    """About how many rows there are to copy."""
    names = [*_tables(source), *(tables.table(each) for each in _collections(source))]
    return sum(int(source.query(f"SELECT COUNT(*) FROM {name}", {})[0][0]) for name in names)  # noqa: S608 -- our own names


def move(source: Db, target: Db, progress: Progress) -> MovedStore:
    """Copy the store. Raises StoreError if the target is not empty; nothing is written then.

    `source` is an SQLite connection in a read transaction; `target` PostgreSQL's writer, outside of one.
    """
    names = _tables(source)
    done = 0

    def tell(rows: Sequence[Row]) -> None:
        nonlocal done
        done += len(rows)
        progress(done)

    target.begin()
    try:
        _refuse_filled(target, names)
        for name in MADE:
            target.execute(f"DELETE FROM {name}", {})  # noqa: S608 -- our own names
        rows = {name: _copy(source, target, name, tell) for name in names}
        items = {each.name: _copy_items(source, target, each, tell) for each in _collections(source)}
        target.commit()
    except BaseException:
        target.rollback()
        raise
    target.execute("ANALYZE", {})
    return MovedStore(rows=rows, items=items)


def _tables(source: Db) -> list[str]:
    """The tables that every store has, by name, without those of items."""
    found = source.query("SELECT name FROM sqlite_schema WHERE type = 'table'", {})
    names = sorted(str(name) for (name,) in found)
    return [name for name in names if not name.startswith(("c_", "sqlite_")) and name not in OWN]


def _collections(source: Db) -> list[Collection]:
    return [catalog_rows.collection_of(row) for row in source.all("collections")]


def _refuse_filled(target: Db, names: Sequence[str]) -> None:
    for name in names:
        if name not in MADE and target.query(f"SELECT 1 FROM {name} LIMIT 1", {}):  # noqa: S608 -- our own names
            raise StoreError(f"the target is not empty: its table {name} has rows. Name an empty database")


def _copy(source: Db, target: Db, name: str, tell: Callable[[Sequence[Row]], None]) -> int:
    columns = [str(row[0]) for row in source.query("SELECT name FROM pragma_table_info(:name)", {"name": name})]
    copied = 0
    for rows in _in_slices(source, name, columns):
        target.insert(name, columns, rows)
        copied += len(rows)
        tell(rows)
    return copied


def _in_slices(source: Db, name: str, columns: Sequence[str]) -> Iterator[list[Row]]:
    """All rows of a table, in the order of its primary key."""
    asked = "SELECT name FROM pragma_table_info(:name) WHERE pk > 0 ORDER BY pk"
    key = [str(row[0]) for row in source.query(asked, {"name": name})]
    places = [columns.index(each) for each in key]
    after = ""
    last: dict[str, object] = {}
    while True:
        sql = f"SELECT {', '.join(columns)} FROM {name} {after} ORDER BY {', '.join(key)} LIMIT {ROWS}"  # noqa: S608 -- our own names
        rows = source.query(sql, last)
        if not rows:
            return
        yield rows
        last = {f"k{index}": rows[-1][place] for index, place in enumerate(places)}
        after = f"WHERE ({', '.join(key)}) > ({', '.join(f':{each}' for each in last)})"


def _copy_items(source: Db, target: Db, collection: Collection, tell: Callable[[Sequence[Row]], None]) -> int:
    """Make the table of a collection, and fill it before its indexes are built."""
    before, after = ItemTable(collection, "sqlite"), ItemTable(collection, "postgres")
    for sql in tables.create(collection, "postgres"):
        target.execute(sql, {})
    copied = last = 0
    while rows := source.query(f"{before.select} WHERE seq > :last ORDER BY seq LIMIT {ROWS}", {"last": last}):
        items = [before.item(row) for row in rows]
        item_bulk.insert(target, after, [after.row(item) for item in items], [item.seq for item in items])
        copied, last = copied + len(rows), rows[-1][0]
        tell(rows)
    for index in after.indexes:
        target.execute(index.sql(collection), {})
    _continue_numbers(source, target, collection)
    return copied


def _continue_numbers(source: Db, target: Db, collection: Collection) -> None:
    """The next item is numbered as SQLite would have numbered it: numbers of deleted items are not used again."""
    found = source.query("SELECT seq FROM sqlite_sequence WHERE name = :name", {"name": tables.bare(collection)})
    if found and found[0][0]:
        names = {"name": tables.table(collection), "seq": found[0][0]}
        target.query("SELECT setval(pg_get_serial_sequence(:name, 'seq'), :seq)", names)
