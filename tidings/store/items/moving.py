"""If several nodes write items: only the sender does so while a collection is being declared differently.

A declaration over many rows notes in memory what is written in the meantime (store/watch.py). So the sender's session
holds an advisory lock exclusively from its first transaction to its last. (One over few rows locks the tables.)
A node that takes in takes the same lock, shared, in each transaction that writes items. If it does not get it at once,
nothing is written, and the request is passed on to the sender. If it does, no declaration ends before its transaction,
so nothing is written to a table that no longer belongs to a collection.
"""

from __future__ import annotations

from collections.abc import Callable

from tidings.model.errors import Elsewhere
from tidings.store.base import Db
from tidings.store.watch import Watch

MOVING = 0x7469_6469_6E67_736D
"""The number of the advisory lock. The locks of nodes are in store/engines/nodes.py."""


class AskedFirst(dict[str, Watch]):
    """Replaces `Db.watched` at a node that takes in: jobs ask it for a table's watch before they write items."""

    def __init__(self, db: Db, begin: Callable[[Db], None]) -> None:
        """`begin`: makes the transaction fail if the catalogue in memory differs from the stored one."""
        super().__init__()
        self._db, self._begin = db, begin

    def __bool__(self) -> bool:
        return True

    def get(self, table: str, /, *default: object) -> None:  # type: ignore[override]
        """Take the lock for this transaction, each time, because a savepoint's rollback releases it.

        Raises Elsewhere.
        """
        row = self._db.one("moving_share", lock=MOVING)
        if row is None or not row[0]:
            raise Elsewhere(
                "A collection is being declared. In the meantime, only the node that routes and sends can write items."
            )
        # What was known about the collection before the lock was taken may be outdated.
        self._begin(self._db)


def hold(db: Db) -> None:
    """Keep other nodes from writing items until `release` or the end of the session.

    Raises Contended if one is writing.
    """
    if db.shares and not held(db):
        db.all("moving_hold", lock=MOVING)


def held(db: Db) -> bool:
    """Whether other nodes have written no items since `hold`; always true if there are no others."""
    return not db.shares or db.one("moving_held", lock=MOVING) is not None


def release(db: Db) -> None:
    """Other nodes may write items again."""
    if db.shares and held(db):
        db.all("moving_release", lock=MOVING)
