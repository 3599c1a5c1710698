"""The latest catalogue, for a caller who may know more of it than this node does.

A client that makes a key at one node and uses it at another the next moment may be faster than the news. So before a
node refuses a request because of what its catalogue says, it looks whether the database has a newer one. A look that
began before the request arrived does not count. All who wait share the next one, and at most LOOKS_PER_SECOND begin: a
flood of wrong keys makes others wait for a twentieth of a second, and has the database answer twenty times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.jobs import NoSavepoint
from tidings.store.readers import OWN_READS, Readers
from tidings.store.writer import Writer

LOOKS_PER_SECOND = 20

T = TypeVar("T")


class Nudge:
    """Has the writer run a group soon, which catches up with the catalogue and lets the rider read what is new.

    At most one waits in its queue, however often it is called, from any thread.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer, self._waits = writer, False

    def __call__(self) -> None:
        """Run a group that reads what is committed now."""
        if not self._waits:
            self._waits = True
            self._writer.submit(NoSavepoint(self._run), self._done)

    def _run(self, db: Db) -> None:
        # The rider reads after this: what is committed from now on needs another nudge.
        self._waits = False

    def _done(self, result: Any, wrong: Exception | None) -> None:
        if wrong is not None:
            self._waits = False


class Fresh:
    """Looks for a newer catalogue. Belongs to one event loop."""

    def __init__(self, writer: Writer, readers: Readers, catalog: Catalog) -> None:
        self._writer, self._readers, self._catalog = writer, readers, catalog
        self._next: asyncio.Task[None] | None = None
        self._begun_at = 0.0
        self.looks = 0
        """How many have begun."""

    async def newer_than(self, version: int) -> bool:
        """Whether there is a newer catalogue than this, which is the present one then. Raises Unavailable."""
        if self._catalog.now.version <= version:
            if self._next is None:
                self._next = asyncio.ensure_future(self._look())
            # Others wait for the same look; who goes away does not end it.
            await asyncio.shield(self._next)
        return self._catalog.now.version > version

    async def found(self, find: Callable[[], T | None]) -> T | None:
        """What `find` finds in the catalogue, also if that is so new that this node had not heard of it."""
        version = self._catalog.now.version
        there = find()
        if there is None and await self.newer_than(version):
            there = find()
        return there

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if (rest := self._begun_at + 1 / LOOKS_PER_SECOND - loop.time()) > 0:
            await asyncio.sleep(rest)
        # Those who come from now on need to know more than this look may find.
        self._next, self._begun_at = None, loop.time()
        self.looks += 1
        row = await self._readers.brief(lambda db: db.one("catalog_version"), OWN_READS, single=True)
        if row is not None and row[0] > self._catalog.now.version:
            await self._writer.call(NoSavepoint(lambda db: None))
