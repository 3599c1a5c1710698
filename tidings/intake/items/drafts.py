"""The item changes of one write job that are not written yet.

Operations ask for items one by one; a draft reads in advance, many at a time, what they will ask for, answers from
memory, and writes everything together at the end. A statement for each of a thousand lines would hold the writer for
seconds.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.collection import Item
from tidings.model.errors import TooLarge
from tidings.rules.items.condition import Condition, holds
from tidings.store.base import Db, Row
from tidings.store.items import item_bulk
from tidings.store.items.items import ItemTable, Lock
from tidings.store.items.tables import OWN_COLUMNS

WEIGHT_MAX = 16 * 1024 * 1024
"""The maximum number of bytes of items, with their events, that one write job reads and writes, which takes a few
tenths of a second on a slow disk."""
VALUE_WEIGHT = 8
"""The weight that each value in an object or array adds to a changed item: a megabyte may contain 190,000 numbers,
which take four times as long as text of that size."""
SEARCHED_WEIGHT, SEARCHED_CHARS_MAX = 30, 12_000
"""The weight that each character of a text that `q` searches adds to a written item, because each word is an entry in
an index. The number of words per item is limited (rules/items/search_words.py)."""
INDEX_WEIGHT, INDEXES_FREE = 300, 16
"""The weight that each index of a collection adds to a written item; the first few (INDEXES_FREE) add nothing."""
REFERRERS_MAX = 1_100
"""More items than one job can change: if this many items refer to an item, at least one still does after the job."""
FEW = 10
"""For each item that is deleted: how many of the items that refer to it are read in advance."""
TOO_HEAVY = "too_heavy"

Pair = tuple[Any, str]
"""A value (or an id) and the tenant of the item that has it."""


class Weights:
    """The weight of new items of a collection when they are written (WEIGHT_MAX)."""

    def __init__(self, table: ItemTable) -> None:
        self.each = INDEX_WEIGHT * max(0, len(table.indexes) - INDEXES_FREE)
        self.searched = [field.name for field in table.collection.fields if field.searchable]

    def of(self, values: Mapping[str, Any]) -> int:
        """An item with these values, as stored or as given; objects and arrays count as stored."""
        texts = [values.get(name) for name in self.searched]
        return self.each + self.words(texts) + sum([len(each) for each in values.values() if type(each) is str])

    def words(self, texts: Iterable[Any]) -> int:
        """The weight that the words of these texts add."""
        return SEARCHED_WEIGHT * min(sum([len(text) for text in texts if type(text) is str]), SEARCHED_CHARS_MAX)


class Draft:
    """The items of one collection as they will be. Has the methods of its `ItemTable`; `write` stores everything.

    New items have numbers below zero until they are written.
    """

    def __init__(self, table: ItemTable, drafts: Drafts) -> None:
        self.name = table.name
        self._table, self._drafts = table, drafts
        self._unique = [field.name for field in table.collection.fields if field.unique]
        self._places = {field.name: index for index, field in enumerate(table.collection.fields, len(OWN_COLUMNS) - 1)}
        self._weights = Weights(table)
        self._count = 0
        self._forget()

    def _forget(self) -> None:
        self._items: dict[int, Item] = {}
        self._stored: dict[int, Item] = {}
        """By `seq`, the items that were read, as they are stored."""
        self._rows: dict[int, Row] = {}
        """New items that have not been looked up yet, as the values of `columns`."""
        self._seqs: dict[str, dict[str, int]] = {}
        """By id and tenant."""
        self._asked: set[Pair] = set()
        self._found: set[str] = set()
        self._holders: dict[str, dict[Pair, int]] = {name: {} for name in self._unique}
        self._sought: dict[str, set[Pair]] = {name: set() for name in self._unique}
        self._referrers: dict[tuple[str, str, str], list[int]] = {}
        """By field, id and tenant of an item: everything in the store that refers to the item through that field."""
        self._changed: dict[int, None] = {}
        self._gone: set[int] = set()

    # --- reading in sets ----------------------------------------------------------------------------------------------

    def load(self, db: Db, pairs: Iterable[Pair]) -> None:
        """Read the items with these ids and tenants."""
        wanted = [pair for pair in dict.fromkeys(pairs) if pair not in self._asked]
        for item in item_bulk.items(db, self._table, "id", wanted, "delete"):
            self._keep(item)
        self._asked.update(wanted)

    def load_found(self, db: Db, idents: Iterable[str], seen: Condition) -> None:
        """Read the items with these ids that match `seen`, if no more than two have the same id."""
        wanted = [ident for ident in dict.fromkeys(idents) if ident not in self._found]
        for start in range(0, len(wanted), item_bulk.ITEMS_MAX):
            part = wanted[start : start + item_bulk.ITEMS_MAX]
            found = self._table.several(db, part, seen, 2 * len(part) + 1, "delete")
            if len(found) <= 2 * len(part):
                for item in found:
                    self._keep(item)
                self._found.update(part)

    def load_values(self, db: Db, name: str, pairs: Iterable[Pair], *, whole: bool) -> None:
        """Read which items have these unique values.

        `whole`: the values may be moved away, so the items themselves are read.
        """
        sought = self._sought[name]
        wanted = [pair for pair in dict.fromkeys(pairs) if pair not in sought]
        sought.update(wanted)
        holders = self._holders[name]
        if whole:
            for item in item_bulk.items(db, self._table, name, wanted, "delete"):
                self._keep(item)
        else:
            for seq, value, tenant in item_bulk.holders(db, self._table, name, wanted):
                if seq not in self._items and seq not in self._gone:
                    holders[value, tenant] = seq

    def load_referrers(self, db: Db, name: str, to: ItemTable, pairs: Sequence[Pair]) -> None:
        """Read the items that refer by a field to these items of `to`, if there are not many."""
        found = item_bulk.referrers(db, self._table, name, to, pairs, FEW + 1)
        self._referrers.update(((name, *pair), seqs) for pair, seqs in found.items() if len(seqs) <= FEW)

    # --- as a table ---------------------------------------------------------------------------------------------------

    def of_tenant(self, db: Db, ident: str, tenant: str, lock: Lock = "") -> Item | None:
        """Exactly this tenant's item with this id; everything that a draft reads is locked as for deletion."""
        if (ident, tenant) not in self._asked and not self.has(ident, tenant):
            self.load(db, [(ident, tenant)])
        seq = self._seqs.get(ident, {}).get(tenant)
        return None if seq is None else self._item(seq)

    def has(self, ident: str, tenant: str) -> bool:
        """Whether there is such an item among those read or created."""
        return tenant in self._seqs.get(ident, ())

    def tenants(self, ident: str) -> list[str]:
        """The tenants whose items with this id were read or created."""
        return list(self._seqs.get(ident, ()))

    def find(self, db: Db, ident: str, seen: Condition, tenant: str = "", lock: Lock = "") -> list[Item]:
        """The item with this id that matches `seen`. If several match, that of `tenant`, or two of them."""
        if ident not in self._found:
            for item in self._table.find(db, ident, seen, tenant, "delete"):
                self._keep(item)
        found = [self._item(seq) for seq in self._seqs.get(ident, {}).values()]
        found = [item for item in found if holds(seen, item.row)]
        own = [item for item in found if item.tenant == tenant] if tenant and len(found) > 1 else []
        return own or found[:2]

    def holder(self, db: Db, field: str, value: Any, tenant: str, but: int) -> int | None:
        """The item of the tenant, other than `but`, that has this unique value."""
        pair = (value, tenant)
        if pair not in self._sought[field]:
            self.load_values(db, field, [pair], whole=True)
        seq = self._holders[field].get(pair)
        return None if seq == but else seq

    def taken(self, db: Db, field: str, value: Any, tenant: str, but: int) -> bool:
        """Whether an item of the tenant, other than `but`, refers to it with this field."""
        own = [self._items[seq] for seq in self._changed if seq in self._items]
        if any(item.seq != but and item.tenant == tenant and item.values[field] == value for item in own):
            return True
        seqs = self._referrers.get((field, value, tenant))
        if seqs is None:
            seqs = self._table.referrers(db, field, value, tenant, REFERRERS_MAX)
        return any(seq != but and seq not in self._changed and seq not in self._gone for seq in seqs)

    def insert(self, db: Db, item: Item) -> int:
        """Add a new item; returns its provisional number."""
        self._count -= 1
        item = msgspec.structs.replace(item, seq=self._count)
        self._drafts.weigh((), self._weights.of(item.values))
        self._put(item)
        self._changed[item.seq] = None
        return item.seq

    def insert_row(self, row: Row) -> None:
        """Add a new item, as values of `columns`, in a job that deletes none."""
        self._count = seq = self._count - 1
        words = self._weights.words(row[self._places[name]] for name in self._weights.searched)
        self._drafts.weigh(row[len(OWN_COLUMNS) - 1 :], self._weights.each + words)
        self._rows[seq] = row
        self._seqs.setdefault(row[0], {})[row[1]] = seq
        for name in self._unique:
            if (value := row[self._places[name]]) is not None:
                self._holders[name][value, row[1]] = seq

    def update(self, db: Db, item: Item) -> None:
        """Replace an item."""
        # Its objects and arrays were read and compared, value by value.
        inner = sum([value.count(",") for value in item.values.values() if type(value) is str])
        self._drafts.weigh((), self._weights.of(item.values) + VALUE_WEIGHT * inner)
        self._put(item)
        self._changed[item.seq] = None

    def delete(self, db: Db, seq: int) -> None:
        """Delete an item."""
        item = self._items.pop(seq)
        self._drop_values(item)
        del self._seqs[item.id][item.tenant]
        self._changed.pop(seq, None)
        if seq > 0:
            self._gone.add(seq)

    def set_unique(self, db: Db, seq: int, field: str, value: Any) -> None:
        """Write one unique field alone."""
        item = self._item(seq)
        self._put(msgspec.structs.replace(item, values={**item.values, field: value}))
        self._changed[seq] = None

    # --- writing in sets ----------------------------------------------------------------------------------------------

    def write(self, db: Db, but: Several[int] = ()) -> None:
        """Write everything to the store, and clear the draft. `but`: new items not to be written yet."""
        item_bulk.delete(db, self._table, sorted(self._gone))
        changed = [self._items[seq] for seq in self._changed if seq > 0]
        self._clear_moved(db, changed)
        item_bulk.update(db, self._table, changed)
        new = sorted((seq for seq in (*self._items, *self._rows) if seq < 0 and seq not in but), reverse=True)
        rows = [self._rows[seq] if seq in self._rows else self._table.row(self._items[seq]) for seq in new]
        if rows:
            item_bulk.insert(db, self._table, rows)
        left = [self._item(seq) for seq in but if seq in self._items or seq in self._rows]
        self._forget()
        for item in left:
            self._put(item)
            self._changed[item.seq] = None

    def _clear_moved(self, db: Db, changed: Sequence[Item]) -> None:
        """Remove unique values from items that will lose them to others, so that no two ever share one."""
        for name in self._unique:
            holders = self._holders[name]
            moved = [
                item.seq
                for item in changed
                if (was := self._stored[item.seq].values[name]) is not None
                and holders.get((was, item.tenant), item.seq) != item.seq
            ]
            item_bulk.clear(db, self._table, name, moved)

    # --- memory -------------------------------------------------------------------------------------------------------

    def _keep(self, item: Item) -> None:
        """An item as it was read, unless it has changed since."""
        if item.seq in self._items or item.seq in self._gone:
            return
        self._drafts.weigh(item.values.values())
        self._stored[item.seq] = item
        self._put(item)

    def _put(self, item: Item) -> None:
        if (before := self._items.get(item.seq)) is not None:
            self._drop_values(before)
        self._items[item.seq] = item
        self._seqs.setdefault(item.id, {})[item.tenant] = item.seq
        for name in self._unique:
            if (value := item.values[name]) is not None:
                self._holders[name][value, item.tenant] = item.seq

    def _drop_values(self, item: Item) -> None:
        for name in self._unique:
            pair = (item.values[name], item.tenant)
            if self._holders[name].get(pair) == item.seq:
                del self._holders[name][pair]

    def _item(self, seq: int) -> Item:
        """An item, whose values the caller may alter."""
        item = self._items.get(seq)
        if item is None:
            ident, tenant, revision, created, updated, *values = self._rows.pop(seq)
            item = self._items[seq] = Item(
                seq=seq,
                id=ident,
                tenant=tenant,
                revision=revision,
                created=created,
                updated=updated,
                values=dict(zip(self._places, values, strict=True)),
            )
        return msgspec.structs.replace(item, values=dict(item.values))


class Drafts:
    """The drafts of one write job. Raises TooLarge if they exceed what one job may hold."""

    def __init__(self, weight_max: int = WEIGHT_MAX) -> None:
        self._drafts: dict[str, Draft] = {}
        self._left = weight_max

    def of(self, table: ItemTable) -> Draft:
        """The draft of a collection's items."""
        draft = self._drafts.get(table.name)
        if draft is None:
            draft = self._drafts[table.name] = Draft(table, self)
        return draft

    def write(self, db: Db) -> None:
        """Write all of them to the store."""
        for draft in self._drafts.values():
            draft.write(db)

    def weigh(self, values: Iterable[Any], more: int = 0) -> None:
        """Count what an item holds, once when it is read and once when it is written."""
        self._left -= more + sum([len(value) for value in values if type(value) is str])
        if self._left < 0:
            raise too_heavy()

    def expect(self, table: ItemTable, new: Iterable[Mapping[str, Any]]) -> None:
        """Refuse new items that weigh too much before the work begins. `new`: their given values."""
        weights = Weights(table)
        if sum([weights.of(values) for values in new]) > self._left:
            raise too_heavy()


def too_heavy() -> TooLarge:
    """Items that weigh more than one write job may change."""
    detail = "The items are too large to be changed together. Send the change in smaller parts."
    return TooLarge(detail, code=TOO_HEAVY)
