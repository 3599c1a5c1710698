"""Litestream copies the database of a working server, whose writer checkpoints too: with deploy/litestream.yml."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.callers import Callers
from tests.cli.conftest import Run, run, server
from tests.repository import ROOT
from tidings.testing import ProcessServer, TestServer, until

__all__ = ["run", "server"]

PROGRAM = shutil.which("litestream")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PROGRAM is None, reason="there is no litestream: go install github.com/benbjohnson/litestream/cmd/litestream"
    ),
]
LARGE = {"text": "x" * 8_000}
JOURNAL_BYTES = 4_096 * 4_000
"""The writer checkpoints after this much."""
LAG_SECONDS = 3.0


@pytest.mark.thorough
def test_what_was_acknowledged_is_in_the_copy_though_both_checkpoint(tmp_path: Path, run: Run) -> None:
    folder, replica, config = tmp_path / "server", tmp_path / "replica", tmp_path / "litestream.yml"
    text = (ROOT / "deploy" / "litestream.yml").read_text()
    database = folder / "data" / "tidings.db"
    config.write_text(
        text.replace("/var/lib/tidings/tidings.db", str(database)).replace("/mnt/replica/tidings", str(replica))
    )
    assert PROGRAM is not None
    acknowledged: list[tuple[float, str]] = []
    with ProcessServer(folder) as working, (tmp_path / "log").open("wb") as log:
        copying = subprocess.Popen([PROGRAM, "replicate", "-config", str(config)], stdout=log, stderr=log)
        try:
            until(lambda: list(replica.rglob("*.snapshot.lz4")), "the first snapshot", 30)

            def publish(_: int) -> None:
                while True:
                    acknowledged.append((time.monotonic(), working.api.publish("step", LARGE)))

            calling = Callers(4, publish)
            until(lambda: database.stat().st_size > 2 * JOURNAL_BYTES, "two checkpoints", 60)
            marked = time.monotonic()
            until(lambda: time.monotonic() > marked + LAG_SECONDS, "the next copies", 10)
        finally:
            copying.send_signal(signal.SIGKILL)
            copying.wait()
        working.kill()
        calling.join()
        shutil.copy(folder / "data" / "secret.key", tmp_path / "kept.key")
    given = ["-config", str(config)]
    said = subprocess.run([PROGRAM, "generations", *given, str(database)], capture_output=True, text=True, check=True)
    assert len(said.stdout.splitlines()) == 2, f"one generation: no checkpoint cut the copy off\n{said.stdout}"
    copy = str(tmp_path / "restored.db")
    subprocess.run([PROGRAM, "restore", *given, "-o", copy, str(database)], check=True, capture_output=True)
    new = ("--data", str(tmp_path / "new"), "--key", str(tmp_path / "kept.key"))
    assert run("restore", copy, *new).exit_code == 0
    with TestServer(tmp_path / "new") as again:
        found = {event["id"] for event in again.api.pages("/v1/events", limit=1000, fields="id")}
    missing = [ident for at, ident in acknowledged if at < marked and ident not in found]
    assert len(found) > 100 and not missing
