"""Where another node came first: which groups are written again, and what those are answered that cannot be.

A deadlock, a lock that was held for too long, and a unique value that somebody else has just stored are no faults of
the store. The transaction is undone, and in a new one the jobs see what the other node did: most of them then succeed,
or refuse with a sentence of their own. A group is written again as a whole, once, then each job alone.

A lock that was held for too long may be half of a deadlock: the other half continues as soon as this transaction is
undone. So it is tried once more, in a hurry, before the job that wanted it is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from tidings.model.errors import Conflict, TidingsError, Unavailable
from tidings.store.base import LOCK_SECONDS, Behind, Contended, Db, Held, StoreError, UniqueViolation


class Version(Protocol):
    """What is in memory of it."""

    @property
    def version(self) -> int:
        """The number of the last change that is in it; below 0: nothing was read yet."""


class Shared(Protocol):
    """What all nodes have in memory, such as the catalogue (store/catalog.py)."""

    @property
    def now(self) -> Version:
        """What this node has."""

    def refresh(self, db: Db) -> None:
        """Read what this node has just changed."""

    def begin(self, db: Db) -> None:
        """Have the transaction fail with Behind if what is in memory is not what is in the store."""

    def catch_up(self, db: Db) -> None:
        """Read what has changed."""

    def lock(self, db: Db) -> None:
        """Keep others from changing it until the transaction ends, and read what has changed."""


T = TypeVar("T")
RETRY_AFTER_SECONDS, REFUSED_AFTER_SECONDS = 1.0, 2.0
HURRY_SECONDS = 5.0
ORDERED_MS, HURRIED_MS = 1_000, 100
"""The maximum time that jobs wait for a lock: jobs that lock their own rows; and all jobs in a hurry, which is usually
longer than another node's commit. PostgreSQL counts each lock separately, and a row for which others also wait takes
two."""
log = logging.getLogger("tidings.writer")
LOST_RACES = (Contended, UniqueViolation)
"""Errors after which the job may succeed in a new transaction."""


class Waits:
    """How long the jobs of a group wait for what another node has locked. Belongs to the writer's thread.

    A frozen node holds a row until its session is ended, which takes 10 s. If each job that needs it waited for
    LOCK_SECONDS, everyone else would wait with it, group after group: so once that was in vain, groups are in a hurry.
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks, self._until = ticks, float("-inf")
        self._is_limited = False

    def note(self, wrong: Exception) -> None:
        """A group has failed."""
        if isinstance(wrong, Held):
            self._until = self._ticks() + HURRY_SECONDS

    def begin(self, db: Db, *, is_ordered: bool) -> None:
        """The jobs of a group follow; `is_ordered`: some of them lock rows of their own."""
        most = HURRIED_MS if self._ticks() < self._until else ORDERED_MS if is_ordered else None
        self._is_limited = db.shares and most is not None
        if self._is_limited:
            db.execute_later(f"SET LOCAL lock_timeout = '{most}ms'", {})

    def end(self, db: Db) -> None:
        """What follows is waited for as usual, such as the numbers of events."""
        if self._is_limited:
            db.execute_later(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'", {})


def up_to_date(write: Callable[[bool], T], shared: Shared | None, db: Db) -> T:
    """Write, again if another node has changed the catalogue: with what it is now, at last under its lock (True)."""
    for _ in range(2):
        try:
            return write(False)
        except Behind:
            db.rollback()
            assert shared is not None
            shared.catch_up(db)
    return write(True)


def begin(shared: Shared | None, db: Db, locked: bool) -> None:
    """A transaction begins that works with what nodes have in common."""
    if shared is not None:
        (shared.lock if locked else shared.begin)(db)


def end(shared: Shared | None, db: Db) -> None:
    """It ends. It fails with Behind if a collection has changed.

    It may have waited for a table that another node was altering, and then written as of the old declaration. If it has
    noted a change itself, that was checked then, and kept others from making one.
    """
    if shared is not None and db.shares and shared.now.version >= 0 and not db.noted:
        db.run_later("catalog_expect_collections", version=shared.now.version)


def refusal(wrong: Exception, *, is_told: bool = False) -> TidingsError:
    """What the jobs are answered that were not written. `wrong`: why, in the end; `is_told`: the log says it anyway."""
    if isinstance(wrong, UniqueViolation):
        return Conflict(
            "Another request has just stored something with the same id or unique value, so nothing was done."
        )
    if isinstance(wrong, Contended):
        detail = "Another server is changing the same data at this moment, so nothing was done. Try again."
        return Unavailable(detail, retry_after_seconds=RETRY_AFTER_SECONDS)
    if is_told:
        pass
    elif isinstance(wrong, StoreError):
        log.error("changes could not be written: %s", wrong)
    else:
        log.error("changes could not be written", exc_info=wrong)
    detail = wrong.detail if isinstance(wrong, StoreError) else "something went wrong on the server"
    said = "It is unknown whether it was stored" if getattr(wrong, "unknown", False) else "Nothing was stored"
    return Unavailable(
        f"{said}: {detail}. Retry with the same id or Idempotency-Key.", retry_after_seconds=REFUSED_AFTER_SECONDS
    )
