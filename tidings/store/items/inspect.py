"""What a plan would do to the present items: they are counted and checked before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.collection import Collection, Field
from tidings.model.errors import Place
from tidings.rules.declare.declared_field import fits as may_have
from tidings.rules.declare.plan import (
    AddField,
    ConvertField,
    DropCollection,
    DropField,
    FillField,
    Pair,
    Plan,
    Requirement,
    Step,
)
from tidings.rules.items.field import field_schema, is_bound, out_of_bounds
from tidings.rules.reading import decimals
from tidings.rules.reading.exact import is_whole_kept
from tidings.rules.reading.schema import compiled
from tidings.store.base import Db, Row
from tidings.store.items import successor, tables, values

ROWS_PER_LOOK = 5_000
EXAMPLES = 3
COLUMNS_MAX = 1_600


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The findings. `counts` are in the order of the plan's steps."""

    counts: tuple[int, ...]
    """For each step, the number of values or items that it loses or rewrites; 0 if it touches none."""
    refusals: tuple[Place, ...]


def inspect(db: Db, plan: Plan) -> Findings:
    """Inspect the present items, in the open transaction. Raises StoreError."""
    look = Inspection(db, plan.present)
    pairs = {pair.after.name: pair for pair in plan.pairs}

    def count(step: Step) -> int:
        db.rest()
        if isinstance(step, DropCollection):
            return look.count(step.collection)
        pair = pairs.get(step.collection)
        if pair is None:
            return 0
        name = pair.before.name
        if isinstance(step, DropField):
            return look.count(name, f"{tables.column(step.field.name)} IS NOT NULL")
        if isinstance(step, FillField) and (source := pair.source(step.field.name)):
            return look.count(name, f"{tables.column(source.name)} IS NULL")
        if isinstance(step, ConvertField) and (source := pair.source(step.after.name)):
            return look.count(name, f"{tables.column(source.name)} IS NOT NULL")
        if isinstance(step, AddField) and step.field.default is not None:
            return look.count(name)
        return 0

    found = [_CHECKS[requirement.what](look, requirement) for requirement in plan.requirements]
    found += [_room(db, pair, plan) for pair in plan.pairs]
    refusals = tuple(place for place in found if place is not None)
    return Findings(counts=tuple(count(step) for step in plan.steps), refusals=refusals)


def still_fits(db: Db, plan: Plan, pair: Pair, kept: Sequence[Field], where: str, params: dict[str, Any]) -> bool:
    """Whether the items `where` (SQL) are as `inspect` found all of them, after some have changed.

    `kept`: fields to be dropped in which it found no values. Whether unique values are repeated is not checked.
    """
    look = Inspection(db, plan.present, where, params)
    asked = [each for each in plan.requirements if each.collection == pair.before.name and each.what != "unique"]
    if any(_CHECKS[requirement.what](look, requirement) is not None for requirement in asked):
        return False
    return not any(look.count(pair.before.name, f"{tables.column(field.name)} IS NOT NULL") for field in kept)


class Inspection:
    """Queries the items of collections: all of them, or those that match `where` (SQL)."""

    def __init__(
        self, db: Db, present: Mapping[str, Collection], where: str = "", params: dict[str, Any] | None = None
    ) -> None:
        self.db, self._present = db, present
        self._where, self._params = where, params or {}

    def table(self, collection: str) -> str:
        """A collection's table."""
        return tables.table(self._present[collection])

    def rows(self, shown: str, collection: str, where: str, tail: str = "", **params: Any) -> list[Row]:
        """The rows that match `where`."""
        both = " AND ".join(part for part in (where, self._where) if part)
        whole = f" WHERE {both}" if both else ""
        sql = f"SELECT {shown} FROM {self.table(collection)} AS item{whole} {tail}"  # noqa: S608 -- our own names
        return self.db.query(sql, {**self._params, **params})

    def count(self, collection: str, where: str = "") -> int:
        """How many rows match `where`."""
        return int(self.rows("COUNT(*)", collection, where)[0][0])

    def such(self, collection: str, where: str) -> tuple[int, list[str]]:
        """How many items match, and the first ids."""
        count = self.count(collection, where)
        found = self.rows("id", collection, where, f"ORDER BY seq LIMIT {EXAMPLES}") if count else []
        return count, [str(row[0]) for row in found]


def _room(db: Db, pair: Pair, plan: Plan) -> Place | None:
    """PostgreSQL counts all columns that a table has ever had: dropped ones keep their place forever."""
    added = sum(isinstance(step, AddField) for step in plan.steps_of(pair))
    if db.dialect != "postgres" or not added or successor.is_needed(plan, pair, db.dialect):
        return None
    sql = "SELECT MAX(attnum) FROM pg_attribute WHERE attrelid = to_regclass(:name)"
    used = int(db.query(sql, {"name": tables.table(pair.before)})[0][0])
    if used + added <= COLUMNS_MAX:
        return None
    detail = (
        f"The table of {pair.before.name} has had {used:,} columns, including dropped ones, and PostgreSQL "
        f"allows at most {COLUMNS_MAX:,}. Export its items, drop the collection, declare it again, and import them."
    )
    return Place(code="too_many_columns", detail=detail)


def _required(look: Inspection, requirement: Requirement) -> Place | None:
    where = "" if requirement.before is None else f"{tables.column(requirement.before.name)} IS NULL"
    found = look.such(requirement.collection, where)
    return _refusal(requirement, *found, "have", f"no {requirement.after.name}, and it has no default")


def _unique(look: Inspection, requirement: Requirement) -> Place | None:
    assert requirement.before is not None
    column, table = tables.column(requirement.before.name), look.table(requirement.collection)
    repeated = f"SELECT {column}, tenant FROM {table} WHERE {column} IS NOT NULL GROUP BY {column}, tenant"  # noqa: S608 -- our own names
    found = look.such(requirement.collection, f"({column}, tenant) IN ({repeated} HAVING COUNT(*) > 1)")
    return _refusal(requirement, *found, "share", f"their {requirement.after.name} with another one")


def _exists(look: Inspection, requirement: Requirement) -> Place | None:
    assert requirement.before is not None
    column = tables.column(requirement.before.name)
    where = f"{column} IS NOT NULL"
    if requirement.target is not None:
        # An item refers to an item of the same tenant.
        there = f"SELECT 1 FROM {look.table(requirement.target)} AS it WHERE it.id = item.{column}"  # noqa: S608 -- our own names
        where += f" AND NOT EXISTS ({there} AND it.tenant = item.tenant)"
    found = look.such(requirement.collection, where)
    what = f"with {requirement.after.name} to no item of {requirement.after.to}"
    return _refusal(requirement, *found, "point", what)


def _fits(look: Inspection, requirement: Requirement) -> Place | None:
    assert requirement.before is not None
    fits = _fitting(requirement)
    count, examples = 0, list[str]()
    for ident, value in _values(look, requirement):
        if not fits(value):
            count += 1
            if len(examples) < EXAMPLES:
                examples.append(ident)
    return _refusal(requirement, count, examples, "have", f"a value in {requirement.after.name} that no longer fits")


_CHECKS: dict[str, Callable[[Inspection, Requirement], Place | None]] = {
    "required": _required,
    "unique": _unique,
    "exists": _exists,
    "fits": _fits,
}


_OF_ONE = {"have": "has", "point": "points"}


def _refusal(requirement: Requirement, count: int, examples: list[str], verb: str, what: str) -> Place | None:
    if not count:
        return None
    subject, verb = ("item", _OF_ONE.get(verb, verb)) if count == 1 else ("items", verb)
    such = ", ".join(examples) + (" and more" if count > len(examples) else "")
    detail = f"{count:,} {subject} of {requirement.collection} {verb} {what}: {such}."
    return Place(pointer=requirement.pointer, code=f"items_{requirement.what}", detail=detail)


def _values(look: Inspection, requirement: Requirement) -> Iterator[tuple[str, Any]]:
    """Ids and values (as JSON) of all items that have one."""
    field = requirement.before
    assert field is not None
    column = values.selected(field, look.db.dialect)
    where = f"{tables.column(field.name)} IS NOT NULL AND seq > :beyond"
    tail = f"ORDER BY seq LIMIT {ROWS_PER_LOOK}"
    beyond = -1
    while rows := look.rows(f"seq, id, {column}", requirement.collection, where, tail, beyond=beyond):
        look.db.rest()
        for _, ident, value in rows:
            yield ident, values.shown(field, value)
        beyond = rows[-1][0]


def _fitting(requirement: Requirement) -> Callable[[Any], bool]:
    """Whether a value of the field is valid for the changed field."""
    field, before = requirement.after, requirement.before
    validator = compiled(field_schema(field))
    if before is not None and (before.type, field.type) == ("integer", "number"):
        return lambda value: is_whole_kept(value) and validator.is_valid(value)
    if before is not None and field.type == "decimal":
        # By value: "12.300" fits where two digits after the point do.
        return lambda value: may_have(field, _decimal(value))
    if before is not None and (before.type, field.type) == ("date", "datetime"):
        return lambda value: may_have(field, midnight(value))
    return lambda value: validator.is_valid(value) and out_of_bounds(field, value) is None


def _decimal(value: str | float) -> str:
    """The decimal that a number or text becomes; other texts are unchanged."""
    if isinstance(value, str) and not is_bound("decimal", value):
        return value
    return decimals.plain(decimals.of(value))


def midnight(day: str) -> str:
    """A date as the datetime that it becomes."""
    return f"{day}T00:00:00Z"
