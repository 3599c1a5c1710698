"""The database's files are removed, moved or replaced under a running server: it says so, and takes no more writes."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest

from tests.robust.stalls import writer_of
from tidings.store.engines.sqlite import SqliteFile
from tidings.testing import TestServer, until

SAID = "the database file was removed or replaced while the server is running"


def published(server: TestServer) -> tuple[int, str]:
    answer = server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
    return answer.status, answer.json.get("detail", "")


def refused(server: TestServer) -> None:
    """Writes are refused within the time between two looks."""
    until(lambda: published(server)[0] == 503, "writes are refused")
    status, said = published(server)
    assert status == 503 and said.startswith(f"Nothing was stored: {SAID}"), said
    ready = server.api.call("GET", "/readyz")
    assert ready.status == 503 and ready.json["detail"] == f"Writes are refused: {SAID}."
    assert server.api.call("GET", "/healthz").status == 200


def ids_in(file: Path) -> int:
    with contextlib.closing(SqliteFile(file, still=True)) as db:
        assert db.damage() is None
        return int(db.query("SELECT COUNT(*) FROM event", {})[0][0])


@pytest.mark.slow
def test_a_database_that_is_moved_away_is_noticed_and_may_come_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, away = tmp_path / "tidings.db", tmp_path / "away.db"
    with TestServer(tmp_path) as server:
        server.api.publish("step")
        file.rename(away)
        taken = 1
        while published(server)[0] == 202:
            taken += 1
        refused(server)
        assert not file.exists(), "no new one was begun"
        assert ids_in(away) == taken, "what was acknowledged is in the file that was moved"
        assert f"{file} was removed or replaced" in caplog.text and "transactions since the last check" in caplog.text
        away.rename(file)
        until(lambda: published(server)[0] == 202, "writes are taken again")
        assert server.api.call("GET", "/readyz").status == 200
        assert writer_of(server).refusal is None
        assert "the original file is back" in caplog.text
    assert ids_in(file) == taken + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tidings.db", "tidings.db-wal", "tidings.db-shm"])
def test_a_removed_database_file_is_noticed_by_readyz(tmp_path: Path, name: str) -> None:
    with TestServer(tmp_path) as server:
        server.api.publish("step")
        until(lambda: server.api.call("GET", "/readyz").status == 200, "it is ready")
        (tmp_path / name).unlink()
        until(lambda: server.api.call("GET", "/readyz").status == 503, "it says that it is not ready")
        refused(server)


def test_another_database_that_is_put_in_the_place_is_neither_written_nor_spoilt(tmp_path: Path) -> None:
    file, copy = tmp_path / "tidings.db", tmp_path / "copy.db"
    with TestServer(tmp_path) as server:
        server.api.publish("step")
    shutil.copy(file, copy)
    with TestServer(tmp_path) as server:
        for _ in range(20):
            server.api.publish("step")
        copy.rename(file)
        refused(server)
    assert ids_in(file) == 1
    with TestServer(tmp_path) as server:
        assert len(server.api.get("/v1/events")["data"]) == 1, "the journal of the old one is not taken for its own"
        assert published(server)[0] == 202
