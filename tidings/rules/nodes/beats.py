"""What a node may do, judged by its beats: send, end a frozen node, or try to replace one that is gone.

Moments are seconds on a clock that nobody sets, and that keeps running while the machine sleeps.
`tests/nodes/simulation` runs these rules through thousands of bad days; whatever a node decides about others belongs
here.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

BEAT_SECONDS = 1.0
PROOF_SECONDS = 7.0
"""How long a node may send after it asked whether it still holds its lock."""
FROZEN_SECONDS = 10.0
"""A node that was not heard from for this long may be ended.

This is longer than a proof lasts, so the node has already stopped sending.
"""
AFRESH_SECONDS = PROOF_SECONDS
"""After a failover all sessions are new. A node gets this long to take its place back before another node, which would
have to start first, takes it. This is not what keeps two from sending: a start waits for the previous sender."""
HEARD_SECONDS = 3.0
"""A node that was heard from within this time is one that others may wait for."""
STEP_SECONDS = 1.0
"""How long each node in line has to take a free place before the next one tries."""


class Proof:
    """Proof that this node holds the lock that it needs for sending, in one session of the database."""

    __slots__ = ("_session", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._session: int | None = None

    def found(self, asked: float, session: int | None = None, seconds: float = PROOF_SECONDS) -> None:
        """The database said that it holds the lock, in response to a question asked at that moment; the response may
        have taken long."""
        self._until, self._session = asked + seconds, session

    def lost(self) -> None:
        """The database said that another session holds the lock."""
        self._until = 0.0

    def holds(self, now: float, session: int | None = None) -> bool:
        """Whether it may send.

        A proof does not apply to a new session, because another node may have taken the lock in between.
        """
        return now < self._until and session == self._session


class Patience:
    """The patience of a node that waits for another one's place.

    If commits hang, no node is heard from, but none is frozen.
    """

    __slots__ = ("_afresh_until", "_beaten_at", "_session", "_steady_since")

    def __init__(self) -> None:
        self._afresh_until = 0.0
        self._beaten_at = self._steady_since = float("-inf")
        self._session: int | None = None

    def beaten(self, now: float, session: int | None, frozen: float = FROZEN_SECONDS) -> None:
        """Its own beat was committed just now, in this session of the database."""
        before, self._beaten_at = self._beaten_at, now
        if now - before > frozen / 2:
            self._steady_since = now
        if session != self._session:
            self._afresh_until = 0.0 if self._session is None else now + AFRESH_SECONDS
            self._session = session

    def may_end(self, frozen: float = FROZEN_SECONDS) -> bool:
        """Whether it may end a node that was not heard from for this long: its own beats must have been committed
        all that time."""
        return self._beaten_at - self._steady_since >= frozen

    def may_try(self, now: float) -> bool:
        """Whether it may take a place that is free: not while a node that has just lost its session comes back."""
        return now >= self._afresh_until


class Peer(msgspec.Struct, frozen=True):
    """A node that waits for a place, as the others see it."""

    id: str
    seconds: float
    """How many seconds ago the node was last heard from."""
    draining: bool = False


def ahead(me: Peer, others: Iterable[Peer]) -> int:
    """How many nodes are in line before this one: those heard from lately, in the order of ids, draining ones last."""
    mine = (me.draining, me.id)
    return sum(1 for each in others if each.seconds < HEARD_SECONDS and (each.draining, each.id) < mine)


class Line:
    """The nodes that wait for one place try one after another, because a start costs each of them time and only one
    succeeds."""

    __slots__ = ("_free_since",)

    def __init__(self) -> None:
        self._free_since: float | None = None

    def is_my_turn(self, now: float, before: int) -> bool:
        """Whether this node tries, now that the place is free. `before`: how many others try first."""
        if self._free_since is None:
            self._free_since = now
        return now - self._free_since >= before * STEP_SECONDS

    def taken(self) -> None:
        """Note that the place is not free."""
        self._free_since = None
