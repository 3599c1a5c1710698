"""The route stage: each event reaches each link that chose it, exactly once, whatever breaks off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidings.model.event import Event
from tidings.model.link import Endpoint, Sealed, Webhook
from tidings.route import route
from tidings.route.route import Router
from tidings.store import journal
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.log import events
from tidings.store.log.events import Publication
from tidings.store.seal import Sealer
from tidings.store.writer import Writer


class HandClock:
    def now(self) -> int:
        return 1_000

    def on_jump(self, wake: object) -> None:
        """Nobody sleeps on it here."""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Db]:
    engine = open_engine("sqlite:test.db", tmp_path)
    made = engine.writer()
    yield made
    made.close()


@pytest.fixture
def catalog(db: Db) -> Catalog:
    return Catalog(Sealer(b"k" * 32))


@pytest.fixture
def router(catalog: Catalog) -> Router:
    return Router(catalog, HandClock())


def endpoint(
    db: Db,
    catalog: Catalog,
    num: int,
    *,
    tenant: str | None = None,
    deleted: int | None = None,
    after: int = 0,
    **options: Any,
) -> Endpoint:
    made = Endpoint(
        num=num,
        id=f"ep_{num}",
        tenant=tenant,
        what=Webhook(url="https://example.com", sealed=Sealed(secrets=())),
        **options,
        deleted=deleted,
        after=after,
    )
    catalog.put_link(db, made)
    catalog.refresh(db)
    return made


def publish(db: Db, *published: Event) -> None:
    events.append(db, [Publication(published)], now=1)


def event(name: str, kind: str = "tasks.created", **more: Any) -> Event:
    return Event(id=name, type=kind, time=1, **{"data": "{}", **more})


def pairs(db: Db) -> list[tuple[str, int]]:
    rows = db.query("SELECT e.id, d.link FROM delivery d JOIN event e ON e.seq = d.event ORDER BY d.number", {})
    return [(row[0], row[1]) for row in rows]


def test_each_link_gets_what_it_chose(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1)
    endpoint(db, catalog, 2, events=("tasks.*",))
    endpoint(db, catalog, 3, events=("users.created",))
    publish(db, event("a"), event("b", "users.created"), event("c", "users.deleted"))
    assert router.step(db) is None
    assert pairs(db) == [("a", 1), ("a", 2), ("b", 1), ("b", 3), ("c", 1)]


def test_a_node_routes_its_own_journal_alone(db: Db, catalog: Catalog, router: Router) -> None:
    """Numbers of other journals are higher or lower, never earlier or later, also those that a link begins after."""
    endpoint(db, catalog, 1, after=(2 << 34) + 7)
    endpoint(db, catalog, 2, after=1)
    publish(db, event("a"), event("b"))
    db.journal = 2
    journal.begin(db)
    publish(db, event("c"), event("d"))
    router.step(db)
    assert pairs(db) == [("c", 2), ("d", 2)]
    db.journal = 0
    router.step(db)
    assert set(pairs(db)) == {("c", 2), ("d", 2), ("a", 1), ("b", 1), ("b", 2)}


def test_a_second_step_adds_nothing(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1)
    publish(db, event("a"))
    router.step(db)
    router.step(db)
    assert pairs(db) == [("a", 1)]


def test_deliveries_and_cursor_are_stored_together(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1)
    publish(db, event("a"))
    db.begin()
    router.step(db)
    db.rollback()
    assert pairs(db) == []
    router.step(db)
    assert pairs(db) == [("a", 1)]


def test_filters_see_type_subject_data_and_changes(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1, filter={"data": {"price": {"$gte": 10}}})
    endpoint(db, catalog, 2, filter={"subject": "s1", "changed": {"done": True}})
    publish(db, event("a", data='{"price":9}', subject="s1", changed='{"done":true}'), event("b", data='{"price":10}'))
    router.step(db)
    assert pairs(db) == [("a", 2), ("b", 1)]


def test_tenants_are_separate(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1)
    endpoint(db, catalog, 2, tenant="x")
    endpoint(db, catalog, 3, tenant="y")
    endpoint(db, catalog, 4, tenant="*")
    publish(db, event("a"), event("b", tenant="x"), event("c", tenant="z"))
    router.step(db)
    assert pairs(db) == [("a", 1), ("a", 4), ("b", 2), ("b", 4), ("c", 4)]


def test_deleted_links_get_nothing(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1, deleted=5)
    publish(db, event("a"))
    router.step(db)
    assert pairs(db) == []


def test_an_event_with_a_target_goes_only_there_whatever_is_selected(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1)
    endpoint(db, catalog, 2, events=("nothing.else",))
    publish(db, event("a", "endpoint.test", target=2))
    router.step(db)
    assert pairs(db) == [("a", 2)]


def test_events_about_an_endpoint_are_not_sent_to_it(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1, events=("endpoint.*",))
    endpoint(db, catalog, 2, events=("*", "endpoint.failing"))
    endpoint(db, catalog, 3)
    publish(db, event("a", "endpoint.failing", subject="ep_1"))
    router.step(db)
    assert pairs(db) == [("a", 2)]


def test_edits_apply_to_later_events(db: Db, catalog: Catalog, router: Router) -> None:
    endpoint(db, catalog, 1, events=("users.*",))
    publish(db, event("a"))
    router.step(db)
    endpoint(db, catalog, 1, events=("tasks.*",))
    publish(db, event("b"))
    router.step(db)
    assert pairs(db) == [("b", 1)]


def test_many_events_are_routed_in_steps(
    db: Db, catalog: Catalog, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "EVENTS_PER_STEP", 50)
    endpoint(db, catalog, 1)
    total = 2 * 50 + 3
    publish(db, *[event(f"e{i}") for i in range(total)])
    steps = 1
    while router.step(db) is not None:
        steps += 1
    assert steps == 3
    assert pairs(db) == [(f"e{i}", 1) for i in range(total)]


def test_nothing_is_routed_before_it_is_known_which_links_there_are(tmp_path: Path) -> None:
    """A start after a crash: what the last server had not routed is there before the catalogue was read."""
    engine = open_engine("sqlite:test.db", tmp_path)
    db, before = engine.writer(), Catalog(Sealer(b"k" * 32))
    endpoint(db, before, 1)
    publish(db, event("left"))
    catalog = Catalog(Sealer(b"k" * 32))
    router = Router(catalog, HandClock())
    assert router.step(db) is None and pairs(db) == []
    catalog.load(db)
    router.step(db)
    assert pairs(db) == [("left", 1)]
    db.close()


@pytest.mark.slow
def test_routing_never_falls_behind_publishing(tmp_path: Path) -> None:
    """Batches come faster than one group can take: whatever was answered was routed too."""
    engine = open_engine("sqlite:test.db", tmp_path)
    catalog = Catalog(Sealer(b"k" * 32))
    writer = Writer(engine, HandClock())
    behind: list[int] = []
    reader = engine.reader()
    catalog.load(reader)
    done = threading.Semaphore(0)

    def look(result: object, wrong: Exception | None) -> None:
        (positions,) = reader.query(
            "SELECT (SELECT position FROM cursor WHERE name = 'event') - position FROM cursor WHERE name = 'route'", {}
        )
        behind.append(positions[0])
        done.release()

    batches = [tuple(event(f"{part}-{i}") for i in range(1_000)) for part in range(12)]
    for batch in batches:
        writer.submit(Publication(batch), look)
    writer.start(Router(catalog, HandClock()).step)
    for _ in batches:
        assert done.acquire(timeout=20)
    writer.close()
    reader.close()
    assert behind == [0] * len(batches)
