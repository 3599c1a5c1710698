"""How joined nodes learn of one another's writes: each reads the positions, and notifications say when to read.

The truth is in the database: the position of the events, and the catalogue's version. Every node reads both every
LOOK_SECONDS, even if notifications are lost, so it is never further behind than that. Usually it reads sooner: a node
that has committed something new says so with NOTIFY, and the others wait for that on their sockets. Only nodes that
need new events at once listen for those: the sender, and nodes with streams or long polls.

Each notification wakes a thread and a session at both ends. So a node that commits events all the time notifies the
others only twice a second, and says that its events *flow*: nodes that want them then read every SOON_SECONDS. The
sender does that in each of its own groups anyway.

PostgreSQL lets only one transaction that notifies commit at a time, in the whole cluster. So the writer's own
transactions never notify. It happens after a COMMIT of events or of the catalogue, on a connection that waits for no
disk, at most once every TELL_SECONDS, in one statement that reads the positions and notifies of those of which nobody
has notified yet. So a node that has only heard of something does not notify again: there is no echo.

Each joined node has one thread for this, with one connection on which it listens, notifies and reads. If a notification
is lost with the connection, the next read makes up for it. If a node works alone, nothing of this runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable

import psycopg
from psycopg import pq

from tidings.model.digits import is_digits
from tidings.store.base import Row, StoreError
from tidings.store.engines.session import translated, with_defaults
from tidings.store.engines.statements import statements

LOOK_SECONDS = 0.25
"""The maximum time between two reads of the positions, and so until a node knows what the others have written."""
TELL_SECONDS = 0.02
"""The minimum time between two notifications of a node. If commits are more frequent than that, the sender has enough
groups of its own, in which it also routes the events of others."""
FLOW_SECONDS, FLOW_LEAST = 0.5, 10
"""If a node commits events at least FLOW_LEAST times a second, its events flow: it then notifies the others only every
FLOW_SECONDS."""
SOON_SECONDS, SOON_UNTIL_SECONDS = 0.02, 1.0
"""How often a node looks for events while they flow at another node, and for how long after that node has said so."""
FLOWS = " flows"
"""The suffix of a notification, after the position: events flow, so look for more soon."""
LISTEN_SECONDS = 5.0
"""How long a node listens for events after a caller last wanted them, because callers that poll come back."""
AGAIN_SECONDS = 0.25
"""How long after the connection broke the next one is opened."""
EVENT, CATALOG = "event", "catalog"
_NAMES = (EVENT, CATALOG)
CHANNEL = "tidings_"
"""The prefix of a channel's name, before the name of the position that has moved."""

log = logging.getLogger("tidings.nodes")


class Wakes:
    """The thread. `events` and `catalog` are called from it with the new position or version, if any node moved it."""

    def __init__(
        self,
        url: str,
        events: Callable[[int], None],
        catalog: Callable[[int], None],
        wants: Callable[[], bool] = lambda: True,
    ) -> None:
        """`wants`: whether this node wants to hear of events at once."""
        self._url, self._wants = url, wants
        self._calls = {EVENT: events, CATALOG: catalog}
        self._known = dict.fromkeys(_NAMES, -1)
        self._said = dict(self._known)
        """The positions of which this node or another one has notified. Positions that were only read may still have to
        be notified."""
        self._has_news = self._has_changes = self._flows = False
        """Whether this node has committed something since its last notification; whether that included the catalogue;
        and whether its events flow."""
        self._commits = 0
        """How many since `_counted_at`."""
        self._told_at = self._counted_at = self._look_at = self._listens_until = self._soon_until = 0.0
        self._read_at = 0.0
        """When this node last read the position of the events, here or in one of its groups."""
        self._schema, self._session = "", 0
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)
        os.set_blocking(self._writes, False)
        self._pipe, self._is_open = threading.Lock(), True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wakes", daemon=True)
        self._wrong = False
        self.heard = self.told = 0
        """The number of notifications that arrived from other nodes, and the number that this node has sent."""

    def start(self) -> None:
        """Start the thread; it looks at once."""
        self._thread.start()

    def committed(self, *, is_catalog: bool) -> None:
        """This node has committed something: also of the catalogue, or only events. From the writer's thread."""
        self._commits += 1
        if not self._has_news or (is_catalog and not self._has_changes):
            self._has_news, self._has_changes = True, is_catalog
            self._poke()

    def read(self) -> None:
        """A group of this node has read what events there are; from the writer's thread."""
        self._read_at = time.monotonic()

    def wanted(self) -> None:
        """Somebody has begun to wait for events; from any thread."""
        if not self._listens_until:
            self._poke()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._poke()
        if self._thread.is_alive():
            self._thread.join(2.0)
        if not self._thread.is_alive():
            with self._pipe:
                if self._is_open:
                    # The writer may still commit.
                    self._is_open = False
                    os.close(self._reads)
                    os.close(self._writes)

    def _poke(self) -> None:
        # If the pipe is full, it has more than enough reasons to wake up already.
        with self._pipe, contextlib.suppress(BlockingIOError):
            if self._is_open:
                os.write(self._writes, b".")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with translated(), psycopg.connect(with_defaults(self._url), autocommit=True) as conn:
                    self._follow(conn)
            except StoreError as wrong:
                if not self._wrong:
                    log.warning("other servers' news cannot be followed: %s", wrong)
                self._wrong = True
                self._stopping.wait(AGAIN_SECONDS)

    def _follow(self, conn: psycopg.Connection[Row]) -> None:
        """Listen, tell and look until the thread is stopped or the connection breaks."""
        [(schema,)] = conn.execute("SELECT current_schema()").fetchall()
        self._schema, self._session = str(schema), conn.info.backend_pid
        conn.add_notify_handler(lambda notice: self._hear(notice.payload, notice.pid))
        conn.execute("SET synchronous_commit = off")
        conn.execute(f"LISTEN {CHANNEL}{CATALOG}")
        self._listens_until = 0.0
        # What was notified before is found by looking; and a database that was restored may have gone back.
        self._known = dict.fromkeys(_NAMES, -1)
        self._look(conn)
        self._said = dict(self._known)
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= self._next_look(now):
                self._look(conn)
            self._listen(conn, now)
            tell_at = self._next_tell() if self._has_news else self._look_at
            if self._has_news and now >= tell_at:
                self._has_news = self._has_changes = False
                self._told_at = now
                self._tell(conn)
                continue
            self._wait(conn.pgconn, min(self._next_look(now), tell_at) - now)

    def _next_look(self, now: float) -> float:
        if self._listens_until and now < self._soon_until:
            return min(self._look_at, self._read_at + SOON_SECONDS)
        return self._look_at

    def _next_tell(self) -> float:
        return self._told_at + (FLOW_SECONDS if self._flows and not self._has_changes else TELL_SECONDS)

    def _listen(self, conn: psycopg.Connection[Row], now: float) -> None:
        """Begin to listen for events, or stop."""
        if self._wants():
            begins, self._listens_until = not self._listens_until, now + LISTEN_SECONDS
            if begins:
                conn.execute(f"LISTEN {CHANNEL}{EVENT}")
                # Others may have said before that they flow.
                self._soon_until = now + SOON_UNTIL_SECONDS
                self._look(conn)
        elif 0.0 < self._listens_until < now:
            self._listens_until = 0.0
            conn.execute(f"UNLISTEN {CHANNEL}{EVENT}")

    def _look(self, conn: psycopg.Connection[Row]) -> None:
        self._read_at = time.monotonic()
        self._look_at = self._read_at + LOOK_SECONDS
        self._take(conn.execute(statements("postgres")["wakes_look"]).fetchall())
        if self._wrong:
            self._wrong = False
            log.warning("other servers' news are followed again")

    def _tell(self, conn: psycopg.Connection[Row]) -> None:
        if (took := self._told_at - self._counted_at) >= FLOW_SECONDS:
            self._flows = self._commits >= took * FLOW_LEAST
            self._commits, self._counted_at = 0, self._told_at
        params = {**self._said, "more": FLOWS if self._flows else ""}
        rows = conn.execute(statements("postgres")["wakes_tell"], params).fetchall()
        self.told += len(rows)
        self._said |= {name: position for name, position, _ in rows}
        self._take([row[:2] for row in rows])

    def _wait(self, conn: pq.abc.PGconn, seconds: float) -> None:
        """Wait until a notification arrives, this node commits, or the time is over."""
        ready = select.select([conn.socket, self._reads], [], [], max(0.0, seconds))[0]
        if self._reads in ready:
            os.read(self._reads, 4_096)
        if conn.socket in ready:
            conn.consume_input()
            while (notice := conn.notifies()) is not None:
                self._hear(notice.extra.decode(), notice.be_pid)

    def _hear(self, text: str, sender: int) -> None:
        where, _, position = text.removesuffix(FLOWS).rpartition(" ")
        schema, _, said = where.rpartition(" ")
        if sender != self._session and schema == self._schema and said in self._calls and is_digits(position):
            self.heard += 1
            self._said[said] = max(self._said[said], int(position))
            if text.endswith(FLOWS):
                self._soon_until = time.monotonic() + SOON_UNTIL_SECONDS
            self._take([(said, int(position))])

    def _take(self, rows: list[Row]) -> None:
        """Remember what has moved, and call those who want to know. A look may be older than what was heard."""
        for name, position in rows:
            if position > self._known[name]:
                self._known[name] = position
                self._calls[name](position)
