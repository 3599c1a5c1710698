"""What a plan would do to the items that are there: counted, and asked whether they fit, before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

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
from tidings.store.base import Db
from tidings.store.items import tables, values

ROWS_PER_LOOK = 5_000
EXAMPLES = 3
COLUMNS_MAX = 1_600


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out. `counts` stand in the order of the plan's steps."""

    counts: tuple[int, ...]
    """How many values or items the step loses or rewrites; 0 where it touches none."""
    refusals: tuple[Place, ...]


def inspect(db: Db, plan: Plan) -> Findings:
    """Look at the present items, in the transaction that is open. Raises StoreError."""
    pairs = {pair.after.name: pair for pair in plan.pairs}

    def count(step: Step) -> int:
        if isinstance(step, DropCollection):
            return _count(db, step.collection, None)
        pair = pairs.get(step.collection)
        if pair is None:
            return 0
        name = pair.before.name
        if isinstance(step, DropField):
            return _count(db, name, f"{tables.column(step.field.name)} IS NOT NULL")
        if isinstance(step, FillField) and (source := pair.source(step.field.name)):
            return _count(db, name, f"{tables.column(source.name)} IS NULL")
        if isinstance(step, ConvertField) and (source := pair.source(step.after.name)):
            return _count(db, name, f"{tables.column(source.name)} IS NOT NULL")
        if isinstance(step, AddField) and step.field.default is not None:
            return _count(db, name, None)
        return 0

    found = [_CHECKS[requirement.what](db, requirement) for requirement in plan.requirements]
    found += [_room(db, pair, plan) for pair in plan.pairs]
    refusals = tuple(place for place in found if place is not None)
    return Findings(counts=tuple(count(step) for step in plan.steps), refusals=refusals)


def _count(db: Db, collection: str, where: str | None) -> int:
    tail = f" WHERE {where}" if where else ""
    return int(db.query(f"SELECT COUNT(*) FROM {tables.table(collection)}{tail}", {})[0][0])  # noqa: S608 -- our own names


def _room(db: Db, pair: Pair, plan: Plan) -> Place | None:
    """PostgreSQL counts the columns that a table has ever had: what is dropped takes its place for good."""
    added = sum(isinstance(step, AddField) and step.collection == pair.after.name for step in plan.steps)
    if db.dialect != "postgres" or not added:
        return None
    added += tables.has_words(pair.after)
    sql = "SELECT MAX(attnum) FROM pg_attribute WHERE attrelid = to_regclass(:name)"
    used = int(db.query(sql, {"name": tables.table(pair.before.name)})[0][0])
    if used + added <= COLUMNS_MAX:
        return None
    detail = (
        f"The table of {pair.before.name} has had {used:,} columns, including dropped ones, and PostgreSQL "
        f"allows {COLUMNS_MAX:,}. Export its items, drop the collection, declare it again, and import them."
    )
    return Place(code="too_many_columns", detail=detail)


def _required(db: Db, requirement: Requirement) -> Place | None:
    where = "1 = 1" if requirement.before is None else f"{tables.column(requirement.before.name)} IS NULL"
    return _refusal(
        requirement, *_of(db, requirement, where), "have", f"no {requirement.after.name}, and it has no default"
    )


def _unique(db: Db, requirement: Requirement) -> Place | None:
    assert requirement.before is not None
    column, table = tables.column(requirement.before.name), tables.table(requirement.collection)
    repeated = f"SELECT {column}, tenant FROM {table} WHERE {column} IS NOT NULL GROUP BY {column}, tenant"  # noqa: S608 -- our own names
    where = f"({column}, tenant) IN ({repeated} HAVING COUNT(*) > 1)"
    return _refusal(
        requirement, *_of(db, requirement, where), "share", f"their {requirement.after.name} with another one"
    )


def _exists(db: Db, requirement: Requirement) -> Place | None:
    assert requirement.before is not None
    column, table = tables.column(requirement.before.name), tables.table(requirement.collection)
    where = f"{column} IS NOT NULL"
    if requirement.target is not None:
        # An item points to one of its own tenant.
        there = f"SELECT 1 FROM {tables.table(requirement.target)} AS it WHERE it.id = {table}.{column}"  # noqa: S608 -- our own names
        where += f" AND NOT EXISTS ({there} AND it.tenant = {table}.tenant)"
    return _refusal(
        requirement,
        *_of(db, requirement, where),
        "point",
        f"with {requirement.after.name} to no item of {requirement.after.to}",
    )


def _fits(db: Db, requirement: Requirement) -> Place | None:
    assert requirement.before is not None
    fits = _fitting(requirement)
    count, examples = 0, list[str]()
    for ident, value in _values(db, requirement):
        if not fits(value):
            count += 1
            if len(examples) < EXAMPLES:
                examples.append(ident)
    return _refusal(requirement, count, examples, "have", f"a value in {requirement.after.name} that no longer fits")


_CHECKS: dict[str, Callable[[Db, Requirement], Place | None]] = {
    "required": _required,
    "unique": _unique,
    "exists": _exists,
    "fits": _fits,
}


_OF_ONE = {"have": "has", "point": "points"}


def _of(db: Db, requirement: Requirement, where: str) -> tuple[int, list[str]]:
    """How many items are so, and the first ids."""
    count = _count(db, requirement.collection, where)
    if not count:
        return 0, []
    table = tables.table(requirement.collection)
    rows = db.query(f"SELECT id FROM {table} WHERE {where} ORDER BY seq LIMIT {EXAMPLES}", {})  # noqa: S608 -- our own names
    return count, [str(row[0]) for row in rows]


def _refusal(requirement: Requirement, count: int, examples: list[str], verb: str, what: str) -> Place | None:
    if not count:
        return None
    subject, verb = ("item", _OF_ONE.get(verb, verb)) if count == 1 else ("items", verb)
    such = ", ".join(examples) + (" and more" if count > len(examples) else "")
    detail = f"{count:,} {subject} of {requirement.collection} {verb} {what}: {such}."
    return Place(pointer=requirement.pointer, code=f"items_{requirement.what}", detail=detail)


def _values(db: Db, requirement: Requirement) -> Iterator[tuple[str, Any]]:
    """Ids and values (as JSON) of all items that have one."""
    field = requirement.before
    assert field is not None
    column = values.selected(field, db.dialect)
    sql = (
        f"SELECT seq, id, {column} FROM {tables.table(requirement.collection)} "  # noqa: S608 -- our own names
        f"WHERE {tables.column(field.name)} IS NOT NULL AND seq > :after ORDER BY seq LIMIT {ROWS_PER_LOOK}"
    )
    after = -1
    while rows := db.query(sql, {"after": after}):
        for _, ident, value in rows:
            yield ident, values.shown(field, value)
        after = rows[-1][0]


def _fitting(requirement: Requirement) -> Callable[[Any], bool]:
    """Whether a value that the field has may be one of the changed field."""
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
    """A number or text as the decimal that it becomes; a text that is not one stays as it is."""
    if isinstance(value, str) and not is_bound("decimal", value):
        return value
    return decimals.plain(decimals.of(value))


def midnight(day: str) -> str:
    """A date as the datetime that it becomes."""
    return f"{day}T00:00:00Z"
