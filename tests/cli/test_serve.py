"""`tidings serve` as a process: how it starts, what gets in its way, and how it stops."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tidings.cli.local import serve
from tidings.cli.local.process.log_format import JsonFormatter
from tidings.client import Client
from tidings.client.exchange import ClientRequest
from tidings.config import find_config
from tidings.settings import SETTINGS, read_settings
from tidings.store.engines.sqlite import SqliteDb
from tidings.testing import ProcessServer, Reaction, Receiver, until

SECONDS = 60
STOP_SECONDS = 10.0


def command(*args: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Any:
    """A process, begun as a copy of one that has loaded Tidings."""
    return warm.popen("tidings", "serve", *args, env={**os.environ, **(env or {})}, cwd=cwd)


def refused(*args: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """The sentence with which a start is refused."""
    done = warm.ended("tidings", "serve", *args, env={**os.environ, **(env or {})}, cwd=cwd, seconds=SECONDS)
    assert done.returncode == 2, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def started(*args: str, env: dict[str, str] | None = None) -> tuple[Any, str]:
    """A process that listens, and the first line it printed."""
    process = command(*args, env=env)
    assert process.stdout is not None
    return process, process.stdout.readline()


def ended(process: Any) -> tuple[str, str]:
    """Stop it; the rest of what it printed, and its log."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    return out, err


@pytest.mark.slow
def test_the_key_is_made_and_shown_once(tmp_path: Path) -> None:
    given = ("--data", str(tmp_path / "data"), "--port", "0")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # As from a shell, with all that loading takes.
    process = subprocess.Popen([sys.executable, "-m", "tidings", "serve", *given], text=True, **pipes)
    first = process.stdout.readline() if process.stdout else ""
    url = next(word for word in first.split() if word.startswith("http://")).rstrip(";")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "which is shown only this once" in line
    step = process.stdout.readline()
    assert f"set TIDINGS_KEY to the key and TIDINGS_URL to {url}, and run: tidings console" in step
    with Client(url, line.split()[-1]) as client:
        assert list(client.endpoints()) == []
    _, err = ended(process)
    assert "INFO" in err and "listening on" in err and "tdk_" not in err

    process, first = started(*given)
    assert first.startswith("Tidings listens on http://127.0.0.1:")
    out, _ = ended(process)
    assert "tdk_" not in out


def test_scripts_get_one_line_of_json(tmp_path: Path) -> None:
    process, first = started("--data", str(tmp_path / "data"), "--port=0", "--json", env={"TIDINGS_LOG_LEVEL": "error"})
    said = json.loads(first)
    assert said["pid"] == process.pid and said["operator_key"].startswith("tdk_")
    assert ended(process) == ("", "")


@pytest.mark.slow
def test_a_taken_port_is_reported(tmp_path: Path, taken_port: int) -> None:
    said = refused("--data", str(tmp_path), "--port", str(taken_port))
    assert f"port {taken_port} is in use" in said


@pytest.mark.slow
def test_a_folder_in_use_is_reported(tmp_path: Path) -> None:
    with ProcessServer(tmp_path) as server:
        assert server.process is not None
        assert "nother Tidings server is running" in refused("--data", str(tmp_path / "data"), "--port", "0")


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("args", "env", "sentence"),
    [
        (["--port", "x"], {}, "--port must be a whole number, not 'x'."),
        (["--port", "70000"], {}, "ort` must be between 0 and 65535"),
        ([], {"TIDINGS_PROT": "1"}, "TIDINGS_PROT is not a Tidings setting"),
        (["--database", "mysql:x"], {}, "neither sqlite:FILE nor postgresql://"),
        (["--allow-addresses", "10.0.0.0/99"], {}, "10.0.0.0/99"),
        (["--config", "none.yaml"], {}, "none.yaml cannot be read"),
        (["--host", "203.0.113.7"], {}, "cannot listen on 203.0.113.7"),
        (["--secret-key", "short"], {}, "base64 of 32 random bytes"),
        (["--ca-file", "/nope.pem"], {}, "`ca_file` (/nope.pem) cannot be read: no such file"),
        (["--ca-file", "/dev/null"], {}, "`ca_file` (/dev/null) contains no certificates"),
        (["--source", "a b"], {}, "ource` must be a URI reference"),
        (["--operator-key", "x"], {}, "`operator_key` must have 10 to 200"),
        (["--operator-key", " tdk_0123456789"], {}, "no spaces"),
        ([], {"TIDINGS_OPERATOR_KEY": "tdk_0123456789\n"}, "no spaces"),
        # Of an empty host, the server listened on all addresses, was never ready, and did not stop.
        ([], {"TIDINGS_HOST": ""}, "`host` must be an address or host name without a port, such as 127.0.0.1"),
        (["--host", "127.0.0.1:8080"], {}, "such as 127.0.0.1, not '127.0.0.1:8080'."),
        (["--host", "[::1]"], {}, "`host` must not have brackets: write ::1."),
        (["--data", ""], {}, "`data` must not be empty"),
        (["--data", os.fsdecode(b"\xff")], {}, "`data` is not valid UTF-8"),
    ],
)
def test_what_is_wrong_is_one_sentence(args: list[str], env: dict[str, str], sentence: str, tmp_path: Path) -> None:
    port = [] if "--port" in args else ["--port", "0"]
    assert sentence in refused("--data", str(tmp_path / "data"), *port, *args, env=env, cwd=tmp_path)


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("settings:\n  colour: red\n  log_level: loud\n  data: d\n  shape: 1\n")
    env = {
        "TIDINGS_RETENTION_DAYS": "-1",
        "TIDINGS_CORS_ORIGINS": "https://a.example/x",
        "TIDINGS_PUBLIC_URL": "a.example",
    }
    process = command("--port", "x", "--config", str(tmp_path / "t.yaml"), env=env)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    for says in ("'colour'", "'shape'", "--port must be", "retention_days", "Write https://a.example.", "public_url:"):
        assert says in err, (says, err)
    (tmp_path / "t.yaml").write_text(
        "settings:\n  log_level: loud\n  port: 99999\n  trusted_proxies: [10.0.0.0/8, x]\n"
    )
    process = command("--config", str(tmp_path / "t.yaml"))
    _, err = process.communicate(timeout=SECONDS)
    assert [line.split("column")[0] for line in err.splitlines()] == [
        f"tidings: {tmp_path}/t.yaml, line {number}, " for number in (2, 3, 4)
    ]


def test_a_stronger_source_overrides_a_wrong_value(tmp_path: Path) -> None:
    assert read_settings({"port": "1"}, {"TIDINGS_PORT": "x"}).port == 1


def test_lists_in_the_file_are_read_as_lists() -> None:
    settings = read_settings({}, {}, {"trusted_proxies": ["10.0.0.0/8", "127.0.0.1"], "cors_origins": []})
    assert (settings.trusted_proxies, settings.cors_origins) == ("10.0.0.0/8,127.0.0.1", "")


def test_system_errors_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refused("--data", str(tmp_path / "file"), "--port", "0")
    why = "it is a file or a broken link, but must be a folder. Choose another path."
    assert said == f"tidings: {tmp_path}/file cannot be used: {why}\n"
    assert "[Errno" not in refused("--data", str(tmp_path / "file" / "below"), "--port", "0")


def test_the_log_can_be_json(tmp_path: Path) -> None:
    process, _ = started("--data", str(tmp_path / "data"), "--port", "0", "--log-format", "json")
    _, err = ended(process)
    lines = [json.loads(line) for line in err.splitlines()]
    assert lines and all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    (tmp_path / "file").write_text("")
    said = json.loads(refused("--data", str(tmp_path / "file"), "--port", "0", "--log-format", "json"))
    assert said["level"] == "critical" and "cannot be used" in said["message"]


def test_a_line_of_the_json_log_holds_the_request_and_the_exception() -> None:
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "%s failed", ("req_1",), sys.exc_info(), extra={"request_id": "req_1"}
        )
    text = JsonFormatter().format(record)
    line = json.loads(text)
    assert "\n" not in text and (line["message"], line["request_id"]) == ("req_1 failed", "req_1")
    assert "ValueError: one\ntwo" in line["exception"]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "::1", "fe80::1%eth0", "::ffff:127.0.0.1", "localhost", "db-1.example"]
)
def test_addresses_and_names_may_be_listened_on(host: str) -> None:
    assert read_settings({"host": host}, {}).host == host


def test_an_empty_variable_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a compose file passes on what is not set."""
    monkeypatch.chdir(tmp_path)
    assert find_config("").path is None
    (tmp_path / "tidings.yaml").write_text("settings:\n  port: 1\n")
    assert find_config("").settings == {"port": 1}


def test_an_unknown_flag_is_refused_by_name(tmp_path: Path) -> None:
    process = command("--data", str(tmp_path), "--prot", "1")
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2 and "--prot" in err


def test_the_file_is_read_and_flags_are_stronger(tmp_path: Path, taken_port: int) -> None:
    (tmp_path / "tidings.yaml").write_text(f"settings:\n  port: {taken_port}\n  data: from-file\n")
    assert f"port {taken_port} is in use" in refused(cwd=tmp_path)
    assert "ort` must be" in refused("--port", "-1", cwd=tmp_path)
    (tmp_path / "tidings.yaml").write_text("settings:\n  prot: 1\n")
    assert "tidings.yaml, line 2, column 3: 'prot' is not a known setting." in refused(cwd=tmp_path)


@pytest.mark.slow
def test_starting_loads_neither_typer_nor_rich() -> None:
    code = (
        "import sys; from tidings.cli.main import app; app(['serve', '--port', '70000']); "
        "import tidings.server; "
        "loaded = {name.split('.')[0] for name in sys.modules}; "
        "print(sorted({'typer', 'rich', 'psycopg', 'ruamel', 'jsonschema_rs'} & loaded))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_setting() -> None:
    process = command("--help", env={"COLUMNS": "200"})
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert [setting.flag for setting in SETTINGS if setting.flag not in out] == []


def test_flags_are_read_without_typer() -> None:
    args = ["--data", "d", "--port=1", "--no-allow-http", "--config", "f", "--json"]
    assert serve.read_flags(args) == {"data": "d", "port": "1", "allow_http": False, "config": "f", "json": True}
    for strange in (["--help"], ["--prot", "1"], ["--port"], ["x"], ["--json=1"], ["-h"]):
        assert serve.read_flags(strange) is None


@pytest.mark.slow
def test_a_stop_keeps_requests_in_flight(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path) as server:
        receiver.answer(Reaction(waits=True))
        server.api.post("/v1/endpoints", {"url": receiver.url("/hook")})
        event = server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
        receiver.wait_for(1)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not _listens(server.port), "it takes no more requests")
        receiver.release()
        begun = time.monotonic()
        assert server.process.wait(SECONDS) == 0
        assert time.monotonic() - begun < STOP_SECONDS
        receiver.answer(204)
        server.start()
        [delivery] = server.api.get("/v1/deliveries", event=event["id"])["data"]
        assert delivery["state"] == "delivered"
        assert len(receiver.requests()) == 1


@pytest.mark.slow
def test_a_stop_takes_ten_seconds_at_most(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path) as server:
        receiver.answer(Reaction(silent=True))
        server.api.post("/v1/endpoints", {"url": receiver.url("/hook")})
        event = server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
        receiver.wait_for(1)
        with socket.create_connection(("127.0.0.1", server.port)) as stream:
            head = f"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api.key}\r\n\r\n"
            stream.sendall(head.encode())
            assert stream.recv(4096).startswith(b"HTTP/1.1 200")
            half_sent = socket.create_connection(("127.0.0.1", server.port))
            half_sent.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < STOP_SECONDS
            half_sent.close()
        receiver.answer(204)
        server.start()
        until(lambda: _state(server, event["id"]) == "delivered", "what was cut off is tried again", 15)


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path) as server:
        receiver.answer(Reaction(silent=True))
        server.api.post("/v1/endpoints", {"url": receiver.url("/hook")})
        server.api.post("/v1/events", {"type": "tasks.done", "data": {}})
        receiver.wait_for(1)
        process = server.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        until(lambda: not _listens(server.port), "it takes no more requests")
        assert process.poll() is None
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 128 + signal.SIGINT
        assert time.monotonic() - begun < 1


@pytest.mark.slow
def test_kill_nine_loses_nothing(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path) as server:
        receiver.answer(Reaction(waits=True))
        server.api.post("/v1/endpoints", {"url": receiver.url("/hook")})
        ids = {server.api.post("/v1/events", {"type": "tasks.done", "data": {"n": n}})["id"] for n in range(50)}
        server.kill()
        receiver.answer(204)
        server.start()
        until(lambda: {each.id for each in receiver.requests()} == ids, "every acknowledged event arrives", 20)
        until(lambda: all(_state(server, each) == "delivered" for each in ids), "all are settled", 20)


def _state(server: ProcessServer, event: str) -> str:
    [delivery] = server.api.get("/v1/deliveries", event=event)["data"]
    return str(delivery["state"])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


DECLARED = """\
collections:
  tasks:
    fields:
      title: string
"""


@pytest.mark.slow
def test_a_start_makes_what_the_file_declares_and_refuses_what_would_lose(tmp_path: Path) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(DECLARED)
    data = tmp_path / "data"
    given = ("--data", str(data), "--port", "0", "--config", str(file))
    env = {"TIDINGS_OPERATOR_KEY": "tdk_" + "x" * 32}
    process, first = started(*given, env=env)
    url = next(word for word in first.split() if word.startswith("http://")).rstrip(";")
    with Client(url, env["TIDINGS_OPERATOR_KEY"]) as client:
        read = ClientRequest("GET", "/v1/collections/tasks")
        assert list(client.send(read)["fields"]) == ["title"]
        client.send(ClientRequest("PATCH", "/v1/collections/tasks", body={"fields": {"more": "string"}}))
        client.send(ClientRequest("POST", "/v1/collections", body={"name": "other"}))
    _, err = ended(process)
    assert "will create the collection tasks with 1 field" in err
    with contextlib.closing(SqliteDb(str(data / "tidings.db"), readonly=False)) as db:
        db.script("INSERT INTO c_tasks (id, tenant, revision, created, updated, f_more) VALUES ('a', '', 1, 1, 1, 'x')")
    why = refused(*given, env=env)
    assert "it would drop 1 column with 1 value: tasks.more" in why
    assert f"run: tidings apply {file} --stopped" in why
    file.write_text(DECLARED.replace("title: string", "title: {type: string, required: true}\n      more: string"))
    assert "1 item of tasks has no title" in refused(*given, env=env)
    file.write_text(DECLARED + "      more: string\n      new: integer\n")
    process, _ = started(*given, env=env)
    _, err = ended(process)
    assert "will add the field tasks.new (integer)" in err
    file.write_text(DECLARED + "      more: strnig\n")
    assert "line 5, column 13: A field needs a type" in refused(*given, env=env)


@pytest.mark.slow
def test_a_first_start_on_a_full_disk_says_which_one(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    # Files of a process that may not be longer than this behave as on a full disk.
    program = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({1 << 16}, {1 << 16}));"
        "runpy.run_module('tidings', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--data", folder, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"; free some space on the disk of {folder}, and start the server again.\n"), (
        done.stderr
    )
