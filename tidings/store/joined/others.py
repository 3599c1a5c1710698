"""What a joined node does about the others: it hears of their writes, reads their catalogue, and shares limits."""

from __future__ import annotations

from collections.abc import Callable

from tidings.store.base import Db, Engine
from tidings.store.catalog import Catalog
from tidings.store.engines.nodes import imports_elsewhere
from tidings.store.joined.fresh import Fresh, Nudge
from tidings.store.joined.reserving import Reserving
from tidings.store.joined.wakes import Wakes
from tidings.store.readers import Readers
from tidings.store.writer import Writer


class Others:
    """One joined node's side of it. `waiting` is called if there are events that somebody may wait for."""

    def __init__(
        self,
        url: str,
        engine: Engine,
        parts: tuple[Writer, Readers, Catalog],
        waiting: Callable[[], None],
    ) -> None:
        self._engine, self._waiting = engine, waiting
        self._writer, _, self._catalog = parts
        self.fresh, self.reserving = Fresh(*parts), Reserving(engine.builder)
        self._nudge = Nudge(self._writer)
        self.wakes = Wakes(url, self._events, self._changed)
        self._writer.on_commit(self.wakes.committed)

    def start(self) -> None:
        """From now on, follow what they write."""
        self.wakes.start()

    def close(self) -> None:
        """End its threads; before the writer is closed."""
        self.wakes.stop()
        self.reserving.close()

    def imports(self, db: Db) -> int:
        """How many files of items are on their way into them, as they said within the last second."""
        return imports_elsewhere(db, self._engine.node or "")

    def _events(self, position: int) -> None:
        self._waiting()
        if self._engine.sends:
            # What others have taken in is routed by this node.
            self._nudge()

    def _changed(self, version: int) -> None:
        if version > self._catalog.now.version:
            self._nudge()
