"""PostgreSQL goes back to a moment with the commands of docs/howto/point-in-time.md: nothing before it is missing."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres_server import SETTINGS, identity, reachable_binaries, stop_with_parent
from tests.repository import ROOT
from tidings.cli.local.production.data import look_at_data
from tidings.settings import read_settings
from tidings.testing import TestServer, until
from tidings.testing.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

PAGE = ROOT / "docs" / "howto" / "point-in-time.md"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BLOCK = re.compile(r"^```(?:sh|ini)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START_SECONDS = 60


class Cluster:
    """PostgreSQL with the folders of the page in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive, self.main = folder / "archive", folder / "postgresql" / "main"
        self._identity = identity()
        self.binaries = reachable_binaries(folder, as_root="user" in self._identity)
        for path in (self.archive, self.main.parent):
            path.mkdir()
        self.port = free_port()
        self.own()
        self._process: subprocess.Popen[bytes] | None = None

    def own(self) -> None:
        """Give everything to whom PostgreSQL runs as."""
        if "user" in self._identity:
            for path in (self.folder, self.archive, self.main.parent, *self.main.rglob("*")):
                os.chown(path, self._identity["user"], self._identity["group"])

    def block(self, number: int) -> str:
        """A block of the page, about these folders and this port."""
        text = BLOCK.findall(PAGE.read_text())[number]
        text = text.replace("/mnt/archive", str(self.archive)).replace("/var/lib/postgresql", str(self.main.parent))
        return str(text.replace("@localhost/", f"@127.0.0.1:{self.port}/"))

    def run(self, script: str) -> None:
        """Run a block of shell, as PostgreSQL's user."""
        path = f"{self.binaries}:{os.environ['PATH']}"
        command, environment = ["bash", "-ec", script], {**os.environ, "PATH": path}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, **self._identity
        )
        assert done.returncode == 0, f"{script}\n{done.stderr}"

    def configure(self, lines: str) -> None:
        with (self.main / "postgresql.conf").open("a") as file:
            file.write(lines)

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.main, "-k", self.folder, "-p", str(self.port)],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=stop_with_parent if sys.platform == "linux" else None,
                **self._identity,
            )
        until(self._works, "PostgreSQL takes writes", START_SECONDS)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def query(self, sql: str, database: str = "postgres") -> Any:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchone() if cursor.description else None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def _works(self) -> bool:
        assert self._process is not None and self._process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            return bool(self.query("SELECT pg_is_in_recovery()") == (False,))
        except psycopg.OperationalError:
            return False


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="tidings-archive-"))
    cluster = Cluster(folder)
    try:
        cluster.run(f"initdb -D {cluster.main} -U postgres -A trust -E UTF8 --locale=C -N >/dev/null")
        settings = SETTINGS | {"listen_addresses": "127.0.0.1", "fsync": "on", "full_page_writes": "on"}
        cluster.configure("".join(f"{name} = '{value}'\n" for name, value in settings.items()) + cluster.block(0))
        cluster.start()
        cluster.query("CREATE DATABASE tidings")
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_what_was_acknowledged_before_the_moment_is_there(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given: dict[str, Any] = {"database": cluster.url("tidings"), "secret_key": KEY}
    with TestServer(tmp_path / "data", **given) as server:
        before = [server.api.publish("step") for _ in range(20)]
        cluster.run(cluster.block(1))
        endpoint = server.api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "events": ["other"]})
        secret = server.api.get(f"/v1/endpoints/{endpoint['id']}/secret")
        before += [server.api.publish("step") for _ in range(20)]
        time.sleep(0.01)
        [moment] = cluster.query("SELECT clock_timestamp()")
        time.sleep(0.01)
        between = server.api.publish("step")
        cluster.query("SELECT pg_create_restore_point('before the import')", "tidings")
        mistake = server.api.publish("step")
        late = server.api.get("/v1/events", after="start", limit=1000)["next_cursor"]
        cluster.query("SELECT pg_switch_wal()")
        until(lambda: cluster.query(ARCHIVED)[0] == 0, "the WAL is archived")
        judged = {
            each.what: each.state for each in look_at_data(read_settings({"data": str(tmp_path), **given}, {}), 0)
        }
        assert judged["backup"] == "ok" and judged["replica"] == "fail"
    by_name = cluster.block(4)
    by_time = by_name.replace("recovery_target_name = 'before the import'", f"recovery_target_time = '{moment}'")
    # First under the server's own folder, which knows more; then as on another machine, where only PostgreSQL can tell.
    for name, lines, there, gone in (
        ("data", by_name, [*before, between], [mistake]),
        ("another", by_time, before, [between, mistake]),
    ):
        cluster.stop()
        shutil.rmtree(cluster.main.parent / "damaged", ignore_errors=True)
        cluster.run(cluster.block(3))
        cluster.configure(lines)
        cluster.start()
        with caplog.at_level(logging.WARNING), TestServer(tmp_path / name, **given) as server:
            found = {each["id"] for each in server.api.pages("/v1/events", limit=1000)}
            assert set(there) <= found and not found & set(gone)
            assert server.api.get(f"/v1/endpoints/{endpoint['id']}/secret") == secret
            server.api.publish("step")
            refused = server.api.call("GET", "/v1/events", after=late)
            assert refused.status == 422 and b"restored from a backup" in refused.body
            assert server.api.get("/v1/health")["state"] == "ok"
    assert len([line for line in caplog.messages if "had stored 1 more event, until" in line]) == 1


ARCHIVED = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
