"""What was just committed need not be read back: the writer shows it, the deliver thread keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.deliver.lane import kept
from tidings.deliver.lane.kept import KeptEvents
from tidings.model.errors import Unavailable
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
