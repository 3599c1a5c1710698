"""Mirrors in the store, on both engines: sets, full reads, and what they miss."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.rules.mirror.difference import Counted, Observation
from tidings.store.base import Db, Engine
from tidings.store.links import mirror
from tidings.store.links.mirror import Mirror

ALL = Counted()


def seen(db: Db, which: Mirror, keys: Any, value: int = 1) -> list[str]:
    found = mirror.observe(db, which, ALL, [Observation(str(key), {"v": value}) for key in keys])
    return [change.kind for change in found.changes]


@pytest.mark.slow
def test_a_mirror_compares_in_sets_and_a_full_look_finds_what_is_missing(engine: Engine) -> None:
    db = engine.writer()
    db.begin()
    contacts = mirror.of(db, None, "sf.contact")
    other = mirror.of(db, "acme", "sf.contact")
    assert contacts.number != other.number
    assert mirror.of(db, None, "sf.contact") == contacts
    assert seen(db, contacts, range(2_500)) == ["created"] * 2_500
    assert seen(db, contacts, range(2_500)) == []
    assert seen(db, contacts, range(5), 2) == ["updated"] * 5
    assert seen(db, other, [1]) == ["created"], "another tenant's is another mirror"
    sweep = mirror.begin_sweep(db, contacts)
    assert mirror.counts(db, sweep) == (2_500, 2_500)
    seen(db, sweep, range(2_490))
    # Somebody else observes in the meantime.
    assert seen(db, mirror.of(db, None, "sf.contact"), ["new"]) == ["created"]
    assert mirror.counts(db, sweep) == (2_501, 10)
    first = mirror.drop_missing(db, sweep, "", 7)
    rest = mirror.drop_missing(db, sweep, first[-1].key, 7)
    assert sorted(int(each.key) for each in (*first, *rest)) == list(range(2_490, 2_500))
    mirror.end_sweep(db, sweep)
    assert mirror.known(db, None, "sf.contact") == Mirror(contacts.number, 1, False)
    assert mirror.forget(db, contacts) == 2_491
    assert mirror.difference(db, None, ALL, [Observation("a", 1)]).changes[0].kind == "created"
    db.rollback()
    db.close()


def test_hostile_keys_are_only_keys(engine: Engine) -> None:
    db = engine.writer()
    db.begin()
    which = mirror.of(db, None, "x")
    keys = ["'", '"', "\\", "%", "] }", "ü", "😀", "a" * 256, "null"]
    assert seen(db, which, keys) == ["created"] * len(keys)
    assert seen(db, which, keys) == []
    found = mirror.observe(db, which, ALL, [Observation(key, None, is_deleted=True) for key in keys])
    assert len(found.drops) == len(keys)
    db.rollback()
    db.close()
