"""The rows in which nodes on one PostgreSQL database report that they live, and the locks that say what each may do.

A session that writes holds the pen (store/engines/pen.py): exclusively if its node works alone, shared with others if
it has joined them. One of the joined nodes holds the sender's lock as well. A node that loses the session cannot
commit, so the lock is the fence. Beats (store/beats/) decide who *should* hold it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tidings.model.moment import SECOND
from tidings.rules.nodes import beats
from tidings.rules.nodes.beats import Patience, Peer
from tidings.store.base import Db, StoreError

PEN = 0x7469_6469_6E67_73
"""The advisory lock that a writer holds as long as it is connected: alone, or shared with other joined nodes."""
SENDER = 0x7469_6469_6E67_7373
"""The advisory lock of the joined node that routes and sends. Its writer's session also holds the lock."""
OPENING = 0x7469_6469_6E67_736F
"""The advisory lock of the joined node that brings the database to the present schema."""
TURN = 0x7469_6469_6E67_7374
"""The advisory lock of the node that is about to become the sender."""
BEAT_SECONDS = beats.BEAT_SECONDS
LOOK_SECONDS = 0.2
"""The maximum time until a node notices that a lock is free."""
RESUME_SECONDS = 0.05
"""The maximum time that a sender with a new session, after it lost the old one, waits before it asks whether it may
send."""
PROOF_SECONDS = beats.PROOF_SECONDS
FROZEN_SECONDS = beats.FROZEN_SECONDS
SILENT_SECONDS = 5.0
"""How long sending may pause, if no beat has failed, before that is logged. Longer than the wait for a lock."""
LAST_COLUMN = "parts"
"""The column of the table `node` that a beat writes last."""
ADDRESS_BEATS = 5
"""The number of beats after which a node checks whether another one is registered at its address."""
SPEAK_BEATS = 3
"""The number of beats after which a beat makes the writer use its session, which ends if it is idle (pen.TIMEOUTS)."""
TURN_SECONDS = 5
"""How long a node that fell silent during its turn blocks the turns of others."""
FORGET_SECONDS = 86_400.0
CLOCK_SECONDS = 300
"""A machine accepts no calls if its clock differs from the database's by more than this."""
log = logging.getLogger("tidings.nodes")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

Role = Literal["works", "sends", "takes in", "stands by", "gone"]
"""What a node does: `works` alone; `sends` or `takes in` among joined nodes; `stands by` while another one works; or
nothing, because its session has ended (`gone`)."""
WORKING = ("works", "sends")

_LOCKS = """
SELECT l.pid, l.classid::bigint << 32 | l.objid::bigint, l.mode = 'ExclusiveLock' FROM pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) IN (:pen, :sender)
"""
_NOW = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"
_STARTED = "(EXTRACT(EPOCH FROM a.backend_start) * 1000000)::bigint"
_BEAT = f"""
INSERT INTO node (id, name, version, started, seen, session, session_started, address, role, draining, imports, parts)
SELECT :id, current_setting('application_name'), :version, {_NOW}, {_NOW}, :session::bigint,
    (SELECT {_STARTED} FROM pg_stat_activity AS a WHERE a.pid = :session::bigint), :address, :role, :draining, :imports,
    :parts
ON CONFLICT (id) DO UPDATE
SET seen = excluded.seen, session = excluded.session, session_started = excluded.session_started,
    address = excluded.address, role = excluded.role, draining = COALESCE(node.draining, excluded.draining),
    imports = excluded.imports, parts = excluded.parts
RETURNING seen, draining
"""  # noqa: S608 -- our own text
_END_FROZEN = f"""
SELECT a.application_name, pg_terminate_backend(a.pid)
FROM node AS n
JOIN pg_stat_activity AS a ON a.pid = n.session AND a.application_name = n.name AND {_STARTED} = n.session_started
WHERE a.pid = ANY (:pids) AND n.seen < {_NOW} - :patience
    AND EXISTS (SELECT 1 FROM node AS me WHERE me.id = :id AND me.seen > {_NOW} - :beaten)
"""  # noqa: S608 -- our own text
"""Name and start have to match too, so that another session that later got the same number is spared.

Every session is spared if the node that asks was itself frozen after its last beat, since commits may have been
hanging since then.
"""
_FORGET = f"""
DELETE FROM node AS n
WHERE n.seen < {_NOW} - :patience AND NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a WHERE a.pid = n.session)
"""  # noqa: S608 -- our own text
_SEEN = f"""
SELECT n.id, n.name, n.version, n.session, {_NOW} - n.seen, to_jsonb(n) ->> 'role', to_jsonb(n) ->> 'address',
    to_jsonb(n) ->> 'draining', (to_jsonb(n) ->> 'imports')::integer, (to_jsonb(n) ->> 'parts')::integer
FROM node AS n
"""  # noqa: S608 -- our own text
"""The rows are read as JSON, because an older schema has fewer columns."""


class Locks(msgspec.Struct, frozen=True):
    """Which sessions hold what, at one moment."""

    pens: dict[int, bool]
    """By the number of each session that holds the pen, whether it holds the pen alone."""
    sender: int | None


class Own(msgspec.Struct, kw_only=True):
    """What a node reports about itself."""

    id: str
    version: str
    address: str | None = None
    """Where other nodes reach it."""
    joined: bool = False
    sends: bool = True
    """Whether this node is the one that routes and sends."""
    draining: int | None = None
    """In how many seconds the node exits, if it was asked to."""
    imports: int = 0
    """The number of files of items that are being imported."""
    parts: int | None = None
    """For how many parts of the endpoints it sends (rules/nodes/helping.py)."""

    @property
    def role(self) -> Role:
        """What it does while it has a session that writes."""
        return ("sends" if self.sends else "takes in") if self.joined else "works"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A node that was heard from lately."""

    id: str
    name: str
    version: str
    role: Role
    address: str | None
    draining: bool
    """Whether the node was asked to exit, so that it gets no new callers."""
    seconds: float
    """How many seconds ago the node was last heard from."""
    imports: int = 0
    parts: int | None = None
    """For how many parts of the endpoints it sends; None if it has not said so."""

    @property
    def works(self) -> bool:
        """Whether it routes and sends, alone or for others."""
        return self.role in WORKING

    @property
    def peer(self) -> Peer:
        """Equal for nodes that wait for the same place."""
        return Peer(self.id, self.seconds, self.draining)

    @property
    def may_follow(self) -> bool:
        """Whether it works, or would take over from a node that has ended."""
        return self.role != "gone" and not self.draining and self.seconds < PROOF_SECONDS


class Sender(NamedTuple):
    """The node that sends, and where it is."""

    node: str
    address: str
    """Such as `http://10.0.0.2:8000`."""
    heard_seconds: float
    """How many seconds ago the node was last heard from."""


def uptime() -> float:
    """Seconds on a clock that nobody sets, and that keeps running while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


def beat(db: Db, own: Own, session: int | None) -> float:
    """Record that this node lives. `session` is its writer's; None if it stands by. Raises StoreError if not committed.

    Returns the database's time in seconds since the epoch. Notes in `own` if somebody has asked it to exit.
    """
    role = "stands by" if session is None else own.role
    values = {"id": own.id, "version": own.version, "session": session, "address": own.address, "role": role}
    seen, own.draining = db.query(
        _BEAT, {**values, "draining": own.draining, "imports": own.imports, "parts": own.parts}
    )[0]
    return float(seen) / SECOND


def held(db: Db) -> Locks:
    """Which sessions hold the pen, and which the sender's lock."""
    rows = db.query(_LOCKS, {"pen": PEN, "sender": SENDER})
    pens = {pid: alone for pid, lock, alone in rows if lock == PEN}
    return Locks(pens, next((pid for pid, lock, _ in rows if lock == SENDER), None))


def end_frozen(db: Db, me: str, patience: Patience, locks: Locks) -> None:
    """After this node's beat, if it may: end sessions that hold the pen and were not heard from for FROZEN_SECONDS.

    Raises StoreError.
    """
    patience.beaten(uptime(), db.session, FROZEN_SECONDS)
    if not patience.may_end(FROZEN_SECONDS):
        return
    pids = f"{{{','.join(map(str, locks.pens))}}}"
    values = {"pids": pids, "patience": int(FROZEN_SECONDS * SECOND), "id": me}
    for name, _ in db.query(_END_FROZEN, values | {"beaten": int(2 * BEAT_SECONDS * SECOND)}):
        log.warning("%s was not heard from for %.0f s: its session was ended", name, FROZEN_SECONDS)


def forget_old(db: Db) -> None:
    """Remove nodes that ended more than a day ago."""
    db.execute(_FORGET, {"patience": int(FORGET_SECONDS * SECOND)})


def forget(db: Db, node: str) -> None:
    """Remove a node that has ended."""
    db.execute("DELETE FROM node WHERE id = :id", {"id": node})


def wrong_clock(ahead_seconds: float) -> str | None:
    """Why a machine whose clock is ahead of the database's (below zero: behind) takes no calls; None if it takes
    them."""
    if abs(ahead_seconds) <= CLOCK_SECONDS:
        return None
    off = f"{abs(ahead_seconds) / 60:.0f} minutes {'ahead of' if ahead_seconds > 0 else 'behind'}"
    return (
        f"this machine's clock is {off} the database's: times of events, retries and "
        "signatures would be wrong. Set both clocks, for example with NTP"
    )


def seen(db: Db) -> list[Seen]:
    """The nodes that were heard from within FROZEN_SECONDS or hold the pen: those that work first, then by name.

    On SQLite, none.
    """
    if db.dialect != "postgres" or not has_nodes(db):
        return []
    locks = held(db)
    found = [
        Seen(
            id=ident,
            name=name,
            version=version,
            role=_role(session, said, locks),
            address=address,
            draining=draining is not None,
            seconds=ago / SECOND,
            imports=imports or 0,
            parts=parts if ago < beats.HEARD_SECONDS * SECOND and session in locks.pens else None,
        )
        for ident, name, version, session, ago, said, address, draining, imports, parts in db.query(_SEEN, {})
        if session in locks.pens or ago < FROZEN_SECONDS * SECOND
    ]
    return sorted(found, key=lambda node: (not node.works, node.role == "gone", node.name))


def sender(db: Db) -> Sender | None:
    """The joined node that holds the sender's lock, if it has said where others reach it."""
    found = next((each for each in seen(db) if each.role == "sends"), None)
    return None if found is None or found.address is None else Sender(found.id, found.address, found.seconds)


def helpers_of(db: Db) -> list[Seen]:
    """The joined nodes that could send requests for the sender."""
    could = (each for each in seen(db) if each.role == "takes in" and each.address is not None and not each.draining)
    return [each for each in could if each.seconds < beats.HEARD_SECONDS]


def imports_elsewhere(db: Db, own: str) -> int:
    """How many files of items are being imported at nodes other than the one with this id."""
    return sum(each.imports for each in seen(db) if each.id != own and each.role in ("sends", "takes in"))


def _role(session: int | None, said: str | None, locks: Locks) -> Role:
    """A node's role by its locks; without any, the role that it reported last.

    A node of an older version reports none.
    """
    if session is not None and session == locks.sender:
        return "sends"
    if session is None:
        return "stands by"
    if session not in locks.pens:
        return "gone"
    return "works" if locks.pens[session] and said not in ("sends", "takes in") else "takes in"


def refuse_same_address(db: Db, own: Own) -> None:
    """Raise StoreError if another server is registered at this one's address.

    A server that has just ended stays in the table for a moment, so only one that still lives after HEARD_SECONDS
    counts.
    """
    patience_until = uptime() + beats.HEARD_SECONDS + BEAT_SECONDS
    while (name := at_same_address(db, own)) is not None:
        if uptime() > patience_until:
            raise StoreError(
                f"{name} is registered at {own.address}, as is this server, so they would not reach one another: "
                "set node_url to where the other servers reach this one"
            )
        time.sleep(LOOK_SECONDS)


def machine(name: str) -> str:
    """The machine that a node runs on, from the node's name."""
    return name.rpartition(":")[0]


def at_same_address(db: Db, own: Own) -> str | None:
    """The name and id of another joined node that was just heard from and is registered at this one's address."""
    for each in seen(db):
        is_other = each.id != own.id and each.role in ("sends", "takes in") and each.seconds < beats.HEARD_SECONDS
        if is_other and _is_same_place(each.address, own.address):
            return f"{each.name} (its id is {each.id})"
    return None


def _is_same_place(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return False
    ours, theirs = urlsplit(one), urlsplit(other)
    return (ours.scheme, ours.netloc.lower()) == (theirs.scheme, theirs.netloc.lower())


def drain(db: Db, which: str, after_seconds: int, *, force: bool = False) -> Seen:
    """Ask a node to exit, by its name, address or id. Raises StoreError, also if no other node would take over.

    `force`: do it even so.
    """
    found = [each for each in _there(db) if which in (each.name, each.address, each.id)]
    if not found:
        raise _unknown(db, which)
    if len(found) > 1:
        by = ", ".join(f"{each.name} {each.id}" for each in found)
        raise StoreError(f"{len(found)} servers are called {which}; give the id of one: {by}")
    _drain(db, found, after_seconds, force=force)
    return found[0]


def drain_all(db: Db, ids: Collection[str], after_seconds: int, *, force: bool = False) -> list[Seen]:
    """Ask the nodes with these ids to exit, at the same time.

    Raises StoreError, also if no other node would take over.
    """
    found = [each for each in _there(db) if each.id in ids]
    if not found:
        raise _unknown(db, ", ".join(ids))
    _drain(db, found, after_seconds, force=force)
    return found


def _there(db: Db) -> list[Seen]:
    if not has_nodes(db, "draining"):
        raise StoreError("no server of this version has used the database yet")
    return [each for each in seen(db) if each.role != "gone"]


def _unknown(db: Db, which: str) -> StoreError:
    known = ", ".join(sorted(each.name for each in _there(db))) or "none"
    return StoreError(f"no server that was heard from lately has the name, address or id {which!r}; there are: {known}")


def _drain(db: Db, found: list[Seen], after_seconds: int, *, force: bool) -> None:
    ids = {each.id for each in found}
    if not force and not any(each.may_follow for each in _there(db) if each.id not in ids):
        who = f"{found[0].name} is the last server that works" if len(found) == 1 else "no other server works"
        raise StoreError(f"{who} on this database: nobody would take over. Start another one first, or add --force")
    values = {"after": after_seconds, "ids": f"{{{','.join(sorted(ids))}}}"}
    db.execute("UPDATE node SET draining = :after WHERE id = ANY (:ids)", values)


def has_nodes(db: Db, column: str | None = None) -> bool:
    """Whether the database has the table of nodes, with this column; if not, an older version may work there."""
    if column is None:
        return bool(db.query("SELECT to_regclass('node') IS NOT NULL", {})[0][0])
    asked = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('node') AND attname = :column"
    return bool(db.query(asked, {"column": column}))
