"""A PostgreSQL primary with a synchronous replica, both on this machine: what a failover does is tried on real servers.

Use it in a `with`. Its `url` names both hosts, as an operator would write it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.postgres_server import SETTINGS, Programs
from tidings.testing.ports import free_port

START_SECONDS = 30
NAMES = ("a", "b")
CONFIGURED = SETTINGS | {"listen_addresses": "127.0.0.1", "wal_log_hints": "on", "wal_keep_size": "256MB"}
"""In the file, since `pg_rewind` starts the server too."""
OTHER = {"a": "b", "b": "a"}


class PostgresPair:
    """Two servers, `a` and `b`; `a` is the primary of the beginning, each commit waits for the other one."""

    def __enter__(self) -> Self:
        self._programs = Programs("tidings-pair-")
        self.folder = self._programs.folder
        self.ports = {name: free_port() for name in NAMES}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.primary = "a"
        self._databases = 0
        try:
            first, second = (self.folder / name for name in NAMES)
            self._programs.make(first)
            lines = [f"{name} = '{value}'\n" for name, value in CONFIGURED.items()]
            self._own_file("a", "postgresql.conf", "".join(lines))
            self._start("a")
            source = f"host=127.0.0.1 port={self.ports['a']} user=postgres"
            self._programs.run("pg_basebackup", "-d", source, "-D", second, "-X", "stream", "-c", "fast", "--no-sync")
            self._follow("b")
            self._start("b")
            self.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (a, b)'")
            self.execute("SELECT pg_reload_conf()")
            self._until_synchronous()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def database(self) -> str:
        """The URL of a new database, with both hosts in it."""
        self._databases += 1
        name = f"tidings_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self.ports['a']},127.0.0.1:{self.ports['b']}/{name}"

    def execute(self, statement: str, on: str | None = None) -> list[Any]:
        """Run one statement on the primary, or the named server, and return its rows."""
        url = f"host=127.0.0.1 port={self.ports[on or self.primary]} user=postgres dbname=postgres connect_timeout=5"
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def pids(self) -> list[int]:
        """The processes of both servers, without their children."""
        return [process.pid for process in self._processes.values()]

    def hold_replica(self) -> None:
        """The replica stops as a frozen machine does: it takes nothing, so commits hang."""
        self._signal(OTHER[self.primary], signal.SIGSTOP)

    def free_replica(self) -> None:
        """The replica goes on."""
        self._signal(OTHER[self.primary], signal.SIGCONT)

    def kill_replica(self) -> None:
        """The replica dies: what the primary writes from now on never reaches it."""
        self._signal(OTHER[self.primary], signal.SIGKILL)
        self._processes.pop(OTHER[self.primary]).wait()

    def revive_replica(self) -> None:
        """The replica starts again, with what it had."""
        self._start(OTHER[self.primary])

    def kill_primary(self) -> None:
        """The primary dies with all its processes, as a machine does that loses its power."""
        self._signal(self.primary, signal.SIGKILL)
        self._processes.pop(self.primary).wait()

    def promote(self) -> None:
        """The replica becomes the primary, and waits for nobody."""
        self.primary = OTHER[self.primary]
        self._programs.run("pg_ctl", "-D", self.folder / self.primary, "-w", "promote")
        self.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.execute("SELECT pg_reload_conf()")

    def rejoin(self) -> None:
        """The dead primary comes back as the replica of the new one, without what only it had."""
        back = OTHER[self.primary]
        source = f"host=127.0.0.1 port={self.ports[self.primary]} user=postgres dbname=postgres"
        self.execute("CHECKPOINT")
        self._programs.run("pg_rewind", "-D", self.folder / back, f"--source-server={source}", "--no-sync")
        self._follow(back)
        self._start(back)
        self.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (a, b)'")
        self.execute("SELECT pg_reload_conf()")
        self._until_synchronous()

    def stop(self) -> None:
        """Stop both at once, and remove their folder."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGQUIT)
        for process in self._processes.values():
            process.wait(START_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _follow(self, name: str) -> None:
        """Make a copied folder that of a replica of the other server."""
        self._own_file(name, "standby.signal", "")
        source = f"host=127.0.0.1 port={self.ports[OTHER[name]]} user=postgres application_name={name}"
        self._own_file(name, "postgresql.auto.conf", f"primary_conninfo = '{source}'\n")

    def _own_file(self, name: str, file: str, text: str) -> None:
        path = self.folder / name / file
        path.write_text(text)
        self._programs.give(path)

    def _start(self, name: str) -> None:
        data, log, port = self.folder / name, self.folder / f"{name}.log", str(self.ports[name])
        self._processes[name] = self._programs.serve(data, log, "-p", port)
        self._until(lambda: self.execute("SELECT 1", on=name), f"{name} answers")

    def _signal(self, name: str, number: signal.Signals) -> None:
        """To the server and to each of its processes."""
        main = self._processes[name].pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in (main, *map(int, children)):
            os.kill(pid, number)

    def _until_synchronous(self) -> None:
        asked = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'quorum' AND state = 'streaming'"
        self._until(lambda: self.execute(asked), "the replica follows")

    def _until(self, there: Any, what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if there():
                    return
            except psycopg.OperationalError:
                pass
            if time.monotonic() > deadline:
                logs = "".join((self.folder / f"{name}.log").read_text() for name in self._processes)
                raise RuntimeError(f"not within {START_SECONDS} s: {what}\n{logs[-3000:]}")
            time.sleep(0.02)
