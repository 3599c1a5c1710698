"""Servers that are started as copies are processes as any other, and only where nothing can tell the difference."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.documents import Block, Shell
from tests.warm import Started
from tidings.testing import ProcessServer

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone"),
    pytest.mark.slow,
]


def process(server: ProcessServer) -> object:
    """Its process, of whatever type."""
    return server.process


def test_a_copy_is_killed_restarted_and_stopped_as_any_process(tmp_path: Path) -> None:
    with ProcessServer(tmp_path / "server") as server:
        first = process(server)
        assert isinstance(first, Started) and first.pid != os.getpid()
        event = server.api.publish("kept")
        first.kill()
        assert first.wait(10) == -signal.SIGKILL
        server.kill()
        server.start()
        assert server.process is not None and server.process.pid != first.pid
        assert server.api.get(f"/v1/events/{event}")["id"] == event
        assert server.stop() == 0
    assert "Tidings listens on" in server.log


def test_a_copy_with_a_clock_is_told_the_time_through_its_pipes(tmp_path: Path) -> None:
    with ProcessServer(tmp_path / "server", movable_clock=True) as server:
        assert isinstance(process(server), Started)
        assert server.advance(60).startswith("20")
        assert server.stop() == 0


def test_why_a_copy_does_not_start_is_in_its_output(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="MAX_BODY_BYTES must be"):
        ProcessServer(tmp_path / "server", max_body_bytes="many").start()


def test_another_environment_needs_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with ProcessServer(tmp_path / "server") as server:
        assert not isinstance(process(server), Started)


def test_a_call_in_a_shell_is_a_process_of_that_shell(tmp_path: Path) -> None:
    """It has the shell's streams, folder and variables, its exit status is the call's, and signals reach it."""
    work = tmp_path / "work"
    work.mkdir()
    with Shell(work, {"TIDINGS_PORT": "0"}, {}) as shell:
        said(shell, "tidings --version | cat", "tidings ")
        said(shell, 'mkdir a; cd a; echo "{}" > x.yaml; tidings check x.yaml 2>&1 || echo "status $?"; cd ..', "x.yaml")
        said(shell, "tidings nonsense 2>/dev/null || echo status $?", "status 2")
        said(shell, "tidings serve --data data > log 2>&1 & server=$!", "")
        said(shell, "for _ in $(seq 300); do grep -q 'listens on' log && break; sleep 0.1; done; cat log", "listens on")
        said(shell, 'kill $server; wait $server; echo "status $?"', "status 0")
        said(shell, "tidings serve --data data > log 2>&1 & server=$!", "")
        said(shell, "for _ in $(seq 300); do grep -q 'listens on' log && break; sleep 0.1; done; cat log", "listens on")
        said(shell, 'kill -9 $server; wait $server || echo "status $?"', "status 137")
        # What was killed is gone a moment later; until then it has the lock of its folder.
        said(shell, "for _ in $(seq 300); do flock -n data/lock true && break; sleep 0.1; done; echo free", "free")
        said(shell, "tidings serve --data data > log 2>&1 &", "")
        said(shell, "for _ in $(seq 300); do grep -q 'listens on' log && break; sleep 0.1; done; cat log", "listens on")


def test_a_call_with_another_time_zone_is_a_process_of_its_own(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with Shell(work, {}, {}) as shell:
        said(shell, "TZ=Asia/Tokyo tidings --version", "tidings ")


def said(shell: Shell, text: str, wanted: str) -> None:
    """Run a block, which prints what is wanted."""
    shell.run(Block(language="sh", text=text, prints=[wanted]))
