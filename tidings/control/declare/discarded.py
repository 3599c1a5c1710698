"""Tables of items without a collection, dropped in the background: replaced, dropped, or left half filled by a crash.

PostgreSQL drops a table on a separate connection, which may wait for a reader. SQLite has to remove a table's pages
from its file one by one, so its rows are deleted slice by slice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial

from tidings.control.slicing import Slicing
from tidings.control.upkeep.background import Background
from tidings.model.errors import TidingsError
from tidings.store.base import Engine, StoreError
from tidings.store.items import alter
from tidings.store.readers import Readers
from tidings.store.writer import Writer

AGAIN_SECONDS = 60.0
"""How long to wait after a failure before trying again."""

log = logging.getLogger("tidings.control")


class Discarded:
    """Drops discarded tables at the start, and whenever there may be more. Belongs to one event loop."""

    def __init__(self, engine: Engine, writer: Writer, readers: Readers) -> None:
        self._engine, self._writer, self._readers = engine, writer, readers
        self._wake = asyncio.Event()
        self._background = Background("discarded", self._work)
        self.in_hand = False
        """Whether some of the tables that will be listed from now on are being filled, so that they must be kept."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check now, and whenever `more` is called."""
        self._background.start(loop)

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        await self._background.stop()

    def more(self) -> None:
        """There may be more to drop."""
        self._wake.set()

    async def sweep(self) -> bool:
        """Drop all of them, now; returns whether none is left."""
        names = await self._readers.call(lambda db: [str(row[0]) for row in db.all("discarded_tables")])
        if self.in_hand:
            return True
        for name in names:
            try:
                await self._drop(f'"{name}"')
                await self._writer.call(partial(alter.unlist, name))
            except (StoreError, TidingsError) as wrong:
                log.warning("the table %s is not dropped yet: %s", name, wrong)
                return False
        return True

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                done = await self.sweep()
            except TidingsError as wrong:
                log.warning("discarded tables are dropped later: %s", wrong)
                done = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if done else AGAIN_SECONDS):
                    await self._wake.wait()

    async def _drop(self, table: str) -> None:
        if self._engine.dialect == "postgres":
            await asyncio.to_thread(self._drop_beside, table)
            return
        slicing = Slicing(self._writer)
        while await slicing.step(partial(alter.lessen, table)):
            pass
        await self._writer.call(lambda db: alter.drop(db, table))

    def _drop_beside(self, table: str) -> None:
        builder = self._engine.builder()
        try:
            alter.drop(builder, table)
        finally:
            builder.close()
