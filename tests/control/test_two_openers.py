"""Two servers on one database file, which the locks of its file system did not keep apart, are named in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tidings.control.upkeep import timekeeper
from tidings.testing import TestServer, until


def test_a_second_server_on_the_same_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(timekeeper, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(timekeeper, "REMEMBER_SECONDS", 1)
    with caplog.at_level(logging.CRITICAL), TestServer(tmp_path / "data") as server:
        assert server.server is not None
        writer = server.server.parts.writer
        writer.wait(lambda db: db.run("store_fact_put", name=timekeeper.OPENED_BY, value="process 7 on other, 1a2b"))
        until(lambda: caplog.messages, "it is noticed")
        assert "another Tidings server (process 7 on other, 1a2b) has opened this database" in caplog.messages[0]
    caplog.clear()
    with caplog.at_level(logging.CRITICAL), TestServer(tmp_path / "data"):
        pass
    assert caplog.messages == [], "after a restart it is this one's again"
