"""A condition means the same in memory and in SQL, and pages by keyset are the sorted list: on every engine."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.items.collections import declare
from tests.items.plans import SORTS, Explained
from tidings.model.collection import Collection, Field, Item
from tidings.rules.items.condition import (
    ALWAYS,
    NEVER,
    Both,
    Compare,
    Condition,
    Either,
    Not,
    both,
    fields,
    fixed,
    holds,
)
from tidings.store.base import Db
from tidings.store.items import item_pages
from tidings.store.items.conditions import Where
from tidings.store.items.item_pages import CREATED, Order
from tidings.store.items.items import ItemTable
from tidings.testing import TestServer

T = TypeVar("T")
wide = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# `seq` and words of SQL are names like any other.
CONDS = Collection(
    name="select",
    fields=(
        Field(name="where", type="string", filterable=True, sortable=True),
        Field(name="seq", type="integer", filterable=True, sortable=True),
        Field(name="null", type="number", filterable=True, sortable=True),
        Field(name="limit", type="decimal", max_digits=38, scale=10, filterable=True, sortable=True),
        Field(name="order", type="boolean", filterable=True, sortable=True),
        Field(name="group", type="datetime", filterable=True, sortable=True),
        Field(name="table", type="date", filterable=True, sortable=True),
        Field(name="from", type="enum", values=("a", "b"), filterable=True, sortable=True),
        Field(name="to", type="reference", to="select", filterable=True, sortable=True),
    ),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "ab", "aB", "b", "%", "_", "'", '"', "\\", "\ud7ff", "\ue000", "\U0010ffff", "a\U0010ffff"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
)
INTEGERS = st.one_of(st.integers(-2, 2), st.sampled_from([2**63 - 1, -(2**63)]))
FLOATS = st.one_of(
    st.sampled_from([0.0, 0.5, 1e308, -1e308]), st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
)
DATES = st.sampled_from(["0001-01-01", "2026-02-28", "2026-03-01", "9999-12-31"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "where": TEXTS,
    "seq": INTEGERS,
    "null": FLOATS,
    "limit": st.one_of(
        st.sampled_from(["0", "-0.0000000001", "9.9", "10", "9" * 28]).map(Decimal),
        st.decimals(-1000, 1000, places=10).map(lambda value: value if value else Decimal(0)),
    ),
    "order": st.booleans(),
    "group": st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999) | st.integers(-1, 1),
    "table": DATES,
    "from": st.sampled_from(["a", "b"]),
    "to": st.sampled_from(["a", "b", "A.b"]),
    "id": st.sampled_from(["i0", "i1", "i2", "none"]),
    "tenant": st.sampled_from(["", "a", "b"]),
}
DECLARED = [name for name in VALUES if name not in ("id", "tenant")]


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A few items' values and tenants."""
    count = draw(st.integers(0, 7))
    return [
        {name: draw(st.none() | VALUES[name]) for name in DECLARED} | {"tenant": draw(VALUES["tenant"])}
        for _ in range(count)
    ]


@st.composite
def compares(draw: st.DrawFn) -> Compare:
    """One comparison, with values that its field may have."""
    name = draw(st.sampled_from(list(VALUES)))
    is_own = name in ("id", "tenant")
    value = VALUES[name] if is_own else st.none() | VALUES[name]
    ops = ["eq", "ne", "in", "nin"] + ([] if is_own else ["exists"])
    ops += ["gt", "gte", "lt", "lte"] if name != "order" else []
    ops += ["starts_with", "contains"] if name in ("where", "table", "from", "to", "id") else []
    op: Any = draw(st.sampled_from(ops))
    if op == "exists":
        return Compare(name, op, draw(st.booleans()))
    if op in ("in", "nin"):
        return Compare(name, op, tuple(draw(st.lists(value, min_size=1, max_size=4))))
    return Compare(name, op, draw(value if op in ("eq", "ne") else VALUES[name]))


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(compares(), st.just(ALWAYS), st.just(NEVER)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: Both(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Either(tuple(parts))),
        inner.map(Not),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    declare(server, CONDS)


class _Undo(Exception):
    """What was done is not to stay."""


def inside(server: TestServer, job: Callable[[Db, ItemTable], T]) -> T:
    """Run in a transaction that leaves nothing behind."""
    assert server.server is not None
    box: list[T] = []

    def run(db: Db) -> None:
        try:
            with db.savepoint():
                box.append(job(db, ItemTable(CONDS, db.dialect)))
                raise _Undo
        except _Undo:
            pass

    server.server.writer.wait(run)
    return box[0]


def item(index: int, values: dict[str, Any]) -> Item:
    its = {name: values[name] for name in DECLARED}
    return Item(seq=0, id=f"i{index}", tenant=values["tenant"], revision=1, created=index, updated=index, values=its)


def put(db: Db, table: ItemTable, given: list[dict[str, Any]]) -> list[Item]:
    """Store items, and read them as they are stored."""
    for index, values in enumerate(given):
        table.insert(db, item(index, values))
    return [table.item(row) for row in item_pages.page(db, table, Where(db.dialect), [Order(CREATED)], None, 1_000)]


@pytest.mark.slow
@wide
@given(given_rows=rows(), asked=st.lists(CONDITIONS, min_size=1, max_size=6))
@example(
    given_rows=[dict.fromkeys(DECLARED) | {"tenant": ""}],
    asked=[
        Not(Compare("where", "starts_with", "\U0010ffff")),
        Not(Compare("seq", "gt", 0)),
        Not(Either((Compare("null", "lt", 0.0), Compare("order", "eq", True)))),
        Compare("where", "nin", (None, "a")),
        Not(Compare("where", "nin", ("a",))),
        Not(Compare("where", "in", (None,))),
    ],
)
def test_conditions_mean_the_same_in_memory_and_in_the_store(
    server: TestServer, given_rows: list[dict[str, Any]], asked: list[Condition]
) -> None:
    def job(db: Db, table: ItemTable) -> None:
        there = put(db, table, given_rows)
        assert [(each.id, each.tenant, each.values) for each in there] == [
            (f"i{index}", values["tenant"], {name: values[name] for name in DECLARED})
            for index, values in enumerate(given_rows)
        ]
        for condition in asked:
            where = Where(db.dialect)
            where.add(condition)
            found = item_pages.page(db, table, where, [Order(CREATED)], None, 1_000)
            assert [row[0] for row in found] == [each.seq for each in there if holds(condition, each.row)], condition
            assert table.count(db, where) == len(found)

    inside(server, job)


@pytest.mark.slow
@wide
@given(asked=CONDITIONS, values=rows())
def test_values_that_a_condition_fixes_are_the_same_in_every_match(
    asked: Condition, values: list[dict[str, Any]]
) -> None:
    for index, each in enumerate(values):
        row = item(index, each).row
        if holds(asked, row):
            own = fixed(asked)
            assert all(row[name] == value for name, value in own.items()) and own.keys() <= fields(asked)
    assert all(holds(both([asked, asked]), item(0, each).row) == holds(asked, item(0, each).row) for each in values)


@st.composite
def orders(draw: st.DrawFn) -> list[Order]:
    """Up to four parts, in any directions, perhaps with `created` among them."""
    names = draw(st.lists(st.sampled_from([*DECLARED, CREATED]), max_size=4, unique=True))
    return [Order(name, down=draw(st.booleans())) for name in names]


def ordered(items: list[Item], order: list[Order]) -> list[Item]:
    """The list as it should be; ties are in the order of creation, in the direction of what was named last."""
    found = sorted(items, key=lambda each: each.seq, reverse=bool(order) and order[-1].down)
    for part in reversed(order):
        if part.name == CREATED:
            found.sort(key=lambda each: each.seq, reverse=part.down)
        else:
            found.sort(
                key=lambda each, name=part.name: (each.values[name] is not None, each.values[name]),  # type: ignore[misc]
                reverse=part.down,
            )
    return found


@pytest.mark.slow
@wide
@given(given_rows=rows(), order=orders(), limit=st.integers(1, 3), asked=CONDITIONS, seed=st.integers(0, 999))
def test_pages_are_the_sorted_list_while_items_come_and_go(
    server: TestServer,
    given_rows: list[dict[str, Any]],
    order: list[Order],
    limit: int,
    asked: Condition,
    seed: int,
) -> None:
    chance = random.Random(seed)

    def job(db: Db, table: ItemTable) -> None:
        there = put(db, table, given_rows)
        where = Where(db.dialect)
        where.add(asked)
        should = [each.seq for each in ordered([each for each in there if holds(asked, each.row)], order)]
        gone: set[int] = set()
        come: set[int] = set()
        found: list[int] = []
        after = None
        while page := item_pages.page(db, table, where, order, after, limit):
            found += [row[0] for row in page]
            after = item_pages.position(table, order, page[-1])
            leaving = chance.choice(there).seq
            # What was on a page may go as well: the next page does not depend on its being there.
            table.delete(db, leaving)
            if leaving not in found:
                gone.add(leaving)
            if len(come) < 5:
                new = item(100 + len(come), chance.choice(given_rows))
                table.insert(db, new)
                stored = table.of_tenant(db, new.id, new.tenant)
                assert stored is not None
                come.add(stored.seq)
            assert len(found) <= len(given_rows) + len(come)
            if len(page) < limit:
                break
        assert len(set(found)) == len(found)
        assert [seq for seq in found if seq not in come] == [seq for seq in should if seq not in gone]

    if given_rows:
        inside(server, job)


# --- what is asked often walks along an index -------------------------------------------------------------------------

BY_DEFAULT = [Order(CREATED, down=True)]
OF_A = Compare("tenant", "eq", "a")
SHAPES: dict[str, tuple[list[Condition], list[Order], list[Any] | None, str]] = {
    "newest": ([], BY_DEFAULT, None, "SCAN"),
    "newest, next page": ([], BY_DEFAULT, [7], "INTEGER PRIMARY KEY"),
    "a filter, newest": ([Compare("order", "eq", True)], BY_DEFAULT, None, '("f_order", seq)'),
    "a filter, next page": ([Compare("order", "eq", True)], BY_DEFAULT, [7], '("f_order", seq)'),
    "null, newest": ([Compare("table", "eq", None)], BY_DEFAULT, [7], '("f_table", seq)'),
    "sorted": ([], [Order("group")], None, '("f_group", seq)'),
    "sorted, next page": ([], [Order("group")], [5, 7], '("f_group", seq)'),
    "sorted down, next page": ([], [Order("group", down=True)], [5, 7], '("f_group", seq)'),
    "sorted, after null": ([], [Order("where")], [None, 7], '("f_where", seq)'),
    "a range, sorted by it": (
        [Compare("table", "gte", "2026-01-01")],
        [Order("table")],
        ["2026-02-01", 7],
        '("f_table", seq)',
    ),
    "a tenant's, newest": ([OF_A], BY_DEFAULT, None, "(tenant, seq)"),
    "a tenant's, next page": ([OF_A], BY_DEFAULT, [7], "(tenant, seq)"),
    "a tenant's, filtered": ([OF_A, Compare("from", "eq", "a")], BY_DEFAULT, [7], '(tenant, "f_from", seq)'),
    "a tenant's, sorted": ([OF_A], [Order("seq", down=True)], [5, 7], '(tenant, "f_seq", seq)'),
    "a tenant's, sorted, first": ([OF_A], [Order("seq", down=True)], None, '(tenant, "f_seq", seq)'),
    "a prefix, sorted by it": ([Compare("where", "starts_with", "ab")], [Order("where")], None, '("f_where", seq)'),
    "by id, a tenant's": ([Compare("id", "eq", "x"), OF_A], BY_DEFAULT, None, "(id, tenant)"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_common_queries_use_an_index(server: TestServer, name: str) -> None:
    conditions, order, after, index = SHAPES[name]

    def job(db: Db) -> None:
        where, explained = Where(db.dialect), Explained(db)
        for condition in conditions:
            where.add(condition)
        item_pages.page(explained, ItemTable(CONDS, db.dialect), where, order, after, 10)  # type: ignore[arg-type]
        assert explained.used
        if db.dialect == "postgres":
            # Of an empty table's indexes any is as good to its planner: it has to walk one, and not sort after it.
            assert not any(SORTS.search(each) for each in explained.used), explained.used
        else:
            assert all(index in each for each in explained.used), explained.used

    assert server.server is not None
    server.server.parts.readers.run(job)
