"""Indexes of items follow the declarations in the background: at the start and after each change of a declaration.

On PostgreSQL they are built concurrently, on a separate connection, so that nobody waits for them; indexes that a
crash left half built are dropped and built again. SQLite builds fast and has one writer, so there they are write jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from tidings.control.upkeep.background import Background
from tidings.model.collection import Collection
from tidings.model.errors import TidingsError
from tidings.store.base import Builder, Db, Engine, StoreError
from tidings.store.catalog import Catalog
from tidings.store.items import indexes, tables
from tidings.store.writer import Writer

AGAIN_SECONDS = 60.0
"""When to retry what failed."""
LOOK_SECONDS = 5.0
"""How often a node that does not build indexes checks whether another node has built some."""
BREAK_SECONDS = 0.2

READY, BUILDING = "ready", "building"

log = logging.getLogger("tidings.control")


class Indexes:
    """Compares the present indexes with the declared ones, and builds or drops the difference.

    Belongs to one event loop.
    """

    def __init__(self, engine: Engine, writer: Writer, catalog: Catalog) -> None:
        self._engine, self._writer, self._catalog = engine, writer, catalog
        self._wake = asyncio.Event()
        self._free = asyncio.Lock()
        self._waiting = 0
        self._builds = True
        self._builder: Builder | None = None
        self._background = Background("indexes", self._work)
        self._seen: dict[str, Collection] = {}
        """The declarations of the collections whose indexes have all been built."""

    def start(self, loop: asyncio.AbstractEventLoop, *, builds: bool = True) -> None:
        """Check now, and whenever a declaration has changed. `builds`: if false, another node builds them."""
        self._builds = builds
        if self._engine.joined:
            self._catalog.on_change(lambda snapshot, changed: self._notice(loop))
        self._background.start(loop)

    def _notice(self, loop: asyncio.AbstractEventLoop) -> None:
        """From the writer's thread: check whether another node has changed a declaration."""
        if any(self._seen.get(name) is not each for name, each in self._catalog.now.collections.items()):
            # During a stop, the loop may be closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        # Resting cancels whatever is being built, so no thread is left behind.
        async with self.resting():
            await self._background.stop()
        if self._builder is not None:
            self._builder.close()

    def state(self, collection: str) -> str:
        """`ready`, or `building`: lists work, but may be slow."""
        there = self._seen.get(collection)
        return READY if there is not None and there is self._catalog.now.collections.get(collection) else BUILDING

    @contextlib.asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Nothing is built inside this context, because a table cannot be altered while one of its indexes is being
        built."""
        self._waiting += 1
        breaking = asyncio.create_task(self._break_off()) if self._free.locked() else None
        try:
            async with self._free:
                _end(breaking)
                yield
        finally:
            _end(breaking)
            self._waiting -= 1
            self._wake.set()

    async def _break_off(self) -> None:
        """Cancel whatever is being built until others can proceed, since a single call could fall between two
        statements."""
        while self._builder is not None:
            await asyncio.to_thread(self._builder.cancel)
            await asyncio.sleep(BREAK_SECONDS)

    async def settle(self) -> bool:
        """Make and drop what differs, now; returns whether everything is as it should be."""
        done = True
        for name, collection in sorted(self._catalog.now.collections.items()):
            if self._seen.get(name) is collection:
                continue
            async with self._free:
                if self._waiting:
                    return True
                try:
                    whole = await self._settle(collection)
                except (StoreError, TidingsError) as wrong:
                    if not self._waiting:
                        log.warning("the indexes of %s are not built yet: %s", name, wrong)
                    whole = False
            done = done and whole
            if whole:
                self._seen[name] = collection
        return done

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            done = await self.settle()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if done else AGAIN_SECONDS if self._builds else LOOK_SECONDS):
                    await self._wake.wait()

    async def _settle(self, collection: Collection) -> bool:
        """Make one table's indexes right. A declaration that changes in the meantime is checked again."""
        if self._engine.dialect == "sqlite":
            await self._writer.call(lambda db: _make(db, collection))
            return True
        if self._builder is None:
            self._builder = await asyncio.to_thread(self._engine.builder)
        builder = self._builder
        if not self._builds:
            return await asyncio.to_thread(_are_made, builder, collection)
        return await asyncio.to_thread(_make_concurrently, builder, collection, lambda: self._waiting > 0)


def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()


def _make(db: Db, collection: Collection) -> None:
    differs = indexes.difference(db, collection)
    for name in differs.unneeded:
        db.execute(f"DROP INDEX {name}", {})
    for index in differs.missing:
        log.info("building the index %s of %s over %s", index.name, collection.name, ", ".join(index.columns))
        db.execute(index.sql(collection), {})


def _are_made(db: Db, collection: Collection) -> bool:
    """Whether another node has built them. Raises StoreError."""
    differs = indexes.difference(db, collection)
    return not differs.missing and not differs.unneeded


def _make_concurrently(db: Db, collection: Collection, shall_stop: Callable[[], bool]) -> bool:
    """Outside of a transaction, as PostgreSQL requires; returns whether everything is done.

    A cancelled one leaves an invalid index behind, which is dropped the next time. Raises StoreError.
    """
    table = tables.table(collection)
    if db.query("SELECT to_regclass(:name)", {"name": table})[0][0] is None:
        return True
    differs = indexes.difference(db, collection)
    steps = [f"DROP INDEX CONCURRENTLY {name}" for name in differs.unneeded]
    steps += [index.sql(collection, concurrently=True) for index in differs.missing]
    for sql in steps:
        if shall_stop():
            return False
        log.info("%s", sql)
        db.execute(sql, {})
    return True
