"""The writer knows where its journal is without asking: the store has the same, whatever is refused or undone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.route.test_route import endpoint
from tests.store.conftest import HandClock
from tidings.model.errors import Conflict, Unavailable
from tidings.model.event import Event
from tidings.route.route import Router
from tidings.store import journal
from tidings.store.base import Db, Engine, StoreError
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.engines.postgres import PostgresDb
from tidings.store.jobs import Whole
from tidings.store.log import events
from tidings.store.log.events import Publication, WithEvents
from tidings.store.writer import Writer


@pytest.fixture
def routed(engine: Engine, clock: HandClock, catalog: Catalog) -> Iterator[Writer]:
    """A writer with the route stage, and one endpoint that gets everything."""
    made = Writer(engine, clock)
    made._db.begin()
    endpoint(made._db, catalog, 1)
    made._db.commit()
    catalog.refresh(made._db)
    made.start(Router(catalog, clock).step)
    yield made
    made.close()


def publication(*idents: str, ids_given: bool = False) -> Publication:
    made = tuple(Event(id=ident, type="a.b", time=1, data="{}") for ident in idents)
    return Publication(made, ids_given=ids_given)


def write(writer: Writer, job: Any) -> Any:
    return writer.wait(job)


def stored(engine: Engine) -> tuple[list[Any], list[Any], dict[str, int]]:
    """Events with their numbers, the numbers of the events that have deliveries, and the journal, as others see it."""
    db = engine.reader()
    try:
        found = db.query("SELECT seq, id FROM event ORDER BY seq", {})
        sent = [row[0] for row in db.query("SELECT event FROM delivery ORDER BY number", {})]
        return [tuple(row) for row in found], sent, journal.positions(db)
    finally:
        db.close()


def test_numbers_and_cursors_are_stored_with_each_group(routed: Writer, engine: Engine) -> None:
    for n in range(3):
        write(routed, publication(f"evt_{n}", f"evt_{n}b"))
    write(routed, lambda db: WithEvents(None, [Event(id="evt_told", type="a.b", time=1, data="{}")]))
    found, sent, at = stored(engine)
    assert [seq for seq, _ in found] == sent == [1, 2, 3, 4, 5, 6, 7]
    assert at == {"event": 7, "route": 7, "delivery": 7, "deliver": 0}


def test_what_a_job_appended_before_it_failed_takes_no_number_and_no_delivery(routed: Writer, engine: Engine) -> None:
    def fails(db: Db) -> None:
        events.append_new(db, publication("evt_lost", "evt_lost_too").events, now=1)
        journal.move(db, "deliver", 99)
        raise Conflict("it is refused after it has written")

    write(routed, publication("evt_1"))
    with pytest.raises(Conflict):
        write(routed, fails)
    write(routed, publication("evt_2"))
    found, sent, at = stored(engine)
    assert found == [(1, "evt_1"), (2, "evt_2")]
    assert sent == [1, 2]
    assert at == {"event": 2, "route": 2, "delivery": 2, "deliver": 0}


def test_after_a_refused_group_the_journal_continues_where_the_store_has_it(
    engine: Engine, clock: HandClock, catalog: Catalog
) -> None:
    refuses, writer = list[int](), Writer(engine, clock)
    router = Router(catalog, clock)

    def rider(db: Db) -> float | None:
        more = router.step(db)
        if refuses:
            refuses.pop()
            raise StoreError("the group is refused")
        return more

    writer.start(rider)
    write(writer, catalog.load)
    write(writer, publication("evt_1"))
    refuses.append(1)
    with pytest.raises(Unavailable):
        write(writer, publication("evt_2"))
    write(writer, publication("evt_3", "evt_4"))
    assert stored(engine)[0] == [(1, "evt_1"), (2, "evt_3"), (3, "evt_4")]
    assert stored(engine)[2]["event"] == stored(engine)[2]["route"] == 3
    writer.close()


def test_a_statement_of_a_job_sees_what_moved_in_its_group(writer: Writer) -> None:
    seen = []

    def reads(db: Db) -> None:
        seen.append(db.query("SELECT position FROM cursor WHERE name = 'event' AND journal = 0", {})[0][0])

    for job in (publication("evt_1"), reads):
        writer.submit(job, lambda result, wrong: None)
    writer.start()
    write(writer, lambda db: None)
    assert seen == [1]


@pytest.mark.slow
def test_more_events_than_are_remembered_are_read_back_and_routed(routed: Writer, engine: Engine) -> None:
    many = publication(*(f"evt_{at}" for at in range(5_001)))
    write(routed, lambda db: WithEvents(None, many.events))
    write(routed, publication("evt_next"))
    write(routed, lambda db: None)
    _, sent, at = stored(engine)
    assert sent == list(range(1, 5_003))
    assert at["route"] == at["event"] == 5_002


@pytest.mark.parametrize("wrong", [Conflict("it is refused"), ZeroDivisionError()], ids=["refused", "failed"])
@pytest.mark.parametrize("neighbours", [0, 2])
def test_a_job_without_a_savepoint_that_fails_leaves_nothing_and_its_neighbours_are_stored(
    routed: Writer, engine: Engine, wrong: Exception, neighbours: int
) -> None:
    answers: list[Any] = []

    def fails(db: Db) -> None:
        events.append_new(db, publication("evt_lost").events, now=1)
        raise wrong

    free = threading.Event()
    # While it waits, the others gather.
    routed.submit(lambda db: free.wait(5), lambda result, error: None)
    routed.submit(Whole(fails), lambda result, error: answers.append(error))
    for n in range(neighbours):
        routed.submit(publication(f"evt_{n}"), lambda result, error: answers.append(error))
    free.set()
    write(routed, publication("evt_last"))
    assert [type(each) for each in answers] == [type(wrong)] + [type(None)] * neighbours
    found, sent, _ = stored(engine)
    assert [ident for _, ident in found] == [*(f"evt_{n}" for n in range(neighbours)), "evt_last"]
    assert sent == [seq for seq, _ in found]


@pytest.mark.slow
@pytest.mark.postgres
def test_a_group_of_publications_is_one_round_trip(
    migrated_url: str, tmp_path: Path, clock: HandClock, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(open_engine(migrated_url, tmp_path), clock)
    writer._db.begin()
    endpoint(writer._db, catalog, 1)
    writer._db.commit()
    catalog.refresh(writer._db)
    router, sent = Router(catalog, clock), list[str]()
    monkeypatch.setattr(writer, "_rider", router.step)
    whole = PostgresDb._sent

    def counted(db: PostgresDb, later: Any, sql: str, params: Any) -> Any:
        sent.append(sql)
        return whole(db, later, sql, params)

    writer._commit([(publication("evt_0"), lambda result, wrong: None)])
    monkeypatch.setattr(PostgresDb, "_sent", counted)
    for at in range(1, 4):
        writer._commit([(publication(f"evt_{at}_{n}"), lambda result, wrong: None) for n in range(20)])
        assert sent == ["COMMIT"] * at
    assert router.routed == 61
    # As a settlement that no publication accompanies.
    writer._commit(
        [(Whole(lambda db: db.run_later("store_fact_put", name="x", value="y")), lambda result, wrong: None)]
    )
    assert sent == ["COMMIT"] * 4


@pytest.mark.slow
@pytest.mark.postgres
def test_a_transaction_whose_commit_got_no_answer_is_not_sent_again(migrated_url: str, tmp_path: Path) -> None:
    db = open_engine(migrated_url, tmp_path).builder()
    db.execute("CREATE TABLE t (id BIGINT)", {})
    db.execute("CREATE SEQUENCE commits", {})
    db.execute(
        "CREATE FUNCTION first_dies() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$",
        {},
    )
    db.execute(
        "CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION first_dies()",
        {},
    )
    db.begin()
    db.execute_later("INSERT INTO t (id) VALUES (1)", {})
    with pytest.raises(StoreError) as caught:
        db.commit()
    assert caught.value.unknown
    db.rollback()
    assert db.query("SELECT id FROM t", {}) == []
    db.close()
