"""PostgreSQL as a model: sessions, the sender's lock, rows that are committed, a replica, timers, a failover."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

TURN_SECONDS = 5.0
IDLE_SECONDS = 15.0
"""After this silence a session is ended, unless its client is in the middle of a COPY."""


class Session:
    """One connection of a node's writer."""

    __slots__ = ("alive", "node", "number")

    def __init__(self, number: int, node: str) -> None:
        self.number, self.node, self.alive = number, node, True


@dataclass(slots=True)
class Event:
    """One event as it was published."""

    stream: int
    turn: int
    """Its place in its stream, whose events are published one after another, at any node."""
    after: int
    """The number of the last event of its stream that was acknowledged before it was published."""
    needs: int
    """The version of the catalogue that was acknowledged before it was published."""
    at: float
    number: int = 0
    acknowledged: bool = False
    routed: int = 0
    sent: int = 0


@dataclass(slots=True)
class Row:
    """A node's row in the table `node`."""

    seen: float
    session: int | None
    sends: bool
    draining: bool


Answer = Callable[[bool], None]


@dataclass(slots=True)
class Database:
    """The primary and its replica, as one."""

    synchronous: bool = True
    up: bool = True
    hangs: bool = False
    sessions: dict[int, Session] = field(default_factory=dict)
    sender: Session | None = None
    wrote: str | None = None
    """The node that took the sender's lock last."""
    timeline: int = 0
    """How often a replica was promoted."""
    wrote_on: int = 0
    """The timeline on which that was."""
    turn: tuple[str, float] | None = None
    """The node whose turn it is to become the sender, and until when."""
    rows: dict[str, Row] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    head: int = 0
    taken: int = 0
    """The last number that a sequence would have given."""
    routed: int = 0
    settled: set[int] = field(default_factory=set)
    version: int = 0
    made: int = 0
    _has_frozen: bool = False
    _frozen_until: float = 0.0
    _waiting: list[tuple[Session | None, Callable[[], None], Answer]] = field(default_factory=list)

    def connect(self, node: str) -> Session:
        """A new session of a node."""
        self.made += 1
        session = self.sessions[self.made] = Session(self.made, node)
        return session

    def end(self, session: Session | None) -> None:
        """A session ends, and frees its lock. What it has committed, but for the replica, becomes visible,
        and its client does not know."""
        if session is None or not session.alive:
            return
        for waiting in [each for each in self._waiting if each[0] is session]:
            self._waiting.remove(waiting)
            waiting[1]()
            waiting[2](False)
        session.alive = False
        del self.sessions[session.number]
        if self.sender is session:
            self.sender = None

    def commit(self, session: Session | None, change: Callable[[], None], answer: Answer) -> None:
        """Commit, now or when the replica takes it; `session` None: one that lives as long as its client."""
        if not self.up or (session is not None and not session.alive):
            answer(False)
        elif self.hangs:
            self._waiting.append((session, change, answer))
        else:
            change()
            answer(True)

    def free(self) -> None:
        """The replica takes commits again: those that hung become visible in their order."""
        self.hangs = False
        waiting, self._waiting = self._waiting, []
        for session, change, answer in waiting:
            change()
            answer(session is None or session.alive)

    def die(self) -> None:
        """The primary is gone, with all sessions, and with what no replica has."""
        self.up = self.hangs = False
        for session in list(self.sessions.values()):
            self.end(session)
        waiting, self._waiting = self._waiting, []
        for _, _, answer in waiting:
            answer(False)

    def promote(self, lost: Iterable[int] = ()) -> None:
        """The replica takes over, without the events that it does not have."""
        self.up = True
        self.timeline += 1
        for number in lost:
            del self.events[number]
        self.head = max(self.events, default=0)
        self.routed = min(self.routed, self.head)

    def append(self, event: Event) -> None:
        """An event becomes visible, with the next number if it has none yet."""
        event.number = event.number or self.head + 1
        self.head = max(self.head, event.number)
        self.events[event.number] = event

    def takes_turn(self, node: str, now: float) -> bool:
        """Whether it is this node's turn: one has it at a time, and loses it if it is silent for too long."""
        if self.turn is not None and now < self.turn[1]:
            return False
        self.turn = (node, now + TURN_SECONDS)
        return True

    def gives_turn(self, node: str) -> None:
        """It has started, or is gone."""
        if self.turn is not None and self.turn[0] == node:
            self.turn = None

    def number(self) -> int:
        """As from a sequence."""
        self.taken = max(self.taken, self.head) + 1
        return self.taken

    def sent_before(self, node: str, now: float, patience: float) -> bool:
        """Whether another node was heard of as the sender a moment ago, before a failover."""
        return self.wrote_on != self.timeline and any(
            row.sends and name != node and row.seen > now - patience for name, row in self.rows.items()
        )

    def unsettled(self) -> list[int]:
        """The routed events that no settlement names."""
        return [number for number in self.events if number <= self.routed and number not in self.settled]

    def has_frozen(self, now: float, patience: float) -> bool:
        """Whether a node was not heard of for so long. Found out twice a second, because each beat asks."""
        if now >= self._frozen_until:
            self._frozen_until, self._has_frozen = now + 0.5, bool(self.frozen(now, patience))
        return self._has_frozen

    def frozen(self, now: float, patience: float) -> list[Session]:
        """The sessions of nodes that were not heard of for so long."""
        found = []
        for node, row in self.rows.items():
            if row.session is not None and row.seen < now - patience:
                session = self.sessions.get(row.session)
                if session is not None and session.node == node:
                    found.append(session)
        return found
