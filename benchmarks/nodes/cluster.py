"""Some joined nodes on one database, seen from outside: started, killed, frozen, and which of them sends."""

from __future__ import annotations

import os
import random
import signal
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from benchmarks.machine_use import Spent, spent
from benchmarks.nodes.way import Way
from tidings.store.engines.nodes import SENDER
from tidings.testing import ProcessServer, until

READY_SECONDS = 300.0
"""Several clusters may start at once."""
_SENDER = """
SELECT a.application_name FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) = %s
"""
_WRITER = """
SELECT a.state, a.wait_event, a.query FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.application_name LIKE %s
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Cluster:
    """Use it in a `with`. `url`: the database of all, for them and for looking into it from here.

    `by_ways`: each node has a way to it by which it can be stopped in the middle of what it sends. `settings`: more
    settings of each.
    """

    def __init__(self, folder: Path, url: str, count: int, *, by_ways: bool = False, **settings: Any) -> None:
        key = b64encode(random.randbytes(32)).decode()
        self.url = url
        self.ways = [Way(url) for _ in range(count)] if by_ways else []
        urls = [way.url for way in self.ways] or [url] * count
        self.nodes = [
            ProcessServer(folder / f"node{number}", database=each, secret_key=key, join=True, **settings)
            for number, each in enumerate(urls)
        ]

    def __enter__(self) -> Self:
        try:
            self.nodes[0].launch()
            self._until_ready(self.nodes[0])
            for node in self.nodes[1:]:
                node.launch()
            self.until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """End all at once."""
        for node in self.nodes:
            if node.process is not None:
                node.process.send_signal(signal.SIGCONT)
                node.kill()
        for way in self.ways:
            way.close()

    def until_ready(self) -> None:
        """Wait until each node takes calls."""
        for node in self.nodes:
            self._until_ready(node)

    def _until_ready(self, node: ProcessServer) -> None:
        until(lambda: is_ready(node), f"{node.url} is ready:\n{node.log[-1500:]}", READY_SECONDS)

    def sender(self) -> int | None:
        """The number of the node that sends; None if nobody does, or the database cannot be asked."""
        try:
            rows = self.ask(_SENDER, [SENDER])
        except psycopg.Error:
            return None
        for number, node in enumerate(self.nodes):
            if rows and node.process is not None and str(rows[0][0]).endswith(f":{node.process.pid}"):
                return number
        return None

    def until_sender(self, other_than: int | None = None) -> int:
        """The number of the node that sends, as soon as one does."""

        def found() -> tuple[int] | None:
            number = self.sender()
            return None if number is None or number == other_than else (number,)

        return until(found, "a node sends", READY_SECONDS)[0]

    def writer(self, number: int) -> tuple[str, str, str] | None:
        """What the session of a node's writer does: its state, what it waits for, and its statement."""
        process = self.nodes[number].process
        assert process is not None
        rows = self.ask(_WRITER, [f"%:{process.pid}"])
        return (str(rows[0][0]), str(rows[0][1]), str(rows[0][2])) if rows else None

    def ask(self, statement: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """One statement on the database. Raises psycopg.Error."""
        with psycopg.connect(self.url, connect_timeout=5, target_session_attrs="read-write") as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a node."""
        process = self.nodes[number].process
        assert process is not None
        os.kill(process.pid, which)

    def wake(self, number: int) -> None:
        """SIGCONT: a frozen node continues, and what it was sending."""
        if self.ways:
            self.ways[number].go_on()
        self.signal(number, signal.SIGCONT)

    def spent(self, *others: int) -> Spent:
        """Processor time of all nodes, and of other processes with their children."""
        pids = [node.process.pid for node in self.nodes if node.process is not None]
        return spent(pids, list(others))


def is_ready(node: ProcessServer) -> bool:
    """Whether a node takes calls."""
    try:
        return node.api.with_key(None).call("GET", "/readyz").status == 200
    except OSError:
        return False
