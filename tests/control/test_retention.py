"""Retention: what is old and has ended goes, what waits stays."""

from __future__ import annotations

import pytest

from tests.control.world import World
from tidings.control.upkeep import retention
from tidings.control.upkeep.retention import Retention
from tidings.model.moment import DAY


def prune(world: World, days: int = 30) -> int:
    return world.run(Retention(world.writer, world.clock, days).prune())


@pytest.mark.slow
def test_old_events_are_dropped_with_all_that_belongs_to_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVENTS_PER_STEP", 4)
    monkeypatch.setattr(retention, "DELIVERIES_PER_STEP", 3)
    world.endpoint()
    world.endpoint()
    world.publish(count=10)
    for row in world.list():
        world.attempt(row.number, "waiting")
        world.attempt(row.number, "delivered", "ok")
    world.clock.advance(29 * 86_400)
    assert prune(world) == 0
    recent = world.publish(count=2)
    world.clock.advance(2 * 86_400)
    assert prune(world, days=0) == 0
    assert prune(world) == 10
    assert {row.event_id for row in world.list()} == set(recent)
    assert [world.count(table) for table in ("event", "delivery", "attempt", "waiting")] == [2, 4, 0, 0]
    pruned = world.readers.run(lambda db: db.one("cursor_read", name="pruned", journal=0))
    assert pruned == (10,)
    assert prune(world) == 0


@pytest.mark.slow
def test_waiting_deliveries_are_kept_until_they_end(world: World) -> None:
    endpoint = world.endpoint()
    world.publish(count=4)
    untried, later, dead, revived = (row.number for row in world.list())
    world.attempt(later, "waiting", due=world.clock.now() + 100 * DAY)
    world.attempt(dead, "dead")
    world.attempt(revived, "dead")
    world.attempt(revived, "waiting", due=world.clock.now() + 100 * DAY)
    world.clock.advance(40 * 86_400)
    assert prune(world) == 1
    assert sorted(row.number for row in world.list()) == sorted([untried, later, revived])
    world.writer.wait(world.edits.delete(endpoint))
    assert prune(world) == 3
    assert [world.count(table) for table in ("event", "delivery", "attempt", "waiting")] == [0, 0, 0, 0]


def test_events_without_deliveries_are_dropped_too(world: World) -> None:
    world.publish(count=5)
    world.clock.advance(31 * 86_400)
    assert prune(world) == 5


def test_kept_responses_and_call_counts_are_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ANSWERS_PER_STEP", 2)
    columns = ("key", "idempotency_key", "fingerprint", "status", "headers", "body", "created")
    now = world.clock.now()

    def write(db: object) -> None:
        ages = [now - 2 * DAY, now - 2 * DAY, now - 2 * DAY + 1, now - DAY - 1, now - DAY, now]
        rows = [("k", str(n), "", 200, "[]", "{}", at) for n, at in enumerate(ages)]
        db.insert("answer", columns, rows)  # type: ignore[attr-defined]
        counted = [("k", 60, now // 1_000_000 - 61, 1), ("k", 3600, now // 1_000_000 - 60, 1)]
        db.insert("call_count", ("key", "seconds", "window_start", "calls"), counted)  # type: ignore[attr-defined]

    world.writer.wait(write)
    prune(world)
    assert (world.count("answer"), world.count("call_count")) == (2, 1)
