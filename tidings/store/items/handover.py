"""Moving a collection to another declaration while its items are read and written.

The writer is held only briefly: each method is a separate write job, and touches the given number of rows. Rows are
taken as they are found, in the order of `seq`, and a watch notes which of them are written meanwhile. These are taken
again, pass by pass, each as of its beginning; the last pass is one job, and ends with the new declaration in force. A
collection that was not written since its last pass needs no statement in that job, so one declaration can move
hundreds.

None of this counts before that: until then, the table being filled is listed as discarded, so that its remains are
dropped after a crash. A job may run twice, so no method keeps progress in memory; the caller does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.collection import Collection, Field
from tidings.model.errors import Unavailable
from tidings.model.moment import Micros
from tidings.rules.declare.plan import DropField, Pair, Plan
from tidings.store.base import Db, UniqueViolation
from tidings.store.items import alter, tables
from tidings.store.items.inspect import still_fits
from tidings.store.items.successor import ITEM, Successor, is_needed
from tidings.store.watch import Watch

SLICE_BYTES = 1024 * 1024
"""The maximum number of bytes that a job takes over; but it takes at least one row."""
BYTES_AS_ROW = 2_000
"""Taking over this many bytes takes about as long as taking over one row."""
LAST_ROWS = 500
"""The maximum number of rows that the last job takes over."""
RETRY_AFTER_SECONDS = 5.0
_GONE = {
    "sqlite": "SELECT value ->> 0 AS id, value ->> 1 AS tenant FROM json_each(:gone)",
    "postgres": "SELECT value ->> 0 AS id, value ->> 1 AS tenant FROM json_array_elements(CAST(:gone AS JSON))",
}


class Late(Unavailable):
    """The items are not as they were found, or too many of them have changed: inspect again, or make another pass."""


class Pass(msgspec.Struct, frozen=True):
    """The rows that a pass takes: those noted up to a moment, and new ones."""

    noted: Sequence[int] = ()
    moment: int = -1
    top: int = 0
    """The last of the new rows."""
    rows: int = 0
    """The number of rows that the pass took over, if it was done in one job."""
    writes: tuple[int, ...] | None = None
    """The counts of the watches at the end of the pass, if no rows were left after it."""


class Handover:
    """The handover of one collection to another declaration."""

    last_rows = LAST_ROWS

    def __init__(
        self, plan: Plan, pair: Pair, now: Micros, watched: Mapping[str, Watch], *, replaces: bool = False
    ) -> None:
        """`watched`: the watches of all tables that the plan is about.

        `replaces`: the table is replaced, even if it could be altered without its rows.
        """
        self.pair = pair
        self.cursor = 0
        """The last row that was taken over. The caller advances it."""
        self.last = Pass()
        """The last pass that was done. The caller sets it."""
        self.high = 0
        """The last row that existed when all were inspected. Rows up to this one are taken without another check."""
        self.successor: Successor | None = None
        self._plan, self._now, self._watched, self._replaces = plan, now, watched, replaces
        self._source = tables.table(pair.before)
        asked = [each for each in plan.requirements if each.collection == pair.before.name and each.what == "exists"]
        self._references = [(each, tables.table(plan.present[each.target])) for each in asked if each.target]
        self._empty: list[Field] = []
        """Fields that will be dropped, and that had no values."""

    def found(self, db: Db, counts: Sequence[int]) -> None:
        """The findings for all items since they are watched, in the open transaction: `Findings.counts`."""
        self.high = self.high or self._top(db)
        steps = zip(self._plan.steps, counts, strict=True)
        own = [(step, count) for step, count in steps if step.collection == self.pair.after.name]
        self._empty = [step.field for step, count in own if isinstance(step, DropField) and not count]

    def name(self, db: Db) -> Collection | None:
        """Choose the table to fill; None if none is needed, or the existing one can be altered."""
        if not self._replaces and not is_needed(self._plan, self.pair, db.dialect):
            self.cursor = self.high
            return None
        made = alter.named(db, self.pair.after)
        self.successor = Successor(self._plan, self.pair, made, self._source, db.dialect, self._now)
        return made

    def take(self, db: Db, after: int, top: int, most: int) -> int | None:
        """Take rows beyond `after`, up to `top`, at most `most`; returns the last of them, or None if there are none.

        Raises Late if they do not fit.
        """
        until = self._end(db, after, top, most)
        if until is None:
            return None
        where, params = f"{ITEM}.seq > :after AND {ITEM}.seq <= :until", {"after": after, "until": until}
        noted = self._watched[self._source].within(after, until)
        if noted:
            where, params = f"{where} AND {ITEM}.seq NOT IN {tables.listed(db.dialect)}", params | tables.listing(noted)
        if top > self.high:
            self._check(db, where, params)
        self._fill(db, where, params)
        return until

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was written since a pass after which nothing was left."""
        return self.last.writes is not None and self.last.writes == self._writes()

    def _writes(self) -> tuple[int, ...]:
        gone = (len(self._watched[target].gone) for _, target in self._references)
        return (self._watched[self._source].writes, *gone)

    def start_pass(self, db: Db) -> Pass:
        """Returns what there is to take now; `last` is done."""
        watch = self._watched[self._source]
        watch.settle(self.last.noted, self.last.moment)
        noted, moment = watch.noted()
        return Pass(noted, moment, max(self._top(db), self.cursor))

    def forget(self, db: Db, seqs: Sequence[int]) -> None:
        """Remove the rows made from these.

        All noted rows are removed before the first is taken again, so that no two rows of different moments have the
        same unique value.
        """
        if self.successor is not None:
            self.successor.forget(db, seqs)

    def again(self, db: Db, seqs: Sequence[int], moment: int) -> None:
        """Take these rows again, if they still exist and were not noted later. Raises Late if they do not fit."""
        later = set(self._watched[self._source].later(seqs, moment))
        where = f"{ITEM}.seq IN {tables.listed(db.dialect)}"
        params = tables.listing([seq for seq in seqs if seq not in later])
        self._check(db, where, params)
        self._fill(db, where, params)

    def finish(self, db: Db, most: int) -> Pass | None:
        """Do a whole pass in one job; if it has more than `most` rows, do nothing and return None. Raises Late."""
        found = self.start_pass(db)
        if len(found.noted) > most or (found.noted and self._bytes(db, found.noted) > SLICE_BYTES):
            return None
        left, until, fresh = most - len(found.noted), self.cursor, 0
        if found.top > self.cursor:
            fresh = self._count(db, self.cursor, found.top, left + 1)
            until = self._end(db, self.cursor, found.top, max(left, 1)) or found.top
            if fresh > left or (until < found.top and self._end(db, until, found.top, 1) is not None):
                return None
        if found.noted:
            self.forget(db, found.noted)
        if fresh:
            self.take(db, self.cursor, until, fresh)
        if found.noted:
            self.again(db, found.noted, found.moment)
        self._check_gone(db)
        if self.successor is not None:
            self.successor.take_numbers(db)
        rows = len(found.noted) + fresh
        return msgspec.structs.replace(found, rows=rows, writes=self._writes())

    def end(self, db: Db) -> Collection:
        """Make the change itself, once nothing is left; returns the collection with its table."""
        if self.successor is None:
            return alter.in_place(db, self._plan, self.pair)
        return self.successor.collection

    def _top(self, db: Db) -> int:
        """The last row that there is."""
        return int(db.query((f"SELECT COALESCE(MAX(seq), 0) FROM {self._source}"), {})[0][0])  # noqa: S608 -- our own names

    # --- steps --------------------------------------------------------------------------------------------------------

    def _end(self, db: Db, after: int, top: int, most: int) -> int | None:
        """The last of the next rows: at most `most`, and not too large together."""
        where = "seq > :after AND seq <= :top ORDER BY seq LIMIT :most"
        sql = f"SELECT seq, {_size(db, self.pair.before)} FROM {self._source} WHERE {where}"  # noqa: S608 -- our own names
        until, left = None, SLICE_BYTES
        for seq, weight in db.query(sql, {"after": after, "top": top, "most": most}):
            left -= weight
            if left < 0 and until is not None:
                break
            until = int(seq)
        return until

    def _count(self, db: Db, after: int, top: int, most: int) -> int:
        """How many rows there are beyond `after`, up to `top`; counts no further than `most`."""
        part = f"SELECT 1 AS one FROM {self._source} WHERE seq > :after AND seq <= :top LIMIT :most"  # noqa: S608 -- our own names
        params = {"after": after, "top": top, "most": most}
        return int(db.query(f"SELECT COUNT(*) FROM ({part}) AS part", params)[0][0])  # noqa: S608 -- our own names

    def _bytes(self, db: Db, seqs: Sequence[int]) -> int:
        """How large these rows are together."""
        where = f"seq IN {tables.listed(db.dialect)}"
        sql = f"SELECT COALESCE(SUM({_size(db, self.pair.before)}), 0) FROM {self._source} WHERE {where}"  # noqa: S608 -- our own names
        return int(db.query(sql, tables.listing(seqs))[0][0])

    def _check(self, db: Db, where: str, params: dict[str, Any]) -> None:
        if not still_fits(db, self._plan, self.pair, self._empty, where, params):
            raise late(self.pair)

    def _fill(self, db: Db, where: str, params: dict[str, Any]) -> None:
        if self.successor is None:
            return
        try:
            self.successor.fill(db, where, params)
        except UniqueViolation as wrong:
            raise late(self.pair) from wrong

    def _check_gone(self, db: Db) -> None:
        """Whether an item refers, by a reference that is not yet in force, to one that was deleted since it was
        found."""
        for requirement, target in self._references:
            gone = self._watched[target].gone
            if not gone or requirement.before is None:
                continue
            name, field = self._source, requirement.before.name
            if self.successor is not None:
                name, field = self.successor.name, requirement.after.name
            there = f"SELECT 1 FROM {target} AS it WHERE it.id = gone.id AND it.tenant = gone.tenant"  # noqa: S608 -- our own names
            refers = f"{name} AS item ON item.{tables.column(field)} = gone.id AND item.tenant = gone.tenant"
            sql = f"SELECT 1 FROM ({_GONE[db.dialect]}) AS gone JOIN {refers} WHERE NOT EXISTS ({there}) LIMIT 1"  # noqa: S608 -- our own names
            if db.query(sql, {"gone": msgspec.json.encode(sorted(gone)).decode()}):
                raise late(self.pair)


def late(pair: Pair) -> Late:
    """The items of a collection changed faster than they could be taken."""
    detail = (
        f"The items of {pair.before.name} keep changing, so the collection's declaration was not changed. Try again."
    )
    return Late(detail, retry_after_seconds=RETRY_AFTER_SECONDS)


def weight(db: Db, collection: Collection, most: int) -> int:
    """How many rows a collection has, a large one counting as several; counts no further than `most`.

    Use a reader for this if there may be many.
    """
    part = f"SELECT {_size(db, collection, unpacked=True)} AS size FROM {tables.table(collection)} LIMIT :most"  # noqa: S608 -- our own names
    [(count, size)] = db.query((f"SELECT COUNT(*), COALESCE(SUM(size), 0) FROM ({part}) AS part"), {"most": most + 1})  # noqa: S608 -- our own names
    return int(count) + int(size) // BYTES_AS_ROW


def _size(db: Db, collection: Collection, *, unpacked: bool = False) -> str:
    """The SQL for the size of a row, from the columns that may be large.

    PostgreSQL compresses large values, and must decompress JSON to tell its size (`unpacked`).
    """
    sizes = ["0"]
    for field in collection.fields:
        column = tables.column(field.name)
        if field.type == "string":
            sizes.append(f"COALESCE(octet_length({column}), 0)")
        elif field.type in ("object", "array"):
            packed = db.dialect == "postgres" and not unpacked
            sizes.append(
                f"COALESCE({f'pg_column_size({column})' if packed else f'octet_length({_text(db, column)})'}, 0)"
            )
    return " + ".join(sizes)


def _text(db: Db, column: str) -> str:
    return column if db.dialect == "sqlite" else f"CAST({column} AS TEXT)"
