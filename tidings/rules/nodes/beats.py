"""What a node may do, judged by its beats: send, end a frozen node, or try to take the place of one that is gone.

Moments are seconds of a clock that nobody sets, and that continues while the machine sleeps. `tests/nodes/simulation`
runs these rules through thousands of bad days; whatever a node decides about others belongs here.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

BEAT_SECONDS = 1.0
PROOF_SECONDS = 7.0
"""How long a node may send after it asked whether it still holds its lock."""
FROZEN_SECONDS = 10.0
"""A node that was not heard of for so long may be ended. Longer than a proof, so that it has stopped sending."""
AFRESH_SECONDS = PROOF_SECONDS
"""After a failover all sessions are new; a node gets this time to take its place back before another one does, which
would have to start again for it. It does not keep two from sending: a start waits for the one before."""
HEARD_SECONDS = 3.0
"""A node that was heard of within this time may be waited for."""
STEP_SECONDS = 1.0
"""How long each node in line gets to take a place that is free, before the next one tries."""


class Proof:
    """That this node holds the lock without which it may not send, in one session of the database."""

    __slots__ = ("_session", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._session: int | None = None

    def found(self, asked: float, session: int | None = None, seconds: float = PROOF_SECONDS) -> None:
        """The database said that it holds it, to a question asked at that moment: the answer may have taken long."""
        self._until, self._session = asked + seconds, session

    def lost(self) -> None:
        """The database said that another session holds it."""
        self._until = 0.0

    def holds(self, now: float, session: int | None = None) -> bool:
        """Whether it may send. Not in another session: a node may have taken the lock that the one before held."""
        return now < self._until and session == self._session


class Patience:
    """Of a node that waits for another one's place. If commits hang, nobody is heard of, and nobody is frozen."""

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
        """Whether it may end a node that was not heard of for so long: its own beats were committed all that time."""
        return self._beaten_at - self._steady_since >= frozen

    def may_try(self, now: float) -> bool:
        """Whether it may take a place that is free: not while a node that has just lost its session comes back."""
        return now >= self._afresh_until


class Peer(msgspec.Struct, frozen=True):
    """A node that waits for a place, as the others see it."""

    id: str
    seconds: float
    """Since it was last heard of."""
    draining: bool = False


def ahead(me: Peer, others: Iterable[Peer]) -> int:
    """How many nodes are in line before this one: those heard of lately, in the order of ids, draining ones last."""
    mine = (me.draining, me.id)
    return sum(1 for each in others if each.seconds < HEARD_SECONDS and (each.draining, each.id) < mine)


class Line:
    """The nodes that wait for one place try one after another: a start costs each of them time, and one succeeds."""

    __slots__ = ("_free_since",)

    def __init__(self) -> None:
        self._free_since: float | None = None

    def is_my_turn(self, now: float, before: int) -> bool:
        """Whether this node tries, now that the place is free. `before`: how many others try first."""
        if self._free_since is None:
            self._free_since = now
        return now - self._free_since >= before * STEP_SECONDS

    def taken(self) -> None:
        """The place is not free."""
        self._free_since = None
