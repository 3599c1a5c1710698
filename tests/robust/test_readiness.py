"""`/readyz` tells whether writes are taken, with the reason, and is well again by itself."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.robust.stalls import writer_of
from tests.web.test_metrics import samples
from tidings.store.base import Db, StoreFull
from tidings.store.engines.sqlite import SqliteDb
from tidings.testing import TestServer, until


@pytest.mark.slow
def test_a_damaged_page_makes_it_unready_while_writes_hit_it(tmp_path: Path) -> None:
    with TestServer(tmp_path) as server:
        for n in range(300):
            server.api.publish("step", {"n": n, "x": "y" * 300})
    file = tmp_path / "tidings.db"
    with contextlib.closing(SqliteDb(str(file), readonly=True)) as db:
        [(page,)] = db.query("SELECT rootpage FROM sqlite_master WHERE name = 'event_by_id'", {})
    with file.open("r+b") as raw:
        raw.seek((page - 1) * 4096)
        raw.write(b"\xff" * 64)
    with TestServer(tmp_path) as server:
        assert samples(server.api)["tidings_ready"] == {(): 1}
        refused = server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
        assert refused.status == 503 and "the database is damaged" in refused.json["detail"], refused
        for _ in range(3):
            ready = server.api.call("GET", "/readyz")
            assert ready.status == 503 and ready.json["detail"] == "Writes are refused: the database is damaged."
        assert samples(server.api)["tidings_ready"] == {(): 0}
        assert server.api.call("GET", "/healthz").status == 200


def test_a_past_refusal_is_forgotten_at_the_next_check(tmp_path: Path) -> None:
    with TestServer(tmp_path) as server:
        writer = writer_of(server)

        def full(db: Db) -> None:
            raise StoreFull("the disk is full")

        writer.submit(full, lambda result, wrong: None)
        until(lambda: writer.refusal is not None, "it was refused")
        assert server.api.call("GET", "/readyz").status == 200
        assert writer.refusal is None


@pytest.mark.slow
def test_frequent_checks_write_once_a_second(tmp_path: Path) -> None:
    with TestServer(tmp_path) as server:
        writer = writer_of(server)
        server.api.call("GET", "/readyz")
        written = writer.wait(lambda db: db.query("SELECT value FROM store WHERE name = 'probe'", {}))
        for _ in range(20):
            assert server.api.call("GET", "/readyz").status == 200
        again = writer.wait(lambda db: db.query("SELECT value FROM store WHERE name = 'probe'", {}))
        assert written == again or written[0][0] < again[0][0]
