"""The items of one collection: read, written and searched. Statements are composed once per collection.

Callers' input goes only into parameters; names of tables and columns are from checked declarations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tidings.model.collection import Collection, Item
from tidings.rules.items.condition import ALWAYS, Compare, Condition, holds
from tidings.rules.items.search_words import words
from tidings.store.base import Db, Dialect, Row
from tidings.store.items import tables, values
from tidings.store.items.conditions import Where
from tidings.store.items.tables import OWN_COLUMNS, column, table

COUNTED_MAX = 1_000_000
"""The maximum number of items that are counted."""
FINDS_MAX = 1_000

Lock = Literal["", "share", "change", "delete"]
"""What other nodes may not do to the rows that were read, until the transaction ends. `share`: delete them; `change`:
also change them; `delete`: also refer to them."""
_LOCKS: dict[Lock, str] = {
    "": "",
    "share": " FOR KEY SHARE",
    "change": " FOR NO KEY UPDATE",
    "delete": " FOR UPDATE",
}


def locking(db: Db, lock: Lock, of: str = "") -> str:
    """The end of a SELECT in a write job that acts on what it has read; empty if only one node writes."""
    return f"{_LOCKS[lock]}{of and f' OF {of}'}" if lock and db.shares else ""


class ItemTable:
    """The table of one collection, in one dialect. Shared between threads: it holds text only."""

    def __init__(self, collection: Collection, dialect: Dialect) -> None:
        self.collection = collection
        self.dialect = dialect
        self.name = table(collection)
        self._fields = [field.name for field in collection.fields]
        self.unpack = values.unpacking(collection.fields, dialect)
        """Conversions for the fields whose form in rows differs from that in items, such as 0 and 1 for a boolean."""
        self._at = {name: index for index, name in enumerate(self._fields, len(OWN_COLUMNS))}
        self.words = tables.words_table(self.name)
        """The name of SQLite's table of the words that `q` searches, if the collection has searchable fields."""
        self._searchable = [field.name for field in collection.fields if field.searchable]
        self.columns = [*OWN_COLUMNS[1:], *(column(name) for name in self._fields)]
        shown = [*OWN_COLUMNS, *(self._shown(field.name, field.type) for field in collection.fields)]
        self.shown = ", ".join(shown)
        """The columns that `item` reads, as SQL."""
        self.select = f"SELECT {self.shown} FROM {self.name}"  # noqa: S608 -- checked names
        self.indexes = tables.indexes(collection, dialect)
        self._insert, self._update = self._writes()
        self._finds: dict[Condition, tuple[str, dict[str, Any]]] = {}

    def item(self, row: Row) -> Item:
        """A row of `select` as an item."""
        found = dict(zip(self._fields, row[6:], strict=True))
        for name, convert in self.unpack.items():
            if found[name] is not None:
                found[name] = convert(found[name])
        return Item(seq=row[0], id=row[1], tenant=row[2], revision=row[3], created=row[4], updated=row[5], values=found)

    def value(self, row: Row, name: str) -> Any:
        """A field's value in a row of `select`."""
        at = self._at.get(name)
        value = row[OWN_COLUMNS.index(name) if at is None else at]
        convert = self.unpack.get(name)
        return value if value is None or convert is None else convert(value)

    def find(self, db: Db, ident: str, seen: Condition = ALWAYS, tenant: str = "", lock: Lock = "") -> list[Item]:
        """The item with this id that matches `seen`. If several match, that of `tenant`, or two of them."""
        sql, asked = self._finding(seen)
        rows = db.query(sql + locking(db, lock), {**asked, "id": ident})
        if len(rows) > 1 and tenant:
            own = self.of_tenant(db, ident, tenant, lock)
            if own is not None and holds(seen, own.row):
                return [own]
        return [self.item(row) for row in rows]

    def _finding(self, seen: Condition) -> tuple[str, dict[str, Any]]:
        """The statement of `find` under a condition, composed once."""
        known = self._finds.get(seen)
        if known is None:
            where = Where(self.dialect)
            where.add_sql("id = :id")
            where.add(seen)
            if len(self._finds) >= FINDS_MAX:
                self._finds.clear()
            known = self._finds[seen] = (f"{self.select} WHERE {where.text} LIMIT 2", where.values)
        return known

    def of_tenant(self, db: Db, ident: str, tenant: str, lock: Lock = "") -> Item | None:
        """Exactly this tenant's item with this id."""
        sql = f"{self.select} WHERE id = :id AND tenant = :tenant{locking(db, lock)}"
        rows = db.query(sql, {"id": ident, "tenant": tenant})
        return self.item(rows[0]) if rows else None

    def several(
        self, db: Db, idents: Sequence[str], seen: Condition, most: int | None = None, lock: Lock = ""
    ) -> list[Item]:
        """The items with these ids (at least one) that match `seen`, of every tenant; at most `most`."""
        where = Where(self.dialect)
        where.add(Compare("id", "in", tuple(idents)))
        where.add(seen)
        limit = "" if most is None else f" LIMIT {most}"
        locked = locking(db, lock)
        end = f"{' ORDER BY seq' if locked else ''}{limit}{locked}"
        return [self.item(row) for row in db.query(f"{self.select} WHERE {where.text}{end}", where.values)]

    def insert(self, db: Db, item: Item) -> int:
        """Store a new item. Returns its place in the order of creation, or 0 if the engine chooses it later."""
        params = self._params(item)
        if db.watched:
            self.grow(db)
        if self.dialect == "postgres":
            db.execute_later(self._insert, params)
            return 0
        seq = int(db.query(self._insert, params)[0][0])
        if self._searchable:
            self._put_words(db, seq, params["words"])
        return seq

    def update(self, db: Db, item: Item) -> None:
        """Replace the stored values of an item. Raises UniqueTaken."""
        params = self._params(item) | {"seq": item.seq}
        if db.watched:
            self.note(db, (item.seq,))
        db.execute(self._update, params)
        if self._searchable and self.dialect == "sqlite":
            self._drop_words(db, item.seq)
            self._put_words(db, item.seq, params["words"])

    def delete(self, db: Db, seq: int) -> None:
        """Delete an item."""
        if db.watched:
            self.note(db, (seq,), gone=True)
        db.execute(f"DELETE FROM {self.name} WHERE seq = :seq", {"seq": seq})  # noqa: S608
        if self._searchable and self.dialect == "sqlite":
            self._drop_words(db, seq)

    def grow(self, db: Db) -> None:
        """Note that new items are about to be stored, for jobs that go through the table."""
        watch = db.watched.get(self.name)
        if watch is not None:
            watch.grow()

    def note(self, db: Db, seqs: Sequence[int], *, gone: bool = False) -> None:
        """Note that these items are about to be written or deleted, for jobs that go through the table."""
        watch = db.watched.get(self.name)
        if watch is None:
            return
        watch.note(seqs)
        if gone:
            sql = f"SELECT id, tenant FROM {self.name} WHERE seq IN {tables.listed(self.dialect)}"  # noqa: S608
            watch.gone.update((row[0], row[1]) for row in db.query(sql, tables.listing(seqs)))

    def taken(self, db: Db, field: str, value: Any, tenant: str, but: int) -> bool:
        """Whether an item of the tenant other than `but` has this value; for a reference, whether it refers there."""
        sql = f"SELECT 1 FROM {self.name} WHERE {column(field)} = :value AND tenant = :tenant AND seq <> :but LIMIT 1"  # noqa: S608
        return bool(db.query(sql, {"value": value, "tenant": tenant, "but": but}))

    def referrers(self, db: Db, field: str, value: Any, tenant: str, most: int) -> list[int]:
        """The items of the tenant that have this value, at most `most`."""
        sql = f"SELECT seq FROM {self.name} WHERE {column(field)} = :value AND tenant = :tenant LIMIT {most}"  # noqa: S608
        return [int(row[0]) for row in db.query(sql, {"value": value, "tenant": tenant})]

    def holder(self, db: Db, field: str, value: Any, tenant: str, but: int) -> int | None:
        """The item of the tenant, other than `but`, that has this unique value."""
        sql = f"SELECT seq FROM {self.name} WHERE {column(field)} = :value AND tenant = :tenant AND seq <> :but LIMIT 1"  # noqa: S608
        rows = db.query(sql, {"value": value, "tenant": tenant, "but": but})
        return int(rows[0][0]) if rows else None

    def set_unique(self, db: Db, seq: int, field: str, value: Any) -> None:
        """Write one unique field alone, for as long as a write job moves its value."""
        if db.watched:
            self.note(db, (seq,))
        db.execute((f"UPDATE {self.name} SET {column(field)} = :value WHERE seq = :seq"), {"value": value, "seq": seq})  # noqa: S608

    def count(self, db: Db, where: Where) -> int | None:
        """How many match; None if there are more than are counted."""
        sql = f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {self.name} WHERE {where.text} LIMIT :most) AS part"  # noqa: S608
        total = int(db.query(sql, {**where.values, "most": COUNTED_MAX + 1})[0][0])
        return total if total <= COUNTED_MAX else None

    def search(self, where: Where, found: Sequence[str]) -> None:
        """Add to `where` that an item has all these words (each the beginning of one)."""
        if self.dialect == "sqlite":
            name = self.words
            text = " ".join(f'"{word}"*' for word in found)
            where.add_sql(f"seq IN (SELECT rowid FROM {name} WHERE words MATCH :words)", words=text)  # noqa: S608
        else:
            text = " & ".join(f"'{word}':*" for word in found)
            where.add_sql("words @@ CAST(:words AS tsquery)", words=text)

    def words_of(self, item: Item) -> str:
        """The words by which `q` finds an item."""
        return words(item.values[name] for name in self._searchable)

    def row(self, item: Item) -> tuple[Any, ...]:
        """An item as the values of `columns`."""
        return (
            item.id,
            item.tenant,
            item.revision,
            item.created,
            item.updated,
            *(item.values[name] for name in self._fields),
        )

    def _params(self, item: Item) -> dict[str, Any]:
        params: dict[str, Any] = {f"c{index}": value for index, value in enumerate(self.row(item))}
        if self._searchable:
            params["words"] = self.words_of(item)
        return params

    def _writes(self) -> tuple[str, str]:
        columns, marks = list(self.columns), [f":c{index}" for index in range(len(self.columns))]
        if self._searchable and self.dialect == "postgres":
            columns.append("words")
            marks.append("array_to_tsvector(string_to_array(:words, ' '))")
        returned = "" if self.dialect == "postgres" else " RETURNING seq"
        # Columns that never change are left out, so that their indexes are untouched.
        pairs = ", ".join(
            f"{name} = {mark}" for name, mark in zip(columns, marks, strict=True) if name not in tables.FOR_GOOD
        )
        return (
            f"INSERT INTO {self.name} ({', '.join(columns)}) VALUES ({', '.join(marks)}){returned}",  # noqa: S608
            f"UPDATE {self.name} SET {pairs} WHERE seq = :seq",  # noqa: S608
        )

    def _shown(self, name: str, kind: str) -> str:
        # PostgreSQL's driver would parse JSON; we want the stored text.
        is_cast = self.dialect == "postgres" and kind in ("object", "array")
        return f"CAST({column(name)} AS TEXT)" if is_cast else column(name)

    def _put_words(self, db: Db, seq: int, text: str) -> None:
        db.execute((f"INSERT INTO {self.words} (rowid, words) VALUES (:seq, :words)"), {"seq": seq, "words": text})  # noqa: S608

    def _drop_words(self, db: Db, seq: int) -> None:
        db.execute(f"DELETE FROM {self.words} WHERE rowid = :seq", {"seq": seq})  # noqa: S608
