"""The beat of a node that works."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from tidings.store import journal
from tidings.store.base import Db, StoreError
from tidings.store.beats.steady import Steady
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
        """`db` opens the connection; `session`: the writer's at this moment; `speak`: makes the writer use it.

        `reached` is called with the last event that the database shows to others, so that no failover loses it. `now`:
        this machine's clock, in seconds since the epoch.
        """
        self._reached = reached
        self._open, self.own = db, own
        self._session, self._speak, self._now = session, speak, now
        self.on_free: Callable[[], None] = lambda: None
        """Called in the thread of a joined node that takes in, as long as the sender's lock is free."""
        self.on_drain: Callable[[int], None] = lambda seconds: None
        """Called once if somebody has asked this node to end, with the seconds until then."""
        self.wrong_clock: str | None = None
        """Why this server should take no calls at this moment: its clock."""
        self._proven_until = 0.0
        self._rests = False
        self._drains = own.draining is not None
        self._steady = Steady()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Beat once, then every second in a thread. Raises StoreError."""
        self._db = self._open()
        nodes.forget_old(self._db)
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(nodes.BEAT_SECONDS)

    def close(self) -> None:
        """After the writer has ended: say that this node has, unless the database is silent, and close."""
        if self._thread.is_alive():
            return
        if uptime() < self._proven_until:
            with contextlib.suppress(StoreError):
                nodes.forget(self._db, self.own.id)
        self._db.close()

    def proven(self) -> bool:
        """Whether this node held the lock for sending a moment ago, so that it may send."""
        holds = uptime() < self._proven_until and self.own.sends
        if holds is self._rests and self.own.sends:
            self._rests = not holds
            if holds:
                log.warning("the database says again that this server holds the pen: sending continues")
            else:
                log.error(
                    "the database has not said for %.0f s that this server holds the pen: sending rests",
                    nodes.PROOF_SECONDS,
                )
        return holds

    def beat(self) -> None:
        """One beat. Raises StoreError."""
        asked, session = uptime(), self._session()
        if session is None:
            return
        self._compare(self._now() - nodes.beat(self._db, self.own, session))
        if self.own.draining is not None and not self._drains:
            self._drains = True
            self.on_drain(self.own.draining)
        locks = nodes.held(self._db)
        if session in locks.pens and (not self.own.joined or not self.own.sends or session == locks.sender):
            self._proven_until = asked + nodes.PROOF_SECONDS
            self._reached(journal.position(self._db, "event"))
        if self.own.joined:
            self._steady.beaten(self._db, locks)

    def _compare(self, ahead_seconds: float) -> None:
        before, self.wrong_clock = self.wrong_clock, nodes.wrong_clock(ahead_seconds)
        if self.wrong_clock is not None and before is None:
            log.error("%s", self.wrong_clock)
        elif self.wrong_clock is None and before is not None:
            log.warning("this machine's clock agrees with the database's again")

    def _run(self) -> None:
        beats, next_beat = 0, uptime() + nodes.BEAT_SECONDS
        while not self._stopping.wait(max(0.0, min(next_beat - uptime(), self._look_seconds))):
            try:
                if uptime() >= next_beat:
                    beats, next_beat = beats + 1, uptime() + nodes.BEAT_SECONDS
                    if beats % nodes.SPEAK_BEATS == 0:
                        self._speak()
                    self.beat()
                self._look()
            except StoreError as wrong:
                log.warning("a beat failed: %s", wrong)

    @property
    def _looks(self) -> bool:
        return self.own.joined and not self.own.sends and self.own.draining is None

    @property
    def _look_seconds(self) -> float:
        return nodes.LOOK_SECONDS if self._looks else nodes.BEAT_SECONDS

    def _look(self) -> None:
        if self._looks and self._steady.may_follow and nodes.held(self._db).sender is None:
            self.on_free()
