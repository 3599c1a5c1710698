"""`tidings listen`: it forwards what happens, signed, and continues where it was, also after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.cli.conftest import Run
from tidings.client import verify
from tidings.testing import ProcessServer, Receiver, TestServer, until


@contextmanager
def listening(server: TestServer | ProcessServer, *args: str) -> Iterator[Any]:
    """The command in its own process, killed at the end if it still runs."""
    env = {**os.environ, "TIDINGS_URL": server.url, "TIDINGS_KEY": str(server.api.key)}
    process = warm.popen("tidings", "listen", *args, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_events_are_forwarded_signed_and_each_once(server: TestServer, receiver: Receiver, tmp_path: Path) -> None:
    kept = tmp_path / "cursor.json"
    args = ["--to", receiver.url("/hooks?a=b"), "--events", "tasks.*", "--cursor-file", str(kept)]
    with listening(server, *args, "--after", "end") as process:
        assert process.stdout is not None
        secret = process.stdout.readline().split()[-1]
        until(lambda: _first_poll(server), "it asks for events")
        begun = json.loads(kept.read_bytes())["cursor"]
        first = server.api.post("/v1/events", {"type": "tasks.done", "subject": "s", "data": {"n": 1.50}})
        server.api.post("/v1/events", {"type": "other.thing", "data": {}})
        [webhook] = receiver.wait_for(1)
        assert webhook.path == "/hooks?a=b" and webhook.id == first["id"]
        assert verify(webhook.headers, webhook.body, secret)["subject"] == "s"
        assert b'"data":{"n": 1.5}' in webhook.body
        assert first["id"] in process.stdout.readline()
        until(lambda: json.loads(kept.read_bytes())["cursor"] != begun, "the place is kept")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kept.stat().st_mode & 0o777 == 0o600

    missed = server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
    with listening(server, *args, "--json") as process:
        receiver.wait_for(2)
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert (line["id"], line["status"]) == (missed["id"], 204)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert [each.id for each in receiver.requests()] == [first["id"], missed["id"]]


@pytest.mark.slow
def test_a_change_of_an_item_is_forwarded_with_what_was_before(
    server: TestServer, receiver: Receiver, tmp_path: Path
) -> None:
    server.api.call("PUT", "/v1/collections/plants", {"fields": {"name": "string"}})
    args = ["--to", receiver.url("/"), "--events", "plants.*", "--cursor-file", str(tmp_path / "c")]
    server.api.call("PUT", "/v1/items/plants/p1", {"name": "Fern"})
    server.api.patch("/v1/items/plants/p1", {"name": "Ivy"})
    with listening(server, *args, "--after", "start"):
        created, updated = (json.loads(webhook.body) for webhook in receiver.wait_for(2))
    assert created["type"] == "plants.created" and "previous" not in created
    assert updated["previous"]["name"] == "Fern" and updated["changed"] == ["name"]


def test_it_retries_until_the_server_answers(server: TestServer, receiver: Receiver, tmp_path: Path) -> None:
    receiver.down()
    event = server.api.post("/v1/events", {"type": "knocks.done", "data": {}})
    args = [
        "--to",
        receiver.url("/"),
        "--events",
        "knocks.*",
        "--cursor-file",
        str(tmp_path / "c"),
        "--after",
        "start",
    ]
    with listening(server, *args) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert "Retrying until the receiver answers." in process.stdout.readline()
        receiver.up()
        [webhook] = receiver.wait_for(1)
        assert webhook.id == event["id"]
        assert " 204 in " in process.stdout.readline()


@pytest.mark.slow
def test_what_is_wrong_is_one_sentence(run: Run, tmp_path: Path) -> None:
    forward = ["listen", "--to", "http://127.0.0.1:9/", "--cursor-file", str(tmp_path / "c")]
    for args, sentence in (
        (["--events", "a*"], "A pattern must be an event type"),
        (["--secret", "x"], "A secret must begin with whsec_"),
        (["--after", "somewhere"], "--after start"),
        (["--url", "ftp://127.0.0.1"], "http://"),
        (["--key", "tdk_wrong"], "TIDINGS_KEY"),
    ):
        said = run(*forward, *args)
        assert said.exit_code == 1 and sentence in said.stderr
    (tmp_path / "c").write_text("{}")
    assert "choose another --cursor-file" in run(*forward).stderr
    assert "--to must be a URL such as" in run("listen", "--to", "localhost:3000").stderr


@pytest.mark.slow
def test_a_server_that_goes_before_the_first_event_is_waited_for_and_nothing_is_missed(
    receiver: Receiver, tmp_path: Path
) -> None:
    kept = tmp_path / "cursor.json"
    args = ["--to", receiver.url("/"), "--cursor-file", str(kept)]
    with ProcessServer(tmp_path / "data") as server:
        with listening(server, *args) as process:
            until(kept.exists, "the place is kept though nothing has happened")
            server.kill()
            process.send_signal(signal.SIGKILL)
            process.wait()
        with listening(server, *args) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert "Retrying every second" in process.stdout.readline()
            server.start()
            missed = server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
            assert receiver.wait_for(1)[0].id == missed["id"]


@pytest.mark.slow
@pytest.mark.parametrize("goes", ["is not there", "is killed before it answers"])
def test_a_first_run_whose_server_is_not_there_misses_nothing(receiver: Receiver, tmp_path: Path, goes: str) -> None:
    """It ended with an error, had no position, and the next run began at its own now."""
    kept = tmp_path / "cursor.json"
    with ProcessServer(tmp_path / "data") as server:
        before = server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
        if goes == "is not there":
            server.kill()
        else:
            # It takes the connection and goes in the middle of the first answer.
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
        with listening(server, "--to", receiver.url("/"), "--cursor-file", str(kept)) as process:
            assert process.stdout is not None
            process.stdout.readline()
            if goes != "is not there":
                until(lambda: _is_connected(process.pid), "it asks for its first page")
                server.kill()
            assert "Retrying every second" in process.stdout.readline()
            assert not kept.exists()
            server.start()
            # At once, before it asks again.
            first = server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
            assert receiver.wait_for(1)[0].id == first["id"] != before["id"]
            until(kept.exists, "the position is kept")
            second = server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
            assert [webhook.id for webhook in receiver.wait_for(2)] == [first["id"], second["id"]]
            assert process.poll() is None


@pytest.mark.slow
def test_a_replaced_store_is_reported_with_what_to_do(server: TestServer, receiver: Receiver, tmp_path: Path) -> None:
    kept = tmp_path / "cursor.json"
    args = ["--to", receiver.url("/"), "--cursor-file", str(kept)]
    for _ in range(3):
        server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
    with listening(server, *args, "--after", "start"):
        receiver.wait_for(3)
        until(lambda: kept.exists() and json.loads(kept.read_bytes())["cursor"] != "start", "the place is kept")
    with TestServer(tmp_path / "other") as other, listening(other, *args) as process:
        _, said = process.communicate(timeout=30)
        assert process.returncode == 1 and "--after start" in said and "--after end" in said


@pytest.mark.slow
def test_a_signal_whose_interrupt_is_lost_still_ends_it() -> None:
    """As within a destructor, where Python drops what is raised."""
    lines = (
        "import os, signal, time",
        "from tidings.cli.remote.interrupts import interrupt_on_signals",
        "caught = interrupt_on_signals()",
        "class Ends:",
        "    def __del__(self):",
        "        os.kill(os.getpid(), signal.SIGTERM)",
        "        time.sleep(0.1)",
        "Ends()",
        "try:",
        "    time.sleep(60)",
        "except KeyboardInterrupt:",
        "    caught()",
        "    time.sleep(1.5)",
        "    print('ended once')",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, timeout=30)
    assert ended.returncode == 0 and ended.stdout == b"ended once\n", ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("blocked", [False, True], ids=["plain", "blocked by the parent"])
def test_a_signal_without_a_following_instruction_still_ends_it(blocked: bool) -> None:
    """It goes to another thread: the main one is in its read already, as if the signal had come just before that."""
    lines = (
        "import signal, socket, threading",
        f"signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}} if {blocked} else ())",
        "from tidings.cli.remote.interrupts import interrupt_on_signals",
        "interrupt_on_signals()",
        "inside, _ = socket.socketpair()",
        "inside.settimeout(60)",
        "kill = lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)",
        "threading.Timer(0.2, kill).start()",
        "inside.recv(1)",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, timeout=30)
    assert b"KeyboardInterrupt" in ended.stderr


def _first_poll(server: TestServer) -> bool:
    """Whether somebody waits for events: what is published before that is not after `end`."""
    assert server.server is not None
    return bool(server.server.parts.feed._waiters)


def _is_connected(pid: int) -> bool:
    """Whether a process has an open socket."""
    folder = Path(f"/proc/{pid}/fd")
    return any("socket:" in os.readlink(each) for each in folder.iterdir() if each.is_symlink())
