"""A tenant with costly filters delays itself: others are routed on time, and it loses and doubles nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.route.test_route import HandClock, endpoint, event, pairs, publish
from tidings.route import route
from tidings.route.route import Router
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.log import lists
from tidings.store.seal import Sealer

FILTER = {"data": {"x": 1}}


class Ticks:
    """A stopwatch on which each look takes a millisecond, so each filter takes one."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        self.at += 0.001
        return self.at


@pytest.fixture
def db(database: str | None, tmp_path: Path) -> Iterator[Db]:
    engine = open_engine(database or "sqlite:test.db", tmp_path)
    made = engine.writer()
    yield made
    made.close()
    engine.close()


@pytest.fixture
def catalog(db: Db) -> Catalog:
    return Catalog(Sealer(b"k" * 32))


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    monkeypatch.setattr(route, "STEPS_PER_LOOK", 1)
    return Ticks()


@pytest.fixture
def router(catalog: Catalog, ticks: Ticks) -> Router:
    return Router(catalog, HandClock(), ticks)


def step(db: Db, router: Router) -> float | None:
    db.begin()
    pause = router.step(db)
    db.commit()
    return pause


def drain(db: Db, router: Router, ticks: Ticks) -> int:
    """How many steps it takes until nothing is left."""
    steps = 1
    while (pause := step(db, router)) is not None:
        ticks.at += pause
        steps += 1
        assert steps < 1_000
    return steps


def costly(db: Db, catalog: Catalog, tenant: str | None = "slow", count: int = 30) -> None:
    for num in range(1, count + 1):
        endpoint(db, catalog, num, tenant=tenant, filter=FILTER)


def wanted(name: str, tenant: str | None = "slow") -> Any:
    return event(name, tenant=tenant, data='{"x":1}')


@pytest.mark.parametrize("tenant", ["slow", None])
def test_other_tenants_are_routed_in_the_same_step(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks, tenant: str | None
) -> None:
    costly(db, catalog, tenant)
    endpoint(db, catalog, 100, tenant="quiet", filter=FILTER)
    publish(db, *[wanted(f"e{each}", tenant) for each in range(20)], wanted("q", "quiet"))
    step(db, router)
    assert ("q", 100) in pairs(db)
    assert ("e19", 1) not in pairs(db)
    assert lists.routed(db, "quiet") == 21
    assert lists.routed(db, tenant or "") < 20
    assert lists.routed(db, None) == lists.routed(db, tenant or "")


@pytest.mark.slow
def test_a_tenant_that_is_aside_gets_everything_once_and_in_order(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    costly(db, catalog)
    endpoint(db, catalog, 100, tenant="*")
    names = [f"e{each}" for each in range(20)]
    publish(db, *map(wanted, names[:10]))
    for name in names[10:]:
        step(db, router)
        publish(db, wanted(name), wanted(f"q-{name}", "quiet"))
    assert drain(db, router, ticks) > 10
    assert [pair for pair in pairs(db) if pair[1] < 100] == [(name, link) for name in names for link in range(1, 31)]
    assert sorted(name for name, link in pairs(db) if link == 100) == sorted([*names, *[f"q-{n}" for n in names[10:]]])
    assert router.aside == 0
    assert db.all("route_aside") == []


@pytest.mark.slow
def test_a_step_ends_by_time(db: Db, catalog: Catalog, router: Router, ticks: Ticks) -> None:
    costly(db, catalog, count=3)
    for tenant in range(40):
        endpoint(db, catalog, 100 + tenant, tenant=f"t{tenant}", filter=FILTER)
    publish(db, *[wanted(f"e{each}", f"t{each}") for each in range(40)])
    began = ticks.at
    assert step(db, router) == 0.0
    assert ticks.at - began < 2 * route.STEP_SECONDS
    drain(db, router, ticks)
    assert pairs(db) == [(f"e{each}", 100 + each) for each in range(40)]


def test_a_rollback_in_the_middle_neither_loses_nor_doubles(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    costly(db, catalog)
    publish(db, *[wanted(f"e{each}") for each in range(5)])
    for _ in range(3):
        db.begin()
        router.step(db)
        db.rollback()
        ticks.at += 1
        step(db, router)
    drain(db, router, ticks)
    assert pairs(db) == [(f"e{each}", link) for each in range(5) for link in range(1, 31)]


def test_a_restart_in_the_middle_neither_loses_nor_doubles(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    costly(db, catalog)
    publish(db, *[wanted(f"e{each}") for each in range(5)])
    for _ in range(40):
        if step(db, router) is None:
            break
        ticks.at += 1
        router = Router(catalog, HandClock(), ticks)
        step(db, router)
        ticks.at += 1
    drain(db, router, ticks)
    assert pairs(db) == [(f"e{each}", link) for each in range(5) for link in range(1, 31)]


def test_another_event_in_the_place_of_one_that_was_rolled_back_is_asked_again(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    costly(db, catalog)
    db.begin()
    publish(db, wanted("a"))
    router.step(db)
    db.rollback()
    ticks.at += 1
    publish(db, event("b", tenant="slow", data='{"x":2}'), wanted("c"))
    drain(db, router, ticks)
    assert pairs(db) == [("c", link) for link in range(1, 31)]


def test_a_new_endpoint_gets_no_older_event_however_late_it_is_routed(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    costly(db, catalog)
    publish(db, *[wanted(f"e{each}") for each in range(5)])
    step(db, router)
    endpoint(db, catalog, 50, tenant="slow", after=5)
    publish(db, wanted("later"))
    drain(db, router, ticks)
    assert [pair for pair in pairs(db) if pair[1] == 50] == [("later", 50)]


def test_an_endpoint_deleted_in_the_meantime_gets_nothing(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    costly(db, catalog)
    publish(db, wanted("a"))
    step(db, router)
    endpoint(db, catalog, 1, tenant="slow", deleted=5, filter=FILTER)
    drain(db, router, ticks)
    assert pairs(db) == [("a", link) for link in range(2, 31)]


@pytest.mark.slow
def test_tenants_that_are_aside_take_turns_and_half_of_the_time(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    for number, tenant in enumerate(("a", "b", "c")):
        for num in range(30):
            endpoint(db, catalog, 1 + 100 * number + num, tenant=tenant, filter=FILTER)
    publish(db, *[wanted(f"{tenant}{each}", tenant) for each in range(20) for tenant in "abc"])
    began = ticks.at
    pauses = 0.0
    for _ in range(8):
        pause = step(db, router)
        assert pause is not None
        pauses += pause
        ticks.at += pause
    assert pauses > (ticks.at - began) / 3
    assert {name[0] for name, _ in pairs(db)} == {"a", "b", "c"}
    # Before its rest is over, only the cursor's own events are looked at.
    step(db, router)
    rest = step(db, router)
    assert rest is not None and rest > 0


def test_an_event_that_a_filter_cannot_decide_is_sent_and_noted(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint(db, catalog, 1, filter={"data": {"a": {"$in": ["y"]}}})
    endpoint(db, catalog, 2, filter={"data": {"b": 1}})
    long = event("long", data='{"a":[' + ",".join(['"x"'] * 40_000) + "]}")
    with caplog.at_level(logging.WARNING):
        publish(db, long, event("short", data='{"a":["x"],"b":1}'))
        drain(db, router, ticks)
    assert pairs(db) == [("long", 1), ("short", 2)]
    assert router.cut_off == 1
    assert "the filter of ep_1 takes more than" in caplog.text


@pytest.mark.slow
def test_documents_are_read_together_and_correctly(db: Db, catalog: Catalog, router: Router, ticks: Ticks) -> None:
    endpoint(db, catalog, 1, filter={"data": {"n": {"$gte": 100}}, "subject": {"$exist": True}})
    endpoint(db, catalog, 2, tenant="x", filter={"data": {"n": {"$lt": 100}}, "previous": {"$exist": False}})
    publish(
        db,
        *[
            event(f"e{n}", subject=None if n % 2 else f"s{n}", tenant="x" if n % 3 else None, data=f'{{"n":{n}}}')
            for n in range(200)
        ],
    )
    drain(db, router, ticks)
    found = {name for name, link in pairs(db) if link == 1}
    assert found == {f"e{n}" for n in range(100, 200) if n % 2 == 0 and n % 3 == 0}
    assert {name for name, link in pairs(db) if link == 2} == {f"e{n}" for n in range(100) if n % 3}


@pytest.mark.slow
@pytest.mark.parametrize("tenant", ["busy", None])
def test_a_tenant_that_fills_a_step_with_deliveries_lets_others_pass(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks, tenant: str | None
) -> None:
    """A thousand events to three hundred endpoints kept another tenant's event waiting for all of them."""
    for num in range(1, 201):
        endpoint(db, catalog, num, tenant=tenant)
    endpoint(db, catalog, 1_000, tenant="quiet")
    events_of = [event(f"e{each}", tenant=tenant) for each in range(300)]
    publish(db, *events_of[:200], event("q1", tenant="quiet"), *events_of[200:], event("q2", tenant="quiet"))
    step(db, router)
    assert router.aside == 1
    assert [pair for pair in pairs(db) if pair[1] == 1_000] == [("q1", 1_000), ("q2", 1_000)]
    assert len(pairs(db)) < 15_000
    drain(db, router, ticks)
    assert [pair for pair in pairs(db) if pair[1] <= 200] == [
        (f"e{n}", link) for n in range(300) for link in range(1, 201)
    ]
    assert router.aside == 0


@pytest.mark.slow
def test_a_single_tenant_with_many_endpoints_is_not_put_aside(
    db: Db, catalog: Catalog, router: Router, ticks: Ticks
) -> None:
    for num in range(1, 201):
        endpoint(db, catalog, num)
    publish(db, *[event(f"e{each}") for each in range(300)])
    assert step(db, router) == 0.0
    assert router.aside == 0
    assert len(pairs(db)) == route.DELIVERIES_PER_STEP
