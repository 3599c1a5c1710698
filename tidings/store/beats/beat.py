"""The beat of a node that works."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from tidings.rules.nodes.beats import HEARD_SECONDS, Line, Patience, Peer, Proof, ahead
from tidings.store import journal
from tidings.store.base import Db, Lost, StoreError
from tidings.store.engines import nodes
from tidings.store.engines.nodes import Own, uptime

log = logging.getLogger("tidings.nodes")


class Beat:
    """The thread of a node that works: says that it lives, and proves that it holds the lock for sending."""

    def __init__(
        self,
        db: Callable[[], Db],
        own: Own,
        session: Callable[[], int | None],
        speak: Callable[[], None],
        reached: Callable[[int], None] = lambda event: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`db` opens the connection; `session` returns the writer's current session; `speak` makes the writer use it.

        `reached` is called with the last event that the database shows to others, so that no failover loses it. `now`:
        this machine's clock, in seconds since the epoch.
        """
        self._reached = reached
        self._open, self.own = db, own
        self._session, self._speak, self._now = session, speak, now
        self.on_free: Callable[[], None] = lambda: None
        """Called, in the thread of a joined node that takes in, as long as the sender's lock is free."""
        self.on_drain: Callable[[int, bool], None] = lambda seconds, is_followed: None
        """Called once if somebody has asked this node to exit: with the number of seconds until then, and whether
        another node would send."""
        self.on_nodes: Callable[[int], None] = lambda count: None
        """Called at each beat, with the number of nodes that write to the database."""
        self.imports: Callable[[], int] = lambda: 0
        """Returns the number of files of items that are being imported."""
        self.parts: Callable[[], int | None] = lambda: None
        """Returns for how many parts of the endpoints this node sends."""
        self.wrong_clock: str | None = None
        """The message about this server's wrong clock, if it should accept no calls because of that; else None."""
        self._proof, self._patience, self._line = Proof(), Patience(), Line()
        self._beaten_session: int | None = None
        self._twin: str | None = None
        self._rests_at: float | None = None
        self._rests_said = self._has_failed = False
        self._drains = own.draining is not None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Beat once, then every second in a thread. Raises StoreError."""
        self._db = self._open()
        nodes.forget_old(self._db)
        self.beat()
        if self.own.joined and self.own.address is not None:
            nodes.refuse_same_address(self._db, self.own)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(nodes.BEAT_SECONDS)

    def close(self) -> None:
        """After the writer has ended, report that this node has ended, unless the database is silent, and close."""
        if self._thread.is_alive():
            return
        # Of the session that the writer had until it ended.
        if self._proof.holds(uptime(), self._beaten_session if self.own.joined else None):
            with contextlib.suppress(StoreError):
                nodes.forget(self._db, self.own.id)
        self._db.close()

    def proven(self) -> bool:
        """Whether this node held the lock for sending a moment ago, so that it may send."""
        now = uptime()
        holds = self._proof.holds(now, self._proven_session) and self.own.sends
        if holds:
            if self._rests_said:
                log.warning("the database confirms again that this server holds the pen: sending continues")
            self._rests_at, self._rests_said = None, False
        elif self.own.sends and not self._rests_said:
            self._rests_at = now if self._rests_at is None else self._rests_at
            # One that was frozen does not know yet whether it was replaced, and will say that instead.
            if self._has_failed or now - self._rests_at >= nodes.SILENT_SECONDS:
                self._rests_said = True
                log.error("the database does not confirm that this server holds the pen: sending pauses")
        return holds

    def beat(self) -> None:
        """One beat. Raises StoreError."""
        asked, session = uptime(), self._session()
        if session is None:
            return
        self.own.imports, self.own.parts = self.imports(), self.parts()
        self._compare(self._now() - nodes.beat(self._db, self.own, session))
        self._beaten_session, self._has_failed = session, False
        locks = nodes.held(self._db)
        self.on_nodes(len(locks.pens))
        found = session in locks.pens and (not self._must_send or session == locks.sender)
        if found:
            self._proof.found(asked, session if self.own.joined else None, nodes.PROOF_SECONDS)
            self._reached(journal.position(self._db, "event"))
        elif self._session() == session and (locks.sender is not None if self._must_send else locks.pens):
            # Another session holds it, and not this node's next one.
            self._proof.lost()
        if self.own.joined:
            nodes.end_frozen(self._db, self.own.id, self._patience, locks)
        if self.own.draining is not None and not self._drains:
            self._drains = True
            self.on_drain(self.own.draining, self._is_followed())

    def _is_followed(self) -> bool:
        """Whether another node would take over this one's role. A node that is to exit as well does not count."""
        if not self._must_send:
            return False
        there = [each for each in nodes.seen(self._db) if each.role == "takes in" and not each.draining]
        return any(each.seconds < HEARD_SECONDS for each in there)

    def _compare(self, ahead_seconds: float) -> None:
        before, self.wrong_clock = self.wrong_clock, nodes.wrong_clock(ahead_seconds)
        if self.wrong_clock is not None and before is None:
            log.error("%s", self.wrong_clock)
        elif self.wrong_clock is None and before is not None:
            log.warning("this machine's clock agrees with the database's again")

    def _find_twin(self) -> None:
        """Log once if another node is registered at this one's address. Raises StoreError."""
        before, self._twin = self._twin, nodes.at_same_address(self._db, self.own)
        if self._twin is not None and before is None:
            log.error(
                "%s is registered at %s, as is this server, so requests passed on to one may reach the other. Set "
                "node_url on each to an address where the other servers reach it",
                self._twin,
                self.own.address,
            )
        elif self._twin is None and before is not None:
            log.warning("no other server is registered at %s any longer", self.own.address)

    def _run(self) -> None:
        beats, next_beat = 0, uptime() + nodes.BEAT_SECONDS
        while not self._stopping.wait(max(0.0, min(next_beat - uptime(), self._pause))):
            try:
                if is_due := uptime() >= next_beat:
                    beats, next_beat = beats + 1, uptime() + nodes.BEAT_SECONDS
                    if beats % nodes.SPEAK_BEATS == 0:
                        self._speak()
                if is_due or (self._must_send and self._session() not in (None, self._beaten_session)):
                    self.beat()
                if is_due and self.own.joined and beats % nodes.ADDRESS_BEATS == 0:
                    self._find_twin()
                self._look()
            except StoreError as wrong:
                log.warning("a beat failed: %s", wrong)
                self._has_failed = True
                if isinstance(wrong, Lost):
                    # The connection broke while nobody used it. The next one either works, or cannot be opened.
                    next_beat = uptime()

    @property
    def _proven_session(self) -> int | None:
        """If nodes are joined, a proof applies to one session of the writer."""
        return self._session() if self.own.joined else None

    @property
    def _must_send(self) -> bool:
        return self.own.joined and self.own.sends

    @property
    def _looks(self) -> bool:
        return self.own.joined and not self.own.sends

    @property
    def _pause(self) -> float:
        if not self.own.joined:
            return nodes.BEAT_SECONDS
        # A sender with a new session sends nothing until a beat has found the lock in it.
        waits = self._must_send and not self._proof.holds(uptime(), self._proven_session)
        return nodes.RESUME_SECONDS if waits else nodes.LOOK_SECONDS

    def _look(self) -> None:
        """If there is no sender, the nodes that take in try to become it, one after another. Raises StoreError."""
        if not self._looks:
            return
        if not self._patience.may_try(uptime()) or nodes.held(self._db).sender is not None:
            self._line.taken()
            return
        others = [each.peer for each in nodes.seen(self._db) if each.role == "takes in" and each.id != self.own.id]
        if self._line.is_my_turn(uptime(), ahead(Peer(self.own.id, 0.0, self.own.draining is not None), others)):
            self.on_free()
