"""Indexes follow the declarations beside the work, whatever a crash or somebody's hands have left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control.world import World, opened
from tidings.control.collections import Collections, Wanted
from tidings.control.indexes import BUILDING, READY, Indexes
from tidings.store.base import Db
from tidings.store.items import indexes, tables

SECONDS = 20.0
PLAIN: dict[str, Any] = {"tasks": {"fields": {"title": "string", "note": {"type": "string", "searchable": True}}}}
SORTED: dict[str, Any] = {
    "tasks": {"fields": {"title": {"type": "string", "sortable": True}, "note": {"type": "string", "searchable": True}}}
}


def declare(world: World, values: dict[str, Any]) -> None:
    collections = Collections(world.catalog, world.clock)
    world.writer.wait(lambda db: collections.apply(db, Wanted(collections=values)))


def fill(world: World, count: int = 3) -> None:
    def job(db: Db) -> None:
        for n in range(count):
            sql = "INSERT INTO \"c_tasks\" (id, tenant, revision, created, updated) VALUES (:id, '', 1, 1, 1)"
            db.execute(sql, {"id": f"i{n}"})

    world.writer.wait(job)


def differs(world: World) -> indexes.Difference:
    return world.readers.run(lambda db: indexes.difference(db, world.catalog.now.collections["tasks"]))


def is_right(world: World) -> bool:
    difference = differs(world)
    return not difference.missing and not difference.unneeded


async def with_indexes(world: World, action: Any) -> Any:
    """Run something with the background part, and end it."""
    made = Indexes(world.engine, world.writer, world.catalog)
    try:
        return await asyncio.wait_for(action(made), SECONDS)
    finally:
        await asyncio.wait_for(made.stop(), SECONDS)


@pytest.mark.slow
def test_missing_indexes_are_built_and_unneeded_ones_dropped(world: World) -> None:
    declare(world, PLAIN)
    fill(world)
    declare(world, SORTED)
    assert bool(differs(world).missing) is (world.engine.dialect == "postgres")
    name = tables.indexes(world.catalog.now.collections["tasks"], world.engine.dialect)[-1].name
    unneeded = "ix_" + "0" * 24
    world.writer.wait(lambda db: db.execute(f"DROP INDEX IF EXISTS {name}", {}))
    world.writer.wait(lambda db: db.execute(f'CREATE INDEX {unneeded} ON "c_tasks" (updated)', {}))
    world.writer.wait(lambda db: db.execute('CREATE INDEX ix_by_hand ON "c_tasks" (updated)', {}))
    found = differs(world)
    assert found.unneeded == (unneeded,) and name in [index.name for index in found.missing]

    async def settle(made: Indexes) -> None:
        assert made.state("tasks") == BUILDING
        assert await made.settle()
        assert made.state("tasks") == READY

    asyncio.run(with_indexes(world, settle))
    assert is_right(world)
    # What somebody made by hand stays.
    world.writer.wait(lambda db: db.execute("DROP INDEX ix_by_hand", {}))


def test_indexes_are_checked_at_startup_and_after_each_change(world: World) -> None:
    declare(world, PLAIN)
    fill(world)

    async def work(made: Indexes) -> None:
        made.start(asyncio.get_running_loop())
        while made.state("tasks") != READY:
            await asyncio.sleep(0.01)
        async with made.resting():
            await asyncio.to_thread(declare, world, SORTED)
        assert made.state("tasks") == BUILDING or is_right(world)
        while made.state("tasks") != READY:
            await asyncio.sleep(0.01)

    asyncio.run(with_indexes(world, work))
    assert is_right(world)


@pytest.fixture
def on_postgres(tmp_path: Path, migrated_url: str) -> Iterator[World]:
    """Only PostgreSQL builds alongside the writer."""
    with opened(tmp_path, migrated_url) as world:
        yield world


def test_an_index_left_half_built_by_a_crash_is_rebuilt(on_postgres: World) -> None:
    world = on_postgres
    declare(world, SORTED)
    fill(world)
    name = tables.indexes(world.catalog.now.collections["tasks"], "postgres")[-1].name
    break_it = f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass"
    world.writer.wait(lambda db: db.execute(break_it, {}))
    assert differs(world).unneeded == (name,)
    asyncio.run(with_indexes(world, lambda made: made.settle()))
    assert is_right(world)


def test_a_change_interrupts_a_build(on_postgres: World) -> None:
    world = on_postgres
    declare(world, PLAIN)
    fill(world)
    declare(world, SORTED)
    reader = world.engine.reader()
    # A transaction from before, for whose end a concurrent build waits.
    reader.begin(write=False)
    reader.query('SELECT COUNT(*) FROM "c_tasks"', {})

    async def work(made: Indexes) -> None:
        made.start(asyncio.get_running_loop())
        while not await asyncio.to_thread(world.readers.run, _is_building):
            await asyncio.sleep(0.01)
        async with made.resting():
            reader.rollback()
            await asyncio.to_thread(declare, world, PLAIN)
        while made.state("tasks") != READY:
            await asyncio.sleep(0.01)

    asyncio.run(with_indexes(world, work))
    reader.close()
    assert is_right(world)


def _is_building(db: Db) -> bool:
    return bool(db.query("SELECT 1 FROM pg_stat_progress_create_index", {}))
