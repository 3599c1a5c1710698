"""A backup leaves the data folder as it was, whoever makes it: what root leaves there, a server could not use."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, run, server
from tests.programs import needed
from tests.repository import ROOT
from tidings.store import backup
from tidings.store.engines.sqlite import SqliteEngine, SqliteFile
from tidings.testing import TestServer

__all__ = ["run", "server"]

UNIT = ROOT / "deploy" / "tidings-backup.service"
SOMEBODY = 12345


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of a server that has stopped."""
    with TestServer(tmp_path / "data") as server:
        server.api.publish("step")
    return tmp_path / "data"


@pytest.mark.slow
def test_a_backup_of_a_stopped_server_leaves_nothing_next_to_its_database(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    before = {file.name for file in folder.iterdir()}
    made = run("backup", str(tmp_path / "x.db"), "--data", str(folder))
    assert made.exit_code == 0 and "with 1 event " in made.stdout
    assert {file.name for file in folder.iterdir()} == before | {"backups.json"}


@pytest.mark.slow
def test_a_server_that_starts_during_a_backup_does_not_spoil_it(folder: Path, tmp_path: Path) -> None:
    """The file is read without a lock, so what a server does to it meanwhile must be noticed."""
    db = folder / "tidings.db"
    begun: list[int] = []

    def write(done: int, size: int) -> None:
        if not begun:
            begun.append(done)
            with contextlib.closing(SqliteEngine(db).writer()) as writer:
                writer.begin()
                writer.run("store_fact_put", name="note", value="x" * 100_000)
                writer.commit()

    backup.back_up(db, tmp_path / "x.db", 0, write)
    with contextlib.closing(SqliteFile(tmp_path / "x.db", still=True)) as copy:
        [(text,)] = copy.query("SELECT value FROM store WHERE name = 'note'", {})
    assert begun and len(text) == 100_000, "it was copied again"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("lacks", [None, "CAP_CHOWN"], ids=["as the unit", "as an older unit"])
def test_a_backup_by_the_unit_leaves_no_file_of_roots_in_the_servers_folder(
    folder: Path, tmp_path: Path, lacks: str | None
) -> None:
    found = re.search(r"^CapabilityBoundingSet=(.+)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    capabilities = [f"+{name.removeprefix('CAP_').lower()}" for name in found[1].split() if name != lacks]
    for path in (folder, *folder.iterdir()):
        os.chown(path, SOMEBODY, SOMEBODY)
    (tmp_path / "backups").mkdir()
    limited = [needed("setpriv"), "--no-new-privs", "--bounding-set", ",".join(["-all", *capabilities])]
    tidings = [sys.executable, "-m", "tidings"]
    for command in (["backup", "--keep", "14", f"{tmp_path}/backups/"], ["restore", "--trial", f"{tmp_path}/backups/"]):
        subprocess.run([*limited, *tidings, *command, "--data", str(folder)], check=True, capture_output=True)
    foreign = {file.name for file in folder.iterdir() if file.stat().st_uid != SOMEBODY}
    assert foreign == (set() if lacks is None else {"backups.json"}), "a start uses all but the record of backups"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_restore_that_root_was_refused_leaves_no_file_of_roots(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "x.db"), "--data", str(folder)).exit_code == 0
    for path in (folder, *folder.iterdir()):
        os.chown(path, SOMEBODY, SOMEBODY)
    for name in ("lock", "tidings.db.lock"):
        (folder / name).unlink()
    assert "already exists" in run("restore", str(tmp_path / "x.db"), "--data", str(folder)).stderr
    assert {file.stat().st_uid for file in folder.iterdir()} == {SOMEBODY}


def test_the_units_read_the_same_environment() -> None:
    [line] = [each for each in UNIT.read_text().splitlines() if each.startswith("EnvironmentFile=")]
    assert line in (ROOT / "deploy" / "tidings.service").read_text().splitlines()
