"""What was just committed need not be read back: the writer shows it, the deliver thread keeps it."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from tidings.deliver.lane import kept
from tidings.deliver.lane.kept import KeptEvents
from tidings.deliver.lanes import Lanes
from tidings.model.errors import Conflict, Unavailable
from tidings.model.event import Event
from tidings.store.base import Db, Engine, StoreError
from tidings.store.log import deliveries, events
from tidings.store.log.events import Publication, WithEvents, by_seq
from tidings.store.writer import Writer


def event(ident: str, data: str = "{}") -> Event:
    return Event(id=ident, type="a.b", time=1, data=data)


def _read_back(engine: Engine, seen: list[Event]) -> list[Event]:
    db = engine.reader()
    try:
        return by_seq(db, [each.seq for each in seen])
    finally:
        db.close()


def submitted(writer: Writer, job: Any) -> None:
    writer.submit(job, lambda result, wrong: None)


def test_a_commit_shows_its_new_events_as_they_are_read_back(writer: Writer, engine: Engine) -> None:
    seen: list[Event] = []
    writer.on_commit(lambda: seen.extend(writer.appended))
    submitted(writer, Publication((event("a"), event("b"))))
    submitted(writer, Publication((event("given"),), ids_given=True))
    submitted(writer, lambda db: WithEvents(None, [event("c")]))
    writer.start()
    writer.wait(lambda db: None)
    assert sorted(each.id for each in seen) == ["a", "b", "c"]
    assert seen == _read_back(engine, seen)


def test_a_refused_group_shows_nothing_and_its_events_get_their_numbers_again(writer: Writer, engine: Engine) -> None:
    seen: list[Event] = []
    writer.on_commit(lambda: seen.extend(writer.appended))

    refuses = [True]

    def rider(db: Db) -> None:
        if refuses:
            refuses.pop()
            raise StoreError("the group is refused")

    submitted(writer, Publication((event("a"),)))
    submitted(writer, Publication((event("b"),)))
    writer.start(rider)
    writer.wait(lambda db: None)
    assert seen == _read_back(engine, seen)
    assert [each.id for each in seen] == ["a", "b"]
    refuses.append(True)
    with pytest.raises(Unavailable):
        writer.wait(Publication((event("c"),)))  # type: ignore[arg-type]
    assert writer.appended == []


def test_what_is_fresh_is_kept_without_being_read(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KeptEvents(db)
    one, other = Event(id="a", type="a.b", time=1, data="{}", seq=7), Event(id="b", type="a.b", time=1, data="1", seq=8)
    known.fresh.extend([one, other])
    known.take_fresh()
    assert known.of([7, 8, 9]) == {7: one, 8: other}
    monkeypatch.setattr(kept, "EVENT_BYTES_KEPT", 10)
    known.fresh.append(Event(id="c", type="a.b", time=1, data='"23456789"', seq=9))
    known.take_fresh()
    assert list(known.of([7, 8, 9])) == [9]


def test_whoever_reads_deliveries_sees_whether_there_are_more(db: Db) -> None:
    before = deliveries.made.total
    events.append(db, [Publication((event("a"),))], now=1)
    assert deliveries.made.total == before
    deliveries.append(db, [(1, 1), (1, 2)], now=1)
    assert deliveries.made.total == before + 2


class _Stage:
    """The head of the line without anything around it."""

    def __init__(self, db: Db) -> None:
        self.lanes = Lanes.__new__(Lanes)
        self.lanes._new, self.lanes._head = deque(maxlen=4), 0
        self.lanes._db = db

    def taken(self, *rows: tuple[int, int, int, int]) -> list[int]:
        self.lanes._new.extend(rows)
        found = [row[0] for row in self.lanes._take_new()]
        self.lanes._head = found[-1] if found else self.lanes._head
        return found


def test_deliveries_that_follow_the_head_are_taken_without_being_read(db: Db) -> None:
    stage = _Stage(db)
    assert stage.taken((1, 7, 1, 0), (2, 7, 1, 0)) == [1, 2]
    assert stage.taken((2, 7, 1, 0), (3, 7, 1, 0)) == [3], "what was read meanwhile is not taken again"
    assert stage.taken((5, 7, 1, 0), (6, 7, 1, 0)) == [], "the store has 4"
    assert stage.taken() == []
    assert stage.taken(*((number, 7, 1, 0) for number in range(4, 10))) == [], "more than are kept: the store has them"


def test_a_commit_shows_the_deliveries_as_they_are_read_back(writer: Writer, engine: Engine) -> None:
    seen: list[Any] = []
    writer.on_commit(lambda: seen.extend(writer.deliveries))

    def undone(db: Db) -> None:
        deliveries.append(db, [(9, 9)], now=1)
        raise Conflict("it is refused")

    writer.start(lambda db: None)
    writer.wait(lambda db: deliveries.append(db, [(1, 1), (1, 2)], now=5))
    with pytest.raises(Conflict):
        writer.wait(undone)
    writer.wait(lambda db: deliveries.append(db, [(2, 1)], now=6))
    db = engine.reader()
    assert seen == db.all("deliveries_after", after=0, count=10) == [(1, 1, 1, 5), (2, 2, 1, 5), (3, 1, 2, 6)]
    db.close()
