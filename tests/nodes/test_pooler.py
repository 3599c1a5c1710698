"""A connection pooler between us and PostgreSQL: one that keeps sessions works, one that shares them is refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.postgres_server import identity, stop_with_parent
from tests.programs import needed
from tidings.store.base import StoreBusy
from tidings.testing import TestServer, until
from tidings.testing.ports import free_port


@contextmanager
def pooled(url: str, mode: str, **more: str) -> Iterator[str]:
    """PgBouncer in front of a database; the URL through it."""
    program, parts, folder = needed("pgbouncer"), urlsplit(url), Path(tempfile.mkdtemp(prefix="tidings-pooler-"))
    name, [place] = parts.path[1:], parse_qs(parts.query)["host"]
    port = free_port()
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "auth_type": "any",
        "pool_mode": mode,
        "unix_socket_dir": "",
        "ignore_startup_parameters": "extra_float_digits,options",
        "logfile": str(folder / "pooler.log"),
        **more,
    }
    lines = [f"[databases]\n{name} = host={place} dbname={name} user=postgres\n[pgbouncer]\n"]
    file = folder / "pgbouncer.ini"
    file.write_text("".join(lines + [f"{key} = {value}\n" for key, value in settings.items()]))
    who = identity()
    if "user" in who:
        for path in (folder, file):
            os.chown(path, who["user"], who["group"])
    running = subprocess.Popen(
        [program, "-q", file], cwd="/", preexec_fn=stop_with_parent if sys.platform == "linux" else None, **who
    )
    try:
        until(lambda: _listens(port) or running.poll() is not None, "the pooler listens")
        assert running.poll() is None, (folder / "pooler.log").read_text()
        yield f"postgresql://postgres@127.0.0.1:{port}/{name}"
    finally:
        running.terminate()
        running.wait(10)
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("rotates", ["0", "1"])
def test_a_pooler_that_shares_sessions_is_refused(tmp_path: Path, migrated_url: str, rotates: str) -> None:
    with pooled(migrated_url, "transaction", server_round_robin=rotates) as url:
        for _ in range(2):
            # The first start makes sessions that the second one finds.
            with pytest.raises(StoreBusy, match="a connection pooler that shares sessions among clients"):
                TestServer(tmp_path / "data", database=url).start()


def test_a_pooler_that_keeps_sessions_works(tmp_path: Path, migrated_url: str) -> None:
    with pooled(migrated_url, "session") as url, TestServer(tmp_path / "data", database=url) as server:
        event = server.api.publish("step")
        assert server.api.call("GET", f"/v1/events/{event}").status == 200
