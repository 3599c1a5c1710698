"""How large each table is, at a cost that does not grow with its size: PostgreSQL knows; for SQLite it is estimated.

SQLite only knows the size of its file. The number of a table's rows is estimated from parts of its range of keys, and
the size of a row from a sample at both ends, which includes its columns and its index entries.
"""

from __future__ import annotations

from heapq import heappop, heappush

import msgspec

from tidings.store.base import Db

SAMPLED = 200
"""The number of rows sampled at each end of a table."""
COUNTED_MAX = 10_000
"""The maximum number of rows that are counted in a table without a range of keys."""
ROW_BYTES, VALUE_BYTES, NUMBER_BYTES = 4, 1, 5
"""The number of bytes that SQLite adds for each row and for each value, and the size of a row's number in an index."""
SPARSE = ("waiting", "part", "link_state", "timer")
"""Tables whose keys are row numbers of other tables. They are mostly short, so their rows are counted."""
SPLITS, WINDOW = 24, 200
"""How many times a range of keys is split, and how many keys of each part are read."""


class TableSize(msgspec.Struct, frozen=True, kw_only=True):
    """A table with its indexes. `bytes`: None if unknown. `is_estimate`: neither number is exact.

    `is_more`: it has more than `rows`; how many more is unknown.
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
    return StoreSize(
        bytes=pages * size, unused=unused * size, tables=_sorted(_fitting(tables, (pages - unused) * size))
    )


def _fitting(tables: list[TableSize], file_bytes: int) -> list[TableSize]:
    """The sizes, reduced to fit the file that contains them."""
    whole = sum(each.bytes or 0 for each in tables)
    if whole <= file_bytes:
        return tables
    return [
        each if each.bytes is None else msgspec.structs.replace(each, bytes=each.bytes * file_bytes // whole)
        for each in tables
    ]


def _counted(db: Db, table: str) -> TableSize:
    sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM {_quoted(table)} LIMIT {COUNTED_MAX + 1})"  # noqa: S608 -- our own names
    rows = int(db.query(sql, {})[0][0])
    if rows > COUNTED_MAX:
        return TableSize(name=table, rows=COUNTED_MAX, bytes=None, is_estimate=False, is_more=True)
    return TableSize(name=table, rows=rows, bytes=rows * _row_bytes(db, table, "") if rows else 0, is_estimate=True)


def _sampled(db: Db, table: str) -> TableSize:
    key = "delivery" if table == "attempt" else "rowid"
    rows = _rows(db, table, key)
    if not rows:
        return TableSize(name=table, rows=0, bytes=0, is_estimate=False)
    each = _row_bytes(db, table, key)
    return TableSize(name=table, rows=rows, bytes=rows * each, is_estimate=True)


def _row_bytes(db: Db, table: str, order: str) -> int:
    """The size of a row with its index entries, from a sample. `order`: the column whose ends are sampled, if any."""
    columns = [row[1] for row in db.query(f"PRAGMA table_info({_quoted(table)})", {})]
    # The columns get other names; otherwise ORDER BY would sort all rows by a length of the same name.
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


def _rows(db: Db, table: str, key: str) -> int:
    """About how many rows a table has. Its range of keys may have long gaps, so the largest part is halved again and
    again, each half reaching only from its first row to its last; then each part is as full as its middle.
    """
    parts: list[tuple[int, int]] = []
    _add(parts, _ends(db, table, key, None, None))
    for _ in range(SPLITS):
        if not parts or -parts[0][0] <= WINDOW:
            break
        size, low = heappop(parts)
        middle = low - size // 2
        _add(parts, _ends(db, table, key, low, middle - 1))
        _add(parts, _ends(db, table, key, middle, low - size - 1))
    return sum(_rows_within(db, table, key, low, -size) for size, low in parts)


def _add(parts: list[tuple[int, int]], ends: tuple[int, int] | None) -> None:
    """Sizes of parts are stored negated, so that the heap returns the largest first."""
    if ends is not None:
        heappush(parts, (ends[0] - ends[1] - 1, ends[0]))


def _ends(db: Db, table: str, key: str, low: int | None, high: int | None) -> tuple[int, int] | None:
    """The first and the last key that a row has from `low` to `high`; None for either: no limit."""
    of = f"FROM {_quoted(table)}" + ("" if low is None else f" WHERE {key} BETWEEN :low AND :high")
    sql = f"SELECT (SELECT MIN({key}) {of}), (SELECT MAX({key}) {of})"
    first, last = db.query(sql, {} if low is None else {"low": low, "high": high})[0]
    return None if first is None else (int(first), int(last))


def _rows_within(db: Db, table: str, key: str, low: int, size: int) -> int:
    looked = min(size, WINDOW)
    start = low + (size - looked) // 2
    sql = f"SELECT COUNT(*) FROM {_quoted(table)} WHERE {key} >= :start AND {key} < :end"  # noqa: S608 -- our own names
    counted = int(db.query(sql, {"start": start, "end": start + looked})[0][0])
    return counted * size // looked


def _sorted(tables: list[TableSize]) -> list[TableSize]:
    return sorted(tables, key=lambda each: (-(each.bytes or 0), -each.rows, each.name))


def _quoted(name: str) -> str:
    return f'"{name}"'
