"""How a node waits for its turn: to become the sender of joined ones, or to work at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tidings.rules.nodes.beats import Line, Patience, Peer, ahead
from tidings.store.base import Db, StoreError
from tidings.store.engines import nodes
from tidings.store.engines.nodes import Own, uptime


class Turn:
    """The turn to become the sender. Nodes get it one after the other, so that they do not all start again at once."""

    def __init__(self, db: Callable[[], Db]) -> None:
        self._open = db
        self._db: Db | None = None

    def take(self) -> bool:
        """Whether this node has the turn, and the sender's lock is still free. Raises StoreError."""
        db = self._db = self._open()
        # A node that freezes now does not keep the others from their turns.
        db.execute(f"SET idle_session_timeout = '{nodes.TURN_SECONDS}s'", {})
        taken = bool(db.query("SELECT pg_try_advisory_lock(:turn)", {"turn": nodes.TURN})[0][0])
        if taken and nodes.held(db).sender is None:
            return True
        self.end()
        return False

    def end(self) -> None:
        """Leave the turn to others."""
        if self._db is not None:
            self._db.close()
            self._db = None


class Standby:
    """The checks of a server that stands by, all from one thread."""

    def __init__(self, db: Callable[[], Db], own: Own) -> None:
        self._open, self.own = db, own
        self._db: Db | None = None
        self._beats_at = 0.0
        self._patience, self._line = Patience(), Line()

    def look(self) -> bool:
        """Whether the pen is free, and it is this node's turn to take it. Raises StoreError.

        Once a second: beat, then end the session of a frozen holder of the pen.
        """
        if self._db is None:
            self._db = self._open()
        db, now = self._db, uptime()
        if now >= self._beats_at:
            self._beats_at = now + nodes.BEAT_SECONDS
            # Perhaps nobody has migrated the database yet, or an older version works there; its session ends by its
            # timeouts.
            if nodes.has_nodes(db, nodes.LAST_COLUMN):
                nodes.beat(db, self.own, None)
                nodes.end_frozen(db, self.own.id, self._patience, nodes.held(db))
        if not self._patience.may_try(uptime()) or not self._is_free(db):
            self._line.taken()
            return False
        others = [each.peer for each in nodes.seen(db) if each.role == "stands by" and each.id != self.own.id]
        return self._line.is_my_turn(uptime(), ahead(Peer(self.own.id, 0.0), others))

    def close(self) -> None:
        """Report that this server no longer stands by, and close the connection."""
        if self._db is not None:
            with contextlib.suppress(StoreError):
                if self._db.session is not None and nodes.has_nodes(self._db):
                    nodes.forget(self._db, self.own.id)
            self._db.close()

    def _is_free(self, db: Db) -> bool:
        """The last joined node, while it starts again as the sender, has let go of the pen, but it has the turn."""
        if not _taken(db, nodes.PEN):
            return False
        # With the pen, which it needs before it leaves the turn.
        if free := _taken(db, nodes.TURN):
            _left(db, nodes.TURN)
        _left(db, nodes.PEN)
        return free


def _taken(db: Db, lock: int) -> bool:
    return bool(db.query("SELECT pg_try_advisory_lock(:lock)", {"lock": lock})[0][0])


def _left(db: Db, lock: int) -> None:
    db.query("SELECT pg_advisory_unlock(:lock)", {"lock": lock})
