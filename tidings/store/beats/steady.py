"""When a node may end another one, or take over what it had."""

from __future__ import annotations

import logging

from tidings.store.base import Db
from tidings.store.engines import nodes
from tidings.store.engines.nodes import Locks, uptime

log = logging.getLogger("tidings.nodes")


class Steady:
    """Whether a node's own beats were committed during all of FROZEN_SECONDS, so that it may end others."""

    def __init__(self) -> None:
        self._session: int | None = None
        self._afresh_until = 0.0
        self._beaten_at = self._since = -nodes.FROZEN_SECONDS

    def beaten(self, db: Db, locks: Locks) -> None:
        """A beat was committed: end those who are frozen, if this node may. Raises StoreError."""
        before, self._beaten_at = self._beaten_at, uptime()
        if self._beaten_at - before > nodes.FROZEN_SECONDS / 2:
            self._since = self._beaten_at
        if db.session != self._session:
            self._afresh_until = 0.0 if self._session is None else uptime() + nodes.AFRESH_SECONDS
            self._session = db.session
        if self._beaten_at - self._since < nodes.FROZEN_SECONDS:
            return
        for name in nodes.end_frozen(db, locks):
            log.warning("%s was not heard of for %.0f s: its session was ended", name, nodes.FROZEN_SECONDS)

    @property
    def may_follow(self) -> bool:
        """Whether a lock that is free will stay free: right after a failover its holder comes back for it."""
        return uptime() >= self._afresh_until
