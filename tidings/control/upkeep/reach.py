"""A note in the data folder of how far the database has come: a start that finds less knows that it went back."""

from __future__ import annotations

from collections.abc import Callable

from tidings.control.upkeep.timekeeper import SEEN
from tidings.model.moment import Clock
from tidings.store import journal
from tidings.store.base import Db, Engine
from tidings.store.engines.gaps import REACHED, HowFar, gap_after_restore
from tidings.store.files import FileLock
from tidings.store.journal import Gap, gaps


class Reach:
    """The note of one server. `committed` is called by the writer's thread, `note` by others."""

    def __init__(self, lock: FileLock, before: HowFar | None, clock: Clock, routed: Callable[[], int]) -> None:
        """`lock` holds the note, `before` is its text at the start; `routed`: the last event that was routed."""
        self._lock, self._before, self._clock, self._routed = lock, before, clock, routed
        self._event, self._noted = 0, -1

    def open(self, db: Db, engine: Engine) -> list[Gap]:
        """A write job: log whether the database went back since its last use, and return its gaps."""
        seen = db.one("store_fact", name=SEEN)
        last_use = None if seen is None else int(seen[0])
        gap_after_restore(db, self._before, last_use, self._clock.now(), engine.timeline())
        self._event = journal.position(db, "event")
        return gaps(db)

    def committed(self) -> None:
        """Everything routed so far is stored."""
        self._event = max(self._event, self._routed())

    def reached(self, event: int) -> None:
        """This event is stored, no matter by which node."""
        self._event = max(self._event, event)

    def note(self) -> None:
        """Update the note, if the database has come further."""
        if self._event != self._noted:
            self._noted = self._event
            self._lock.note(REACHED, {"event": self._event, "at": self._clock.now()})
