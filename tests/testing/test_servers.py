"""The servers of `tidings.testing`: in this process with a clock of ours, and in one of their own."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tidings.model.moment import to_text
from tidings.settings import SettingsError
from tidings.testing import ApiError, FakeClock, ProcessServer, Receiver, TestServer
from tidings.testing import process as in_process
from tidings.testing import server as in_thread
from tidings.testing.fixtures import tidings_clock, tidings_server, webhook_receiver
from tidings.testing.ports import keep_port

pytestmark = pytest.mark.slow

__all__ = ["tidings_clock", "tidings_server", "webhook_receiver"]


@pytest.fixture(autouse=True)
def _as_others_start_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes begin from nothing here, as they do where Tidings' own suite does not start them."""
    monkeypatch.setattr("tidings.testing.process.subprocess", subprocess)


def test_a_restart_finds_what_was_there(tmp_path: Path) -> None:
    with TestServer(tmp_path) as server:
        event = server.api.publish("tasks.completed", {"a": 1})
        url = server.url
        server.restart()
        assert server.url == url
        assert server.api.get(f"/v1/events/{event}")["data"] == {"a": 1}


def test_a_temporary_folder_is_removed_afterwards() -> None:
    with TestServer() as server:
        folder = server.folder
        assert folder.exists()
    assert not folder.exists()


def test_settings_are_those_of_the_server(tmp_path: Path) -> None:
    with TestServer(tmp_path, max_body_bytes=2048) as server, pytest.raises(ApiError) as refused:
        server.api.publish("tasks.completed", "x" * 3000)
    assert refused.value.status == 413
    with pytest.raises(SettingsError, match="is not a Tidings setting"):
        TestServer(tmp_path / "other", no_such_thing=1).start()


def test_callers_without_a_key_are_seen_as_such(tmp_path: Path) -> None:
    with TestServer(tmp_path) as server, pytest.raises(ApiError, match="401") as refused:
        server.api.with_key(None).get("/v1/events")
    assert refused.value.problem["code"] == "unauthorized"


def test_pages_are_read_to_the_end(tmp_path: Path) -> None:
    with TestServer(tmp_path) as server:
        events = [server.api.publish("step", {"n": n}) for n in range(5)]
        assert [each["id"] for each in server.api.pages("/v1/events", limit=2)] == events[::-1]


def test_a_process_can_be_killed_and_comes_back(tmp_path: Path) -> None:
    with ProcessServer(tmp_path) as server:
        event = server.api.publish("tasks.completed")
        server.kill()
        with pytest.raises(OSError):
            server.api.get("/readyz")
        server.start()
        assert server.api.get(f"/v1/events/{event}")["id"] == event
        assert server.stop() == 0


def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="log_level"):
        ProcessServer(tmp_path, log_level="loud").start()


def test_the_clock_of_a_process_can_be_moved(tmp_path: Path) -> None:
    with ProcessServer(tmp_path, movable_clock=True) as server:
        before = datetime.fromisoformat(server.api.post("/v1/events", {"type": "a", "data": {}})["time"])
        now = datetime.fromisoformat(server.advance(86_400))
        assert timedelta(days=1) <= now - before < timedelta(days=1, minutes=1)
        after = datetime.fromisoformat(server.api.post("/v1/events", {"type": "a", "data": {}})["time"])
        assert after >= now - timedelta(milliseconds=1)


@pytest.mark.parametrize("movable_clock", [False, True])
def test_a_process_runs_with_the_file_it_is_given_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, movable_clock: bool
) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text("settings: {max_body_bytes: 2048}\ncollections: {tasks: {fields: {title: string}}}\n")
    monkeypatch.chdir(tmp_path)
    with ProcessServer(tmp_path / "a", config=file, movable_clock=movable_clock, max_body_bytes=4096) as server:
        assert server.api.post("/v1/items/tasks", {"title": "x" * 3000})["revision"] == 1
    with ProcessServer(tmp_path / "b", movable_clock=movable_clock) as server:
        assert server.api.get("/v1/collections")["data"] == []


def test_the_fixtures_fit_together(
    tidings_server: TestServer, tidings_clock: FakeClock, webhook_receiver: Receiver
) -> None:
    tidings_server.api.register(webhook_receiver.url("/hook"))
    tidings_clock.advance(3600)
    tidings_server.api.publish("tasks.completed", {"task": 7})
    [webhook] = webhook_receiver.wait_for(1)
    assert webhook.json["data"] == {"task": 7}
    assert webhook.json["timestamp"] == to_text(tidings_clock.now())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, a port that is kept could not be listened on")
def test_a_port_that_is_kept_is_nobody_elses_as_long_as_its_owner_exists() -> None:
    owner = FakeClock()
    port = keep_port(owner)
    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(("127.0.0.1", port))
    del owner
    gc.collect()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, a port that is kept could not be listened on")
@pytest.mark.parametrize("kind", [TestServer, ProcessServer])
def test_a_server_keeps_its_port(
    kind: type[TestServer | ProcessServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[int, object] = {}
    for module in (in_thread, in_process):
        monkeypatch.setattr(module, "keep_port", lambda owner: kept.setdefault(id(owner), keep_port(owner)))
    with kind(tmp_path / "tidings") as server:
        server.restart()
        assert server.url == f"http://127.0.0.1:{kept[id(server)]}"
