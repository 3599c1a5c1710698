"""What a supervisor does with workers that die, hang, or never start: small programs in the place of real ones."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.listening import opened
from tidings.nodes import supervisor as module
from tidings.nodes.line import Conversation, Said, StartOrder
from tidings.nodes.supervisor import BROKEN, REFUSED, Supervisor
from tidings.nodes.worker import Worker
from tidings.rules.nodes import restarts
from tidings.testing import until

PROGRAM = """
import json, os, socket, sys, time
line = socket.socket(fileno=0)
order = json.loads(line.makefile().readline())
folder = order["flags"]["folder"]
number = sys.argv[1]
open(f"{folder}/{number}-{os.getpid()}", "w").close()
act = open(f"{folder}/act").read()
def say(**said):
    line.sendall(json.dumps(said).encode() + b"\\n")
if number in act and "refuses" in act:
    say(refused="The port is taken.")
    sys.exit(2)
say(ready=True, url=f"http://{number}", turned=True, sends=number == "1", of_a_newer_version=1)
if number not in act and "takes the role" in act:
    say(sends=False)
if number in act and "hangs" in act:
    time.sleep(60)
if number in act and "drains" in act:
    say(draining=True)
    time.sleep(0.5)
    sys.exit(0)
while told := line.recv(100):
    with open(f"{folder}/told-{number}", "ab") as file:
        file.write(told)
    if "takes the role" in act and number in act and b"true" in told:
        say(sends=True)
"""


class Running:
    """A supervisor of two, in a thread."""

    def __init__(self, folder: Path, watchdog_seconds: float | None = None) -> None:
        self.folder, self.ready = folder, list[Said]()
        self.public = socket.create_server(("127.0.0.1", 0))
        self.port = self.public.getsockname()[1]
        orders = [
            StartOrder(
                number=number,
                flags={"folder": str(folder)},
                public=self.public.fileno(),
                watchdog_seconds=watchdog_seconds,
            )
            for number in (1, 2)
        ]
        command = [sys.executable, "-S", "-c", PROGRAM]
        is_drained = (folder / "drained").exists
        self.supervisor = Supervisor(command, os.environ, orders, self.public, is_drained)
        self.supervisor.on_ready = self.ready.extend
        self.status: int | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self, act: str = "") -> Running:
        """`act`: the number of a worker, and what it does instead of its work."""
        self.act(act)
        self._thread.start()
        return self

    def act(self, act: str) -> None:
        (self.folder / "act").write_text(act)

    def until_ready(self) -> None:
        until(lambda: len(self.ready) == 2, "both are ready")

    def pids(self, number: int) -> list[int]:
        """Of all workers with this number so far."""
        return [int(each.name.rpartition("-")[2]) for each in self.folder.glob(f"{number}-*")]

    def told(self, number: int) -> list[bool]:
        """What workers with this number were told about the public port, in turn."""
        file = self.folder / f"told-{number}"
        return [json.loads(line)["public"] for line in file.read_text().splitlines()] if file.exists() else []

    def ended(self) -> int:
        """Its status, once it has ended."""
        until(lambda: self.status is not None, "it has ended")
        self._thread.join()
        assert self.status is not None
        return self.status

    def stop(self) -> int:
        self.supervisor.stop()
        return self.ended()

    def _run(self) -> None:
        self.status = self.supervisor.run()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    if made.status is None:
        made.supervisor.kill()
        made.stop()


@pytest.mark.slow
def test_both_are_ready_and_stop_with_status_0(running: Running) -> None:
    running.start().until_ready()
    assert [each.url for each in running.ready] == ["http://1", "http://2"]
    assert running.stop() == 0 and running.supervisor.refusal == ""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))


@pytest.mark.slow
@pytest.mark.parametrize("number", ["1", "2"])
def test_a_first_start_that_is_refused_is_the_end(running: Running, number: str) -> None:
    assert running.start(f"{number} refuses").ended() == REFUSED
    assert running.supervisor.refusal == f"worker {number} could not start: The port is taken"
    assert not running.ready and len(running.pids(2)) == int(number) - 1, "the first one was to prepare everything"


@pytest.mark.slow
def test_one_that_is_killed_is_replaced_and_calls_wait_meanwhile(running: Running) -> None:
    running.start().until_ready()
    for number in (1, 2):
        os.kill(running.pids(number)[0], signal.SIGKILL)
    socket.create_connection(("127.0.0.1", running.port)).close()
    until(lambda: len(running.pids(1)) == len(running.pids(2)) == 2, "others are in their place")
    assert len(running.ready) == 2, "it says only once that it is ready"
    assert running.stop() == 0


@pytest.mark.slow
def test_one_that_does_not_get_up_again_is_tried_later_and_later(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    running.start().until_ready()
    running.act("2 refuses")
    os.kill(running.pids(2)[0], signal.SIGKILL)
    until(lambda: "worker 2 could not start: The port is taken; it is started again in 0.5 s" in caplog.text, "it says")
    assert "worker 2 was ended by SIGKILL; it is started again now" in caplog.text
    assert running.status is None and len(running.pids(1)) == 1, "the other one works"
    running.act("")
    until(lambda: "worker 2 is ready again" in caplog.text, "it is back")
    assert running.stop() == 0


@pytest.mark.slow
def test_it_ends_if_none_gets_up_again(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for one to have been started again, on a slow machine too.
    monkeypatch.setattr(restarts, "GIVE_UP_SECONDS", 2.0)
    running.start().until_ready()
    running.act("1 2 refuses")
    for number in (1, 2):
        os.kill(running.pids(number)[0], signal.SIGKILL)
    assert running.ended() == BROKEN
    said = running.supervisor.refusal
    assert re.fullmatch(
        "no worker was ready for a minute; in the end, worker [12] could not start: The port is taken", said
    )


@pytest.mark.slow
def test_one_whose_event_loop_stands_still_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    running = Running(tmp_path, watchdog_seconds=0.3).start("2 hangs")
    until(lambda: "worker 2 hangs: its event loop has not turned for 0.3 s" in caplog.text, "it is noticed")
    until(lambda: len(running.pids(2)) > 1, "another one is in its place")
    running.supervisor.stop()
    running.ended()


@pytest.mark.slow
def test_one_that_does_not_stop_is_killed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.3)
    running.start("2 hangs").until_ready()
    assert running.stop() == BROKEN


@pytest.mark.slow
def test_one_that_is_drained_is_replaced(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    running.start("2 drains")
    until(lambda: running.told(1) == [True], "the other one takes calls")
    running.act("")
    until(lambda: len(running.pids(2)) > 1, "another one is in its place")
    until(lambda: running.told(1) == [True, False], "and takes the calls")
    assert "worker 2 has ended with status 0; it is started again now" in caplog.text
    assert running.stop() == 0


@pytest.mark.slow
def test_if_all_are_drained_they_are_not_replaced(running: Running) -> None:
    (running.folder / "drained").touch()
    running.start("1 2 drains").until_ready()
    assert running.ended() == 0
    assert len(running.pids(1)) == len(running.pids(2)) == 1
    assert running.told(1) == []


@pytest.mark.slow
def test_the_sender_takes_calls_only_as_long_as_nobody_else_does(running: Running) -> None:
    running.start().until_ready()
    until(lambda: running.told(2) == [True], "who takes in takes calls")
    assert running.told(1) == []
    os.kill(running.pids(2)[0], signal.SIGKILL)
    until(lambda: running.told(1) == [True, False], "the sender does, until another one is there")
    until(lambda: running.told(2) == [True, True], "the one before, and the one after")
    assert running.stop() == 0


@pytest.mark.slow
def test_if_the_role_changes_so_do_the_calls(running: Running) -> None:
    running.start("2 takes the role").until_ready()
    until(lambda: running.told(1) == [True], "the other one takes calls")
    until(lambda: running.told(2) == [True, False], "the new sender does not")
    assert running.stop() == 0


def test_no_process_ever_waits_in_accept() -> None:
    """A worker that does would serve nobody meanwhile; whether it does is one flag, for all processes."""
    ours, theirs = socket.socketpair()
    public = opened("127.0.0.1", 0)
    with ours, theirs, public:
        Conversation(ours).say(StartOrder(number=1, flags={}, public=os.dup(public.fileno())))
        with Worker(theirs).public as shared, shared.dup():
            assert fcntl.fcntl(public, fcntl.F_GETFL) & os.O_NONBLOCK
