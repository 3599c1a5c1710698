"""Two servers on one PostgreSQL database: one holds the pen and works, others stand by (docs/decisions/0047).

The session that writes holds the pen (store/engines/pen.py), so a server that loses the session cannot commit: the lock
is
the fence. A beat, once a second on its own connection, decides who *should* hold it:

* A server that works sends nothing unless a beat asked within the last PROOF_SECONDS found the pen in its writer's
  session. A server that was frozen, or cut off from the database, finds out before it sends.
* A server that stands by ends the session of one that was not heard of for FROZEN_SECONDS, which is longer: a frozen
  client keeps its session, and some phases (a COPY) no timeout ends. It does so only if its own beats were committed
  during all that time. If commits hang, because a synchronous replica is gone, nobody is heard of, and nobody may end
  anybody; nor right after that, when one beat is committed a moment before the other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from tidings.model.moment import SECOND
from tidings.rules.nodes import beats
from tidings.rules.nodes.beats import Line, Patience, Peer, Proof, ahead
from tidings.store import journal
from tidings.store.base import Db, StoreError

PEN = 0x7469_6469_6E67_73
"""The advisory lock that a writer holds for as long as it is connected: alone, or shared with other joined nodes."""
SENDER = 0x7469_6469_6E67_7373
"""The advisory lock of the one joined node that routes and sends: its writer's session holds it, too."""
OPENING = 0x7469_6469_6E67_736F
"""The advisory lock of the one joined node that brings the database to the present schema."""
BEAT_SECONDS = beats.BEAT_SECONDS
PROOF_SECONDS = beats.PROOF_SECONDS
FROZEN_SECONDS = beats.FROZEN_SECONDS
SPEAK_BEATS = 3
"""So often a beat makes the writer say something: its session ends after a while of silence (pen.TIMEOUTS)."""
FORGET_SECONDS = 86_400.0
CLOCK_SECONDS = 300
"""A machine whose clock differs more than this from the database's takes no calls."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_HELD = """
SELECT l.pid FROM pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) = :pen
"""
_NOW = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
_STARTED = "(EXTRACT(EPOCH FROM a.backend_start) * 1000000)::bigint"
_BEAT = f"""
INSERT INTO node (id, name, version, started, seen, session, session_started)
SELECT :id, current_setting('application_name'), :version, {_NOW}, {_NOW}, :session::bigint,
    (SELECT {_STARTED} FROM pg_stat_activity AS a WHERE a.pid = :session::bigint)
ON CONFLICT (id) DO UPDATE
SET seen = excluded.seen, session = excluded.session, session_started = excluded.session_started
RETURNING seen
"""  # noqa: S608 -- our own text
_END_FROZEN = f"""
SELECT a.application_name, pg_terminate_backend(a.pid)
FROM node AS n
JOIN pg_stat_activity AS a ON a.pid = n.session AND a.application_name = n.name AND {_STARTED} = n.session_started
WHERE a.pid IN ({_HELD}) AND n.seen < {_NOW} - :patience
    AND EXISTS (SELECT 1 FROM node AS me WHERE me.id = :id AND me.seen > {_NOW} - :beaten)
"""  # noqa: S608 -- our own text
"""Another session that got the same number after it is spared: name and start have to match, too. So is everybody if
the node that asks was itself frozen after its last beat: commits may hang since then."""
_FORGET = f"""
DELETE FROM node AS n
WHERE n.seen < {_NOW} - :patience AND NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a WHERE a.pid = n.session)
"""  # noqa: S608 -- our own text
_WAITING = f"SELECT n.id, {_NOW} - n.seen FROM node AS n WHERE n.session IS NULL"  # noqa: S608 -- our own text
_SEEN = f"SELECT n.name, n.version, n.session, {_NOW} - n.seen FROM node AS n"  # noqa: S608 -- our own text

log = logging.getLogger("tidings.nodes")


def uptime() -> float:
    """Seconds by a clock that nobody sets, and that continues while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


def beat(db: Db, node: str, version: str, session: int | None) -> float:
    """This node lives; `session` is its writer's, None: it stands by. Raises StoreError if that is not committed.

    Returns the database's time in seconds since the epoch.
    """
    return float(db.query(_BEAT, {"id": node, "version": version, "session": session})[0][0]) / SECOND


def wrong_clock(ahead_seconds: float) -> str | None:
    """Why a machine takes no calls if its clock is ahead of the database's (below zero: behind); None: it does."""
    if abs(ahead_seconds) <= CLOCK_SECONDS:
        return None
    off = f"{abs(ahead_seconds) / 60:.0f} minutes {'ahead of' if ahead_seconds > 0 else 'behind'}"
    return (
        f"this machine's clock is {off} the database's: times of events, retries and "
        "signatures would be wrong. Set both clocks, for example with NTP"
    )


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A node that was heard of lately."""

    name: str
    version: str
    works: bool
    """It holds the pen; if not, it stands by."""
    seconds: float
    """Since it was last heard of."""


def seen(db: Db) -> list[Seen]:
    """The nodes that were heard of within FROZEN_SECONDS, or hold the pen: who works first, then by name."""
    if not _has_nodes(db):
        return []
    held = {pid for (pid,) in db.query(_HELD, {"pen": PEN})}
    rows = db.query(_SEEN, {})
    found = [
        Seen(name=name, version=version, works=session in held, seconds=ago / SECOND)
        for name, version, session, ago in rows
        if session in held or ago < FROZEN_SECONDS * SECOND
    ]
    return sorted(found, key=lambda node: (not node.works, node.name))


def _has_nodes(db: Db) -> bool:
    return bool(db.query("SELECT to_regclass('node') IS NOT NULL", {})[0][0])


class Beat:
    """The thread of a server that works: says that it lives, and proves that it holds the pen."""

    def __init__(
        self,
        db: Callable[[], Db],
        node: str,
        version: str,
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
        self._open, self._node, self._version = db, node, version
        self._session, self._speak, self._now = session, speak, now
        self.wrong_clock: str | None = None
        """Why this server should take no calls at this moment: its clock."""
        self._proof = Proof()
        self._rests = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Beat once, then every second in a thread. Raises StoreError."""
        self._db = self._open()
        self._db.execute(_FORGET, {"patience": int(FORGET_SECONDS * SECOND)})
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(BEAT_SECONDS)

    def proven(self) -> bool:
        """Whether this server held the pen a moment ago, so that it may send."""
        holds = self._proof.holds(uptime())
        if holds is self._rests:
            self._rests = not holds
            if holds:
                log.warning("the database says again that this server holds the pen: sending continues")
            else:
                log.error(
                    "the database has not said for %.0f s that this server holds the pen: sending rests", PROOF_SECONDS
                )
        return holds

    def beat(self) -> None:
        """One beat. Raises StoreError."""
        asked, session = uptime(), self._session()
        if session is None:
            return
        self._compare(self._now() - beat(self._db, self._node, self._version, session))
        held = self._db.query(_HELD, {"pen": PEN})
        if (session,) in held:
            self._proof.found(asked, PROOF_SECONDS)
            self._reached(journal.position(self._db, "event"))
        elif held:
            self._proof.lost()

    def _compare(self, ahead_seconds: float) -> None:
        before, self.wrong_clock = self.wrong_clock, wrong_clock(ahead_seconds)
        if self.wrong_clock is not None and before is None:
            log.error("%s", self.wrong_clock)
        elif self.wrong_clock is None and before is not None:
            log.warning("this machine's clock agrees with the database's again")

    def _run(self) -> None:
        beats = 0
        while not self._stopping.wait(BEAT_SECONDS):
            beats += 1
            try:
                if beats % SPEAK_BEATS == 0:
                    self._speak()
                self.beat()
            except StoreError as wrong:
                log.warning("a beat failed: %s", wrong)
        self._db.close()


class Standby:
    """The looks of a server that stands by, all from one thread."""

    def __init__(self, db: Callable[[], Db], node: str, version: str) -> None:
        self._open, self._node, self._version = db, node, version
        self._db: Db | None = None
        self._beats_at = 0.0
        self._patience, self._line = Patience(), Line()

    def look(self) -> bool:
        """Whether the pen is free, and it is this node's turn to take it. Raises StoreError.

        Once a second: beat, then end who holds the pen and is frozen.
        """
        if self._db is None:
            self._db = self._open()
        db, now = self._db, uptime()
        if now >= self._beats_at:
            self._beats_at = now + BEAT_SECONDS
            self._beat(db)
        if not self._patience.may_try(uptime()) or not self._is_free(db):
            self._line.taken()
            return False
        return self._line.is_my_turn(uptime(), self._ahead(db))

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.close()

    def _beat(self, db: Db) -> None:
        if not _has_nodes(db):
            # Nobody has migrated the database, or an older version works there; its session ends by its timeouts.
            return
        beat(db, self._node, self._version, None)
        self._patience.beaten(uptime(), db.session, FROZEN_SECONDS)
        if not self._patience.may_end(FROZEN_SECONDS):
            return
        values = {"pen": PEN, "patience": int(FROZEN_SECONDS * SECOND), "id": self._node}
        for name, _ in db.query(_END_FROZEN, values | {"beaten": int(2 * BEAT_SECONDS * SECOND)}):
            log.warning("%s was not heard of for %.0f s: its session was ended", name, FROZEN_SECONDS)

    def _ahead(self, db: Db) -> int:
        if not _has_nodes(db):
            return 0
        waiting = [Peer(node, ago / SECOND) for node, ago in db.query(_WAITING, {})]
        return ahead(Peer(self._node, 0.0), waiting)

    def _is_free(self, db: Db) -> bool:
        if not db.query("SELECT pg_try_advisory_lock(:pen)", {"pen": PEN})[0][0]:
            return False
        db.query("SELECT pg_advisory_unlock(:pen)", {"pen": PEN})
        return True
