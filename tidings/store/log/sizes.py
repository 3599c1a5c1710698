"""How large each table is, at a cost that does not grow with it: PostgreSQL knows, for SQLite it is estimated.

SQLite only knows the size of its file. A table's size is estimated from its range of keys, and from a sample of its
rows at both ends: what its columns and those of its indexes take.
"""

from __future__ import annotations

import msgspec

from tidings.store.base import Db

SAMPLED = 200
"""Rows, at each end of a table."""
COUNTED_MAX = 10_000
"""Rows of tables without a range of keys are counted up to this many."""
ROW_BYTES, VALUE_BYTES, NUMBER_BYTES = 4, 1, 5
"""What SQLite adds for a row and for a value, and what its number in an index takes."""
SPARSE = ("waiting", "part", "link_state", "timer")
"""Tables whose keys are numbers of other tables' rows, so that a range says nothing."""
WINDOWS, WINDOW = 4, 200
"""Attempts are counted in a few windows of deliveries, each of this many."""


class TableSize(msgspec.Struct, frozen=True, kw_only=True):
    """A table with its indexes. `bytes`: None if unknown. `is_estimate`: neither number is exact.

    `is_more`: it has more than `rows`, and how many is unknown.
    """

    name: str
    rows: int
    bytes: int | None
    is_estimate: bool
    is_more: bool = False


class StoreSize(msgspec.Struct, frozen=True, kw_only=True):
    """The whole store, in bytes, and its tables, the largest first. `unused`: freed inside of the file."""

    bytes: int
    unused: int
    tables: list[TableSize]


def read(db: Db) -> StoreSize:
    """The sizes as they are now."""
    return _postgres(db) if db.dialect == "postgres" else _sqlite(db)


def _postgres(db: Db) -> StoreSize:
    tables = [
        TableSize(name=name, rows=max(0, int(rows)), bytes=int(size), is_estimate=True)
        for name, rows, size in db.all("table_sizes")
    ]
    whole = db.one("store_size")
    return StoreSize(bytes=0 if whole is None else int(whole[0]), unused=0, tables=_sorted(tables))


def _sqlite(db: Db) -> StoreSize:
    of_file = ("page_count", "freelist_count", "page_size")
    pages, unused, size = (int(db.query(f"PRAGMA {name}", {})[0][0]) for name in of_file)
    tables = []
    for name, sql in db.all("table_sizes"):
        is_ranged = name == "attempt" or (name not in SPARSE and "WITHOUT ROWID" not in sql.upper())
        tables.append(_sampled(db, name) if is_ranged else _counted(db, name))
        db.rest()
    return StoreSize(bytes=pages * size, unused=unused * size, tables=_sorted(tables))


def _counted(db: Db, table: str) -> TableSize:
    sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM {_quoted(table)} LIMIT {COUNTED_MAX + 1})"  # noqa: S608 -- our own names
    rows = int(db.query(sql, {})[0][0])
    if rows > COUNTED_MAX:
        return TableSize(name=table, rows=COUNTED_MAX, bytes=None, is_estimate=False, is_more=True)
    return TableSize(name=table, rows=rows, bytes=rows * _row_bytes(db, table, "") if rows else 0, is_estimate=True)


def _sampled(db: Db, table: str) -> TableSize:
    rows = _attempts(db) if table == "attempt" else _range(db, table)
    if not rows:
        return TableSize(name=table, rows=0, bytes=0, is_estimate=False)
    each = _row_bytes(db, table, "delivery" if table == "attempt" else "rowid")
    return TableSize(name=table, rows=rows, bytes=rows * each, is_estimate=True)


def _row_bytes(db: Db, table: str, order: str) -> int:
    """What a row takes with its entries in indexes, by a sample. `order`: the column whose ends are sampled, if any."""
    columns = [row[1] for row in db.query(f"PRAGMA table_info({_quoted(table)})", {})]
    # The columns get other names: ORDER BY would sort all rows by what it finds under the name of a length.
    lengths = ", ".join(f"LENGTH(CAST({_quoted(each)} AS BLOB)) AS l{at}" for at, each in enumerate(columns))
    means = ", ".join(f"AVG(COALESCE(l{at}, 0))" for at in range(len(columns)))
    ways = (f"ORDER BY {order} ASC", f"ORDER BY {order} DESC") if order else ("",)
    part = f"SELECT {lengths} FROM {_quoted(table)}"  # noqa: S608 -- our own names
    ends = " UNION ALL ".join(f"SELECT * FROM ({part} {way} LIMIT {SAMPLED})" for way in ways)  # noqa: S608
    found = db.query(f"SELECT {means} FROM ({ends})", {})[0]  # noqa: S608 -- our own names
    takes = {name: float(mean or 0) + VALUE_BYTES for name, mean in zip(columns, found, strict=True)}
    each = ROW_BYTES + sum(takes.values())
    for index in db.query(f"PRAGMA index_list({_quoted(table)})", {}):
        is_whole = not index[4]
        if is_whole and index[3] != "pk":
            keys = [row[2] for row in db.query(f"PRAGMA index_info({_quoted(index[1])})", {})]
            each += NUMBER_BYTES + sum(takes.get(key, VALUE_BYTES) for key in keys)
    return int(each)


def _range(db: Db, table: str) -> int:
    """How many keys a table's range has; numbers are given without gaps, and the oldest rows go first."""
    of = _quoted(table)
    sql = f"SELECT (SELECT MIN(rowid) FROM {of}), (SELECT MAX(rowid) FROM {of})"  # noqa: S608 -- our own names
    low, high = db.query(sql, {})[0]
    return 0 if low is None else int(high - low + 1)


def _attempts(db: Db) -> int:
    """How many attempts there are: as many for each delivery as in a few windows of deliveries."""
    low, high = db.query("SELECT (SELECT MIN(number) FROM delivery), (SELECT MAX(number) FROM delivery)", {})[0]
    if low is None:
        return 0
    span, counted, deliveries = high - low + 1, 0, 0
    for number in range(WINDOWS):
        start = low + span * number // WINDOWS
        end = min(start + WINDOW, high + 1, low + span * (number + 1) // WINDOWS)
        limits = {"start": start, "end": end}
        counted += db.query("SELECT COUNT(*) FROM attempt WHERE delivery >= :start AND delivery < :end", limits)[0][0]
        deliveries += end - start
    return int(counted * span / max(1, deliveries))


def _sorted(tables: list[TableSize]) -> list[TableSize]:
    return sorted(tables, key=lambda each: (-(each.bytes or 0), -each.rows, each.name))


def _quoted(name: str) -> str:
    return f'"{name}"'
