"""What a joined node does about the others: it hears of their writes, reads their catalogue, and shares limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tidings.store.base import Db, Engine
from tidings.store.catalog import Catalog
from tidings.store.engines.nodes import imports_elsewhere
from tidings.store.joined.fresh import Fresh, Nudge
from tidings.store.joined.reserving import Reserving
from tidings.store.joined.wakes import Wakes
from tidings.store.readers import Readers
from tidings.store.writer import Writer


class NewsFeed(Protocol):
    """Those who wait for events at this node."""

    def committed(self) -> None:
        """There may be new ones."""

    def is_awaited(self) -> bool:
        """Whether anybody waits."""

    def on_wait(self, call: Callable[[], None]) -> None:
        """Call something, from the event loop, when the first one begins to wait."""


class RouteStage(Protocol):
    """The route stage."""

    position: int
    """The number of the last event that was routed."""


class Others:
    """One joined node's side of it."""

    def __init__(
        self, url: str, engine: Engine, parts: tuple[Writer, Readers, Catalog], feed: NewsFeed, routing: RouteStage
    ) -> None:
        self._engine, self._feed, self._routing = engine, feed, routing
        self._writer, _, self._catalog = parts
        self.fresh, self.reserving = Fresh(*parts), Reserving(engine.builder)
        self._nudge = Nudge(self._writer)
        self.wakes = Wakes(url, self._events, self._changed, self._wants_events)
        self._writer.on_commit(self._committed)
        feed.on_wait(self.wakes.wanted)

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

    def _wants_events(self) -> bool:
        return self._engine.sends or self._feed.is_awaited()

    def _committed(self) -> None:
        if self._engine.sends:
            self.wakes.read()
        if any(news := self._writer.news):
            self.wakes.committed(is_catalog=news[1])

    def _events(self, position: int) -> None:
        self._feed.committed()
        if self._engine.sends and position > self._routing.position:
            # What others have taken in is routed by this node.
            self._nudge()

    def _changed(self, version: int) -> None:
        if version > self._catalog.now.version:
            self._nudge()
