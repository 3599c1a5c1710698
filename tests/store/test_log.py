"""The event log: what is appended is read back, in order, once."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import msgspec
import pytest

from tests.store.conftest import HandClock
from tidings.model.errors import Conflict, Unavailable
from tidings.model.event import Event
from tidings.store.base import Db, Engine, StoreError, StoreFull, UniqueViolation
from tidings.store.log import events
from tidings.store.log.events import IdsTaken, Publication, Stored
from tidings.store.writer import Writer


def event(name: str, data: str = "{}", tenant: str | None = None, kind: str = "tasks.created") -> Event:
    return Event(id=name, type=kind, time=1, data=data, tenant=tenant)


def seqs(db: Db) -> list[int]:
    return [row[0] for row in db.query("SELECT seq FROM event ORDER BY seq", {})]


def after(db: Db, seen: list[int]) -> list[int]:
    last = seen[-1] if seen else 0
    return [row[0] for row in db.query("SELECT seq FROM event WHERE seq > :last ORDER BY seq", {"last": last})]


def ids(db: Db) -> list[str]:
    return [row[0] for row in db.query("SELECT id FROM event ORDER BY seq", {})]


def test_what_is_appended_is_read_back(db: Db) -> None:
    whole = Event(
        id="evt_1",
        type="a.b",
        time=5,
        data='{"x":"\\u00e9 \\" 🐟"}',
        tenant="t",
        subject="s",
        previous="{}",
        changed="[1]",
    )
    assert events.append(db, [Publication((whole,))], now=7) == [Stored((whole,), 1)]
    (found,) = events.by_seq(db, [1, 99])
    assert (found.id, found.type, found.time, found.data) == (whole.id, whole.type, whole.time, whole.data)
    assert (found.tenant, found.subject, found.previous, found.changed) == ("t", "s", "{}", "[1]")


def test_numbers_go_up_without_gaps(db: Db) -> None:
    events.append(db, [Publication((event("a"), event("b"))), Publication((event("c"),))], now=1)
    events.append(db, [Publication((event("d"),))], now=1)
    assert seqs(db) == [1, 2, 3, 4]
    assert ids(db) == ["a", "b", "c", "d"]


def test_a_repeat_of_an_id_is_stored_once(db: Db) -> None:
    one = Publication((event("a", '{"x":1}'),), ids_given=True)
    assert events.append(db, [one], now=1) == [Stored(one.events, 1)]
    assert events.append(db, [one, one], now=2) == [Stored(one.events, 0)] * 2
    assert ids(db) == ["a"]


def test_the_same_id_with_other_content_is_refused_alone(db: Db) -> None:
    events.append(db, [Publication((event("a", "1"),), ids_given=True)], now=1)
    said = events.append(
        db,
        [
            Publication((event("a", "2"),), ids_given=True),
            Publication((event("b"), event("b")), ids_given=True),
            Publication((event("c"),), ids_given=True),
        ],
        now=2,
    )
    assert isinstance(said[0], IdsTaken)
    assert said[0].taken == [(0, said[0].detail)]
    assert "The id a is already taken by an event with different data" in said[0].detail
    assert isinstance(said[1], IdsTaken)
    assert [index for index, _ in said[1].taken] == [1]
    assert isinstance(said[2], Stored)
    assert (said[2].events[0].id, said[2].fresh) == ("c", 1)
    assert ids(db) == ["a", "c"]


@pytest.mark.parametrize("other", [{"time": 6}, {"type": "a.c"}, {"subject": "t"}, {"data": '{"x":2}'}])
def test_the_same_id_with_another_part_is_refused(db: Db, other: dict[str, Any]) -> None:
    first = Event(id="a", type="a.b", time=5, subject="s", data="{}")
    changed = msgspec.structs.replace(first, **other)
    said = events.append(db, [Publication((each,), ids_given=True) for each in (first, changed)], now=1)
    assert isinstance(said[1], IdsTaken) and f"different {next(iter(other))}" in said[1].detail
    again = events.append(db, [Publication((changed,), ids_given=True), Publication((first,), ids_given=True)], now=2)
    assert isinstance(again[0], IdsTaken)
    assert again[1] == Stored((first,), 0)


def test_a_repeat_without_a_time_has_the_one_that_is_stored(db: Db) -> None:
    first = Event(id="a", type="a.b", time=5, data="{}")
    later = msgspec.structs.replace(first, time=99)
    events.append(db, [Publication((first,), ids_given=True)], now=1)
    repeat = Publication((later, event("b")), ids_given=True, untimed=frozenset([0, 1]))
    [said] = events.append(db, [repeat], now=2)
    assert isinstance(said, Stored)
    assert [(each.id, each.time) for each in said.events] == [("a", 5), ("b", event("b").time)]
    assert said.fresh == 1
    assert [each.time for each in events.by_seq(db, [1])] == [5]


def test_every_id_of_a_batch_that_is_taken_is_named(db: Db) -> None:
    events.append(db, [Publication((event("a"), event("b")), ids_given=True)], now=1)
    batch = (event("x"), event("b", '{"n":2}'), event("x"), event("a"), event("a", '{"n":3}'))
    (said,) = events.append(db, [Publication(batch, ids_given=True)], now=2)
    assert isinstance(said, IdsTaken)
    assert [index for index, _ in said.taken] == [1, 2, 4]
    assert ids(db) == ["a", "b"]


def test_tenants_may_use_the_same_id(db: Db) -> None:
    rows = [Publication((event("a", tenant=tenant),), ids_given=True) for tenant in ("x", "y", None)]
    assert events.append(db, rows, now=1) == [Stored(each.events, 1) for each in rows]


def test_a_savepoint_undoes_only_its_own(db: Db) -> None:
    db.begin()
    events.append(db, [Publication((event("a"),))], now=1)
    with pytest.raises(UniqueViolation), db.savepoint():
        db.insert("migration", ["number", "name"], [(1, "again")])
    events.append(db, [Publication((event("b"),))], now=1)
    db.commit()
    assert ids(db) == ["a", "b"]


def test_a_group_holds_every_publication_and_a_bad_job_harms_nobody(writer: Writer, engine: Engine) -> None:
    ready = threading.Event()
    answers: dict[str, Any] = {}
    done = threading.Semaphore(0)

    def reply_to(name: str) -> Any:
        def reply(result: Any, wrong: Exception | None) -> None:
            answers[name] = wrong or result
            done.release()

        return reply

    def broken(db: Db) -> None:
        db.insert("migration", ["number", "name"], [(1, "again")])

    writer.start()
    writer.submit(lambda db: ready.wait() and None, reply_to("gate"))
    writer.submit(Publication((event("a"),)), reply_to("a"))
    writer.submit(broken, reply_to("broken"))
    writer.submit(Publication((event("b"),)), reply_to("b"))
    ready.set()
    for _ in range(4):
        assert done.acquire(timeout=10)
    assert isinstance(answers["broken"], Conflict), "somebody has stored the same: no fault of the server"
    assert (answers["a"].fresh, answers["b"].fresh) == (1, 1)
    reader = engine.reader()
    assert ids(reader) == ["a", "b"]
    reader.close()


def test_a_full_disk_refuses_the_group_and_the_next_one_goes_on(writer: Writer, engine: Engine) -> None:
    full = threading.Event()

    def rider(db: Db) -> None:
        if full.is_set():
            raise StoreFull("the disk is full")

    writer.start(rider)
    full.set()
    with pytest.raises(Unavailable) as refused:
        writer.wait(lambda db: events.append(db, [Publication((event("lost"),))], now=1))
    assert "Nothing was stored" in refused.value.detail
    assert refused.value.retry_after_seconds
    full.clear()
    writer.wait(lambda db: events.append(db, [Publication((event("kept"),))], now=1))
    reader = engine.reader()
    assert ids(reader) == ["kept"]
    reader.close()


@pytest.mark.slow
def test_readers_never_see_a_number_before_a_lower_one(writer: Writer, engine: Engine) -> None:
    """Order of commit is order of reading: a reader that continues from the last number it saw misses nothing."""
    writer.start()
    total, writers = 400, 4

    def publish(part: int) -> None:
        for i in range(total // writers):
            publication = Publication((event(f"{part}-{i}"),))
            writer.wait(partial(events.append, publications=[publication], now=1))

    threads = [threading.Thread(target=publish, args=(part,)) for part in range(writers)]
    for thread in threads:
        thread.start()
    reader = engine.reader()
    seen: list[int] = []
    while len(seen) < total and any(thread.is_alive() for thread in threads):
        seen += after(reader, seen)
    for thread in threads:
        thread.join()
    seen += after(reader, seen)
    reader.close()
    assert seen == list(range(1, total + 1))


def test_a_second_writer_waits_for_the_numbers(engine: Engine) -> None:
    """The numbers row is locked until the transaction ends."""
    first = engine.writer()
    first.begin()
    assert first.one("numbers_take", name="event", journal=0, count=1) == (1,)
    if engine.dialect == "sqlite":
        second = engine.writer()
        second.query("PRAGMA busy_timeout = 50", {})
        with pytest.raises(StoreError):
            second.begin()
        second.close()
    else:
        with pytest.raises(StoreError, match="another Tidings server"):
            engine.writer()
    first.rollback()
    first.close()


def test_the_clock_of_the_store_is_the_writers(writer: Writer, clock: HandClock, engine: Engine) -> None:
    writer.start()
    done = threading.Event()
    writer.submit(Publication((event("a"),)), lambda result, wrong: done.set())
    assert done.wait(10)
    reader = engine.reader()
    assert reader.query("SELECT created FROM event", {}) == [(clock.at,)]
    reader.close()
