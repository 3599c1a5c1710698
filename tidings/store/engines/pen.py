"""The pen: the lock that lets one server write to a PostgreSQL database, and what to check before taking it.

The writer's own session holds it, so a server that has lost the session cannot commit. A server that takes it again
may find that another one wrote in the meantime: what it has in memory is then out of date.

Joined nodes share the pen, so that they and a server that works alone refuse one another. One of them also holds the
sender's lock, in the same session; the above then applies to that lock (docs/decisions/0073).
"""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import UTC, datetime
from typing import Any, LiteralString, NoReturn

import msgspec
import psycopg

from tidings.model.moment import SECOND
from tidings.rules.nodes.beats import PROOF_SECONDS
from tidings.store.base import LOCK_SECONDS, Db, Row, StoreBusy, StoreError, Superseded, Taken
from tidings.store.engines.nodes import OPENING, PEN, SENDER, wrong_clock
from tidings.store.engines.session import translated, with_defaults

log = logging.getLogger("tidings.postgres")

PEN_SECONDS = 3
OPENING_SECONDS = 600
"""The maximum time that a joined node waits for another node to change the schema."""
WRITER = "writer"
"""The name of the stored value that identifies the node that last took the pen."""
ON = "writer_on"
"""The name of the stored value with the database's timeline at that time."""

TIMEOUTS = {
    "idle_in_transaction_session_timeout": 15,
    "idle_session_timeout": 15,
    "client_connection_check_interval": 5,
    "lock_timeout": LOCK_SECONDS,
}
"""Session timeouts in seconds. A frozen server loses its session, and with it the pen; a running server uses the
session every 3 s. A session that holds a lock too long must not stop a whole group (store/writing/contention.py)."""
_SAFE = {
    "fsync": {"on"},
    "full_page_writes": {"on"},
    "synchronous_commit": {"on", "local", "remote_write", "remote_apply"},
}


Session = tuple[int, datetime]
"""A session of the database: its number, which later sessions may reuse, and when it began."""


class Holder(msgspec.Struct):
    """What a server knows about itself as a writer."""

    node: str
    joined: bool = False
    """Whether this server shares the pen with other joined nodes."""
    wants_to_send: bool = True
    """Whether this node becomes the sender if there is none when its first session begins."""
    sends: bool | None = None
    """Whether this node is the sender; None if it has not had a session yet. A server that works alone does not ask."""
    claimed: bool = False
    """Whether it is stored as the last writer or, among joined nodes, as the last sender."""
    reached: int = 0
    """The number of the last event that is known to be stored."""
    superseded: Superseded | None = None
    """The reason why it must never write again, if there is one."""
    begun: bool = False
    """Whether the checks that a server makes once, before its first write, were made."""
    timeline: str | None = None
    """The identity of the PostgreSQL server and of its history; None if this user may not read it."""


def begin(conn: psycopg.Connection[Row], url: str, holder: Holder) -> None:
    """Make the checks before the pen is first taken. Raises StoreBusy if nobody should write to this database."""
    if not holder.begun:
        refuse_wrong_clock(conn)
        refuse_pooler(conn, url)
        # Some providers of PostgreSQL as a service do not reveal this.
        kept = (
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedFunction,
            psycopg.errors.NotSupportedError,
        )
        with contextlib.suppress(*kept):
            holder.timeline = str(_ask(conn, _TIMELINE, []))
        holder.begun = True


def refuse_unsafe(conn: psycopg.Connection[Row], *, several_hosts: bool = False, joined: bool = False) -> None:
    """Close the connection and raise StoreBusy if the database could lose what it has acknowledged.

    Raises StoreError if it does not keep texts as UTF-8.
    """
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        conn.close()
        raise StoreError(
            f"the PostgreSQL database has the encoding {encoding}, but must have UTF8. Create another: "
            "createdb --template=template0 --encoding=UTF8 NAME"
        )
    found = {name: _show(conn, name) for name in _SAFE}
    wrong = [f"{name}={value}" for name, value in found.items() if value not in _SAFE[name]]
    replicas = _show(conn, "synchronous_standby_names")
    if found["synchronous_commit"] == "local" and (replicas or several_hosts or joined):
        wrong.append("synchronous_commit=local, which does not wait for the replica")
    if wrong:
        conn.close()
        raise StoreBusy(
            f"PostgreSQL runs with {', '.join(wrong)}: acknowledged events could be lost. "
            "Set fsync=on, full_page_writes=on and synchronous_commit=on"
        )
    if several_hosts and not replicas:
        log.warning(
            "the database has several hosts, but its synchronous_standby_names is empty: a failover can lose "
            "acknowledged events"
        )


def refuse_wrong_clock(conn: psycopg.Connection[Row]) -> None:
    """Close the connection and raise StoreBusy if this machine's clock is far from the database's."""
    row = conn.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    if (wrong := wrong_clock(time.time() - row[0])) is not None:
        conn.close()
        raise StoreBusy(wrong)


def refuse_pooler(ours: psycopg.Connection[Row], url: str) -> None:
    """Raise StoreBusy if a pooler hands a session to another client between two statements.

    `ours`: a connection that commits each statement, and has nothing of its own.
    """
    before = ours.execute(_SESSION).fetchone()
    with psycopg.connect(with_defaults(url)) as other:
        shared = other.execute(_SESSION).fetchone() == before
        if not shared:
            shared = any(ours.execute(_SESSION).fetchone() != before for _ in range(4))
    if shared:
        raise StoreBusy(
            "the database is behind a connection pooler that shares sessions among clients, so nothing would keep a "
            "second server from writing. Connect to PostgreSQL itself, or use PgBouncer with pool_mode=session"
        )


def take(conn: psycopg.Connection[Row], holder: Holder, lost: Session | None = None) -> Session:
    """Make this connection the writer's. Closes it and raises Taken or Superseded if it must not write.

    `lost`: the session that it replaces. After a network failure, it may still exist and hold the pen.
    """
    if holder.superseded is not None:
        conn.close()
        raise holder.superseded
    if lost is not None:
        conn.execute(_END_LOST, list(lost))
    if holder.joined:
        _join(conn, holder)
    elif not _locked(conn, _TRY, PEN):
        _refuse_second(conn, holder)
    if holder.claimed and (last := _ask(conn, "SELECT value FROM store WHERE name = %s", [WRITER])) != holder.node:
        conn.close()
        what = "sent from" if holder.joined else "written to"
        holder.superseded = Superseded(
            f"another Tidings server ({last}) has {what} this database since this one lost its connection; "
            "start this one again"
        )
        raise holder.superseded
    if (holder.claimed or holder.reached) and (head := _ask(conn, _HEAD, [])) < holder.reached:
        conn.close()
        holder.superseded = Superseded(
            "the database went back in time, as after a restore to an earlier moment: it lacks events that this server "
            f"knows to be stored ({holder.reached - head}); start this server again"
        )
        raise holder.superseded
    for name, seconds in TIMEOUTS.items():
        # Older servers, and systems that do not support it, do without.
        with contextlib.suppress(psycopg.Error):
            conn.execute(f"SET {name} = '{seconds}s'".encode())
    row = conn.execute(_SESSION_BEGAN).fetchone()
    assert row is not None
    return row[0], row[1]


def _join(conn: psycopg.Connection[Row], holder: Holder) -> None:
    """Share the pen with other joined nodes; become the sender, at first if there is none, later if it was."""
    if not _locked(conn, _TRY_SHARED, PEN):
        found = _writer(conn)
        conn.close()
        raise Taken(
            f"this database is in use by a server that was started without --join{_named(found)}; "
            "stop that one and start it with --join too, or start this one with --standby instead of --join"
        )
    if holder.sends is None:
        holder.sends = holder.wants_to_send and _first(conn, holder)
    elif holder.sends and not _locked(conn, _TRY, SENDER):
        found = _writer(conn, SENDER)
        conn.close()
        holder.superseded = Superseded(f"another node is the sender now{_named(found)}; this one restarts")
        raise holder.superseded


def _first(conn: psycopg.Connection[Row], holder: Holder) -> bool:
    """Whether its first session makes it the sender: there must be no sender, nor one that may still send.

    After a failover all locks are free, even if the old sender is cut off and sends until its proof ends.
    """
    if holder.timeline is not None and bool(_ask(conn, _HAS_NODES, [])):
        patience = int(PROOF_SECONDS * SECOND)
        while _ask(conn, _SENT_BEFORE, [ON, holder.node, patience]) and not _ask(conn, _HOLDER, [SENDER]):
            time.sleep(0.1)
    return bool(_ask(conn, _TRY, [SENDER]))


def claim(db: Db, holder: Holder) -> None:
    """Store which node sends or works alone, and on which timeline of the database: a failover begins a new one."""
    db.run("store_fact_put", name=WRITER, value=holder.node)
    if holder.timeline is not None:
        db.run("store_fact_put", name=ON, value=str(db.query(f"SELECT {_LINE}", {})[0][0]))
    holder.claimed = True


def _locked(conn: psycopg.Connection[Row], attempt: LiteralString, lock: int) -> bool:
    """Whether it got the lock. PostgreSQL takes a moment to notice that the last holder has gone."""
    patience_until = time.monotonic() + PEN_SECONDS
    while not _ask(conn, attempt, [lock]):
        if time.monotonic() > patience_until:
            return False
        time.sleep(0.02)
    return True


def wait_to_open(conn: psycopg.Connection[Row]) -> None:
    """Wait until no other joined node that starts is changing the schema. Raises Taken after OPENING_SECONDS."""
    patience_until = time.monotonic() + OPENING_SECONDS
    while not _ask(conn, _TRY, [OPENING]):
        if time.monotonic() > patience_until:
            raise Taken("another node has been changing the schema of this database for ten minutes")
        time.sleep(0.02)


def has_others(conn: psycopg.Connection[Row]) -> bool:
    """Whether other joined nodes work on the database."""
    return any(row[0] != conn.info.backend_pid for row in conn.execute(_HOLDER, [PEN]).fetchall())


_TRY: LiteralString = "SELECT pg_try_advisory_lock(%s)"
_TRY_SHARED: LiteralString = "SELECT pg_try_advisory_lock_shared(%s)"
_LINE: LiteralString = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_TIMELINE: LiteralString = f"SELECT system_identifier || '/' || {_LINE} FROM pg_control_system()"  # noqa: S608
_HAS_NODES: LiteralString = "SELECT to_regclass('node') IS NOT NULL AND to_regclass('store') IS NOT NULL"
_SENT_BEFORE: LiteralString = f"""
SELECT 1 FROM node AS n JOIN store AS s ON s.name = %s AND s.value <> {_LINE}
WHERE to_jsonb(n) ->> 'role' = 'sends' AND n.id <> %s
    AND n.seen > EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 - %s
"""  # noqa: S608 -- our own text
"""Whether the last sender was heard from a moment ago on a different timeline, that is, before a failover."""
_HEAD: LiteralString = "SELECT position FROM cursor WHERE name = 'event' AND journal = 0"
_SESSION: LiteralString = "SELECT pg_backend_pid()"
_SESSION_BEGAN: LiteralString = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END_LOST: LiteralString = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid = %s AND backend_start = %s AND usename = current_user"
)


def _refuse_second(conn: psycopg.Connection[Row], holder: Holder) -> NoReturn:
    found = _writer(conn)
    conn.close()
    end = f"pg_terminate_backend({found[0]})" if found else "pg_terminate_backend(...)"
    if holder.claimed:
        holder.superseded = Superseded(
            f"another Tidings server has taken over this database{_named(found)}; this one exits"
        )
        raise holder.superseded
    if found is not None and found[2]:
        raise Taken(
            f"this database is in use by nodes that were started with --join{_named(found)}; "
            "start this one with --join too, or stop them first"
        )
    raise Taken(
        f"another Tidings server is writing to this database{_named(found)}; stop it first, or wait until it has "
        f"stopped. If it is frozen or its machine is gone, its session ends in {TIMEOUTS['idle_session_timeout']} "
        f"seconds, or at once with: SELECT {end}. To have this server wait and take over, start it with --standby"
    )


def _named(found: tuple[int, str, bool] | None) -> str:
    return f" ({found[1]})" if found else ""


def _ask(conn: psycopg.Connection[Row], sql: LiteralString, values: list[Any]) -> Any:
    row = conn.execute(sql, values).fetchone()
    return None if row is None else row[0]


def _show(conn: psycopg.Connection[Row], name: str) -> str:
    row = conn.execute(f"SHOW {name}".encode()).fetchone()
    return "" if row is None else str(row[0])


_HOLDER = """
SELECT a.pid, a.application_name, COALESCE(host(a.client_addr), 'a local socket'), a.backend_start, a.state_change,
    l.mode = 'ShareLock'
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) = %s
"""


def _writer(conn: psycopg.Connection[Row], lock: int = PEN) -> tuple[int, str, bool] | None:
    """Who holds a lock: the session's number; in words its origin, start and last beat; whether it is joined."""
    row = conn.execute(_HOLDER, [lock]).fetchone()
    if row is None:
        return None
    pid, name, host, since, heard, is_joined = row
    said = f"session {pid} of {name or 'an unnamed program'} from {host}, since {_moment(since)}"
    return pid, f"{said}, last heard {_moment(heard)}" if heard is not None else said, is_joined


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup needs to know about a database."""

    version: str
    bytes: int
    schema: int | None
    """The number of the last migration; None if the database does not contain anything of Tidings."""
    secret_mark: str | None
    archives: bool
    """Whether the database archives its WAL, so that it can be restored to any point in time."""
    writer: str | None
    """The server that writes to the database, according to `pg_stat_activity`; None if there is none."""


def describe(url: str) -> Described:
    """Inspect a database without the writer's lock. Raises StoreError."""
    with translated(), psycopg.connect(with_defaults(url), autocommit=True) as conn:

        def one(sql: LiteralString) -> Any:
            row = conn.execute(sql).fetchone()
            return None if row is None else row[0]

        there = one("SELECT to_regclass('migration')") is not None
        schema = one("SELECT MAX(number) FROM migration") if there else None
        mark = None
        if one("SELECT to_regclass('store')") is not None:
            mark = one("SELECT value FROM store WHERE name = 'secret_mark'")
        return Described(
            version=str(one("SHOW server_version")).partition(" ")[0],
            bytes=one("SELECT pg_database_size(current_database())"),
            schema=schema,
            secret_mark=mark,
            archives=one("SHOW archive_mode") != "off",
            writer=None if (found := _writer(conn)) is None else found[1],
        )


class Durability(msgspec.Struct, frozen=True, kw_only=True):
    """How a PostgreSQL database survives the loss of its disk."""

    standby_names: str
    """The setting synchronous_standby_names."""
    synchronous: tuple[str, ...]
    """The replicas for which commits wait now."""
    archives: bool
    archived_at: str | None
    """When WAL was last archived, if it ever was."""
    archive_failing: str | None
    """Since when archiving has been failing, if it has."""


def durability(url: str) -> Durability:
    """Inspect a database's replicas and archive. Raises StoreError."""
    with translated(), psycopg.connect(with_defaults(url), autocommit=True) as conn:
        names = conn.execute(_SYNCHRONOUS).fetchall()
        row = conn.execute(_ARCHIVED).fetchone() or (None, None)
        return Durability(
            standby_names=_show(conn, "synchronous_standby_names"),
            synchronous=tuple(str(name) for (name,) in names),
            archives=_show(conn, "archive_mode") != "off",
            archived_at=None if row[0] is None else _moment(row[0]),
            archive_failing=None if row[1] is None else _moment(row[1]),
        )


_SYNCHRONOUS: LiteralString = (
    "SELECT application_name FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') ORDER BY 1"
)
_ARCHIVED: LiteralString = (
    "SELECT last_archived_time, CASE WHEN last_failed_time > COALESCE(last_archived_time, '-infinity') "
    "THEN last_failed_time END FROM pg_stat_archiver"
)
