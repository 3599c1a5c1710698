"""Pages of items, in any order of sortable fields, each continuing where the previous page ended.

A position is the values that the last item is sorted by, and its `seq`, so items that are added or deleted shift no
page, and the last page of a million costs what the first one costs: an index is entered at the position (keyset). Null
comes before everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.store.base import Db, Row
from tidings.store.items.conditions import Where
from tidings.store.items.items import ItemTable
from tidings.store.items.tables import asked_column

CREATED = "created"
"""The order of creation: that of `seq`, and also that of the time `created` unless a clock was set back."""


class Order(msgspec.Struct, frozen=True):
    """One part of an order. `nullable`: some items may have no value there.

    `by_time`: CREATED by its time rather than by `seq`, for lists that also filter by time: one index serves both.
    """

    name: str
    down: bool = False
    nullable: bool = True
    by_time: bool = False

    @property
    def is_seq(self) -> bool:
        """Whether it is the order of `seq`."""
        return self.name == CREATED and not self.by_time


Position = Sequence[Any]
"""A position in a list: a value for each part of the order, then `seq`."""


def page(
    db: Db, table: ItemTable, where: Where, order: Sequence[Order], after: Position | None, limit: int
) -> list[Row]:
    """At most `limit` rows (of `table.select`) that match `where`, after a position in `order` (by creation, if
    empty)."""
    found: list[Row] = []
    for condition, values in _segments(order, after):
        sql = f"{table.select} WHERE {where.text}"
        if condition:
            sql += f" AND {condition}"
        sql += f" ORDER BY {_order_by(order)} LIMIT :count"
        found += db.query(sql, {**where.values, **values, "count": limit - len(found)})
        if len(found) >= limit:
            break
    return found


def is_one_statement(order: Sequence[Order], after: Position | None) -> bool:
    """Whether `page` runs a single statement, which always sees one moment."""
    return len(_segments(order, after)) == 1


def position(table: ItemTable, order: Sequence[Order], row: Row) -> list[Any]:
    """The position of a page that ends with this row."""
    return [*(table.value(row, part.name) for part in order if not part.is_seq), row[0]]


def _sorted(order: Sequence[Order]) -> list[Order]:
    """The parts that are columns; `created` decides everything, so parts after it are left out."""
    found = []
    for part in order:
        if part.is_seq:
            break
        found.append(part)
    return found


def _order_by(order: Sequence[Order]) -> str:
    parts = [
        f"{asked_column(part.name)} {'DESC NULLS LAST' if part.down else 'ASC NULLS FIRST'}" for part in _sorted(order)
    ]
    return ", ".join([*parts, f"seq {'DESC' if _is_seq_down(order) else 'ASC'}"])


def _is_seq_down(order: Sequence[Order]) -> bool:
    """The direction of `seq`: that of `created`, or that of the last part if `seq` only breaks ties."""
    created = next((part for part in order if part.name == CREATED), None)
    return (created or order[-1]).down if order else False


def _segments(order: Sequence[Order], after: Position | None) -> list[tuple[str, dict[str, Any]]]:
    """Conditions to use one after the other; each walks along an index from its starting point."""
    if after is None:
        return [("", {})]
    columns, down = _sorted(order), _is_seq_down(order)
    values = {f"k{index}": value for index, value in enumerate(after[:-1]) if value is not None}
    values["seq"] = after[-1]
    sign = "<" if down else ">"
    if not columns:
        return [(f"seq {sign} :seq", values)]
    if len(columns) == 1 and columns[0].down == down:
        return _of_one(columns[0], after[0], sign, values)
    return [(_lexicographic(columns, after, sign), values)]


def _of_one(part: Order, value: Any, sign: str, values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    name = asked_column(part.name)
    nulls = (f"{name} IS NULL AND seq {sign} :seq", {"seq": values["seq"]})
    if value is None:
        return [nulls] if part.down else [nulls, (f"{name} IS NOT NULL", {})]
    beyond = (f"({name}, seq) {sign} (:k0, :seq)", values)
    return [beyond, (f"{name} IS NULL", {})] if part.down and part.nullable else [beyond]


def _lexicographic(columns: Sequence[Order], after: Position, sign: str) -> str:
    """For several parts with different directions: later in the first, or equal there and later in the second ..."""
    choices: list[str] = []
    equal: list[str] = []
    for index, part in enumerate(columns):
        name, value = asked_column(part.name), after[index]
        later = _later(name, f":k{index}", part, value)
        if later:
            choices.append(" AND ".join([*equal, later]))
        equal.append(f"{name} IS NULL" if value is None else f"{name} = :k{index}")
    choices.append(" AND ".join([*equal, f"seq {sign} :seq"]))
    first, value = columns[0], after[0]
    bound = ""
    if value is not None and not first.down:
        # Stated separately, because an index can be entered there.
        bound = f"{asked_column(first.name)} >= :k0 AND "
    return f"{bound}({' OR '.join(f'({choice})' for choice in choices)})"


def _later(name: str, mark: str, part: Order, value: Any) -> str:
    if value is None:
        return "" if part.down else f"{name} IS NOT NULL"
    if part.down:
        return f"({name} < {mark} OR {name} IS NULL)" if part.nullable else f"{name} < {mark}"
    return f"{name} > {mark}"
