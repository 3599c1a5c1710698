"""Journals: each has numbers and cursors of its own, and those of an older store continue where they were."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from tidings.model.event import Event
from tidings.store import journal
from tidings.store.base import Db
from tidings.store.engines.opening import open_engine
from tidings.store.engines.sqlite import SqliteDb
from tidings.store.log import events
from tidings.store.log.events import Publication


def append(db: Db, name: str) -> int:
    events.append(db, [Publication((Event(id=name, type="a.b", time=1, data="{}"),))], now=1)
    return int(db.query("SELECT seq FROM event WHERE id = :id", {"id": name})[0][0])


def test_journals_count_apart(db: Db) -> None:
    assert append(db, "evt_1") == 1
    db.journal = 3
    journal.begin(db)
    assert append(db, "evt_2") == (3 << 34) + 1
    assert journal.position(db, "event") == (3 << 34) + 1
    journal.move(db, "route", (3 << 34) + 1)
    db.journal = 0
    assert append(db, "evt_3") == 2
    assert journal.position(db, "route") == 0, "the other journal's cursor is its own"


def test_a_journal_begins_once(db: Db) -> None:
    append(db, "evt_1")
    journal.begin(db)
    assert append(db, "evt_2") == 2


@pytest.mark.parametrize("number", [-1, 256])
def test_there_are_256_journals(db: Db, number: int) -> None:
    db.journal = number
    with pytest.raises(ValueError, match="0 to 255"):
        journal.begin(db)


@pytest.mark.slow
def test_a_store_made_before_journals_keeps_its_numbers(tmp_path: Path) -> None:
    old = SqliteDb(str(tmp_path / "test.db"), readonly=False)
    old.script("CREATE TABLE migration (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL) STRICT;")
    for file in sorted(files("tidings.store.migrations").iterdir(), key=lambda each: each.name):
        if file.name.endswith(".sql") and file.name < "0008":
            old.script(file.read_text())
            old.insert("migration", ["number", "name"], [(int(file.name[:4]), file.name)])
    old.execute("UPDATE cursor SET position = 41 WHERE name = 'event'", {})
    old.execute("UPDATE cursor SET position = 40 WHERE name = 'route'", {})
    old.close()
    engine = open_engine("sqlite:test.db", tmp_path)
    db = engine.writer()
    assert append(db, "evt_1") == 42
    assert journal.position(db, "route") == 40
    db.rollback()
    db.close()
    engine.close()
