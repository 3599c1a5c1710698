"""Where another node came first: which groups are written again, and what those are answered that cannot be.

A deadlock, a lock that was held for too long, and a unique value that somebody else has just stored are no faults of
the store. The transaction is undone, and in a new one the jobs see what the other node did: most of them then succeed,
or refuse with a sentence of their own. A group is written again as a whole, once, then each job alone.
"""

from __future__ import annotations

from typing import Protocol

from tidings.model.errors import Conflict, TidingsError, Unavailable
from tidings.store.base import Contended, Db, StoreError, UniqueViolation


class Shared(Protocol):
    """What all nodes have in memory, such as the catalogue (store/catalog.py)."""

    def refresh(self, db: Db) -> None:
        """Read what this node has just changed."""

    def begin(self, db: Db) -> None:
        """Have the transaction fail with Behind if what is in memory is not what is in the store."""

    def catch_up(self, db: Db) -> None:
        """Read what has changed."""

    def lock(self, db: Db) -> None:
        """Keep others from changing it until the transaction ends, and read what has changed."""


RETRY_AFTER_SECONDS = 1.0
LOST_RACES = (Contended, UniqueViolation)
"""What may succeed in a new transaction."""


def refusal(wrong: StoreError) -> TidingsError:
    """What a job is answered that lost again, alone in its transaction."""
    if isinstance(wrong, UniqueViolation):
        return Conflict("Something with the same id or unique value has just been stored; nothing was done.")
    return Unavailable(
        "Another server is changing the same at this moment; nothing was done. Try again.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
