"""`tidings check` and `tidings doctor`: what is right, what is wrong, and what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.nobody import as_nobody
from tidings.cli.local.doctor_local import look_at_folder, look_at_owner, look_at_python, unreadable
from tidings.settings import SETTINGS
from tidings.testing import Receiver, TestServer, until

Read = Callable[..., Any]


def test_check_says_what_would_be_used(read: Read, run: Run, tmp_path: Path) -> None:
    (tmp_path / "tidings.yaml").write_text("settings:\n  port: 9000\n  operator_key: hush-hush-hush\n")
    said = read("check", env={"TIDINGS_RETENTION_DAYS": "7"})
    assert said["ok"] and said["file"] == "tidings.yaml"
    assert set(said["settings"]) == {setting.name for setting in SETTINGS}
    assert (said["settings"]["port"], said["settings"]["retention_days"]) == (9000, 7)
    assert said["settings"]["operator_key"] == "***"
    shown = run("check", env={"TIDINGS_RETENTION_DAYS": "7"}).stdout
    assert "TIDINGS_RETENTION_DAYS" in shown and "hush" not in shown


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("settings:\n  port: 8080\n  prot: 1\n", "line 3, column 3: 'prot' is not a known setting"),
        ("settings:\n  port: no\n", "line 2, column 9: port in the file must be a whole number, not 'no'"),
        ("setings: {}\n", "line 1, column 1: 'setings' is not a known section"),
        ("settings:\n  port: 1\n  port: 2\n", "line 3, column 3: found duplicate key"),
        ("settings: [1]\n", "line 1, column 11: this must be a mapping"),
        ("- 1\n", "line 1, column 1: this must be a mapping"),
        ("settings: {\n", "line 2, column 1"),
        ("? [1]\n: 2\n", "line 1, column 3"),
        ("a: *b\n", "line 1, column 4"),
        ("settings:\n  allow_addresses: 10.0.0.0/99\n", "10.0.0.0/99"),
        ("settings:\n  ca_file: none.pem\n", "none.pem) cannot be read"),
        ("settings:\n  secret_key: short\n", "base64 of 32 random bytes"),
        ("collections: false\n", "line 1, column 14: Collections must be an object"),
        ("settings: 0\n", "line 1, column 11: this must be a mapping"),
        ("settings:\n  port: [[1]]\n", "line 2, column 9: `port` must be a single value, or a list of values"),
        ("settings: {}\n---\na: 1\n", "line 2, column 1: expected a single document in the stream, but found another"),
        ("collections:\n  t: {fields: {a: \x01}}\n", "line 2, column 19: the character U+0001 is not allowed here"),
        ('collections:\n  t: {description: "\\ud800"}\n', "line 2, column 20: there is an unpaired surrogate"),
        (f"collections:\n  t: {'9' * 5000}\n", "line 2, column 6: '999"),
        (f"collections: {'[' * 500}{']' * 500}\n", "line 1, column 61: the nesting is too deep"),
        ("collections: [1]\n", "line 1, column 14: Collections must be an object"),
        ("collections:\n  Tasks: {}\n", "line 2, column 3: A collection's name must be lowercase"),
        ("collections:\n  t:\n    fields:\n      a: text\n", "line 4, column 10: A field needs a type"),
        ("collections:\n  t:\n    feilds: {}\n", "line 3, column 5: 'feilds' is unknown here"),
        (
            "collections:\n  t:\n    fields: {a: {type: enum, values: [x, x]}}\n",
            "line 3, column 42: 'x' appears twice",
        ),
        ("collections:\n  t:\n    fields:\n      a: {type: enum}\n", "line 4, column 10: An enum needs `values`"),
        (
            "collections:\n  t: {fields: {a: {type: reference, to: u}}}\n",
            "line 2, column 41: There is no collection 'u'",
        ),
        (
            "collections:\n  t: {fields: {on: boolean}, events: {e: when on becomes 3}}\n",
            "column 42: on can never be 3",
        ),
        (
            "collections:\n  t: {fields: {a: {type: number, max: 12345678901234567.89}}}\n",
            "line 2, column 39: 12345678901234567.89 does not fit into a double exactly",
        ),
        (
            "collections:\n  t: {fields: {a: {type: decimal, default: 12.30}}}\n",
            'line 2, column 44: It must be a decimal as a string, such as "5.00"',
        ),
        ("settings:\n  port: ٣\n", "line 2, column 9: port in the file must be a whole number"),
        ("collections:\n  t: {fields: {1: string}}\n", "line 2, column 16: A name must be a string"),
        ("collections:\n  t: {fields: {a: &a {type: x}, b: *a}}\n", "line 2, column 29: A field needs a type"),
    ],
)
@pytest.mark.few(12)
def test_check_names_line_and_column(run: Run, tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    said = run("check", str(path))
    assert said.exit_code == 1 and said.stdout == ""
    assert sentence in said.stderr


def test_check_names_every_wrong_place_of_a_declaration(run: Run, tmp_path: Path) -> None:
    text = "collections:\n  t:\n    was: t\n    fields:\n      id: string\n      a: {type: date, min: 2026-02-30}\n"
    (tmp_path / "tidings.yaml").write_text(text)
    lines = run("check").stderr.strip().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "tidings.yaml, line 3, column 10",
        "tidings.yaml, line 5, column 7",
        "tidings.yaml, line 6, column 28",
    ]


def test_check_says_what_is_declared(read: Read, run: Run, tmp_path: Path) -> None:
    fields = "{due: {type: date, default: 2026-01-01}, on: {type: enum, values: [no, yes]}}"
    text = f"collections:\n  tasks:\n    fields: {fields}\n"
    (tmp_path / "tidings.yaml").write_text(text)
    assert read("check")["collections"] == ["tasks"]
    assert "The file declares collections tasks." in run("check").stdout


def test_check_refuses_files_that_are_not_text(run: Run, tmp_path: Path) -> None:
    assert "cannot be read" in run("check", "none.yaml").stderr
    (tmp_path / "x.yaml").write_bytes("# ü\n# ü ".encode() + b"\xff\xfe\x00")
    assert "line 2, column 5: this is not valid UTF-8" in run("check", str(tmp_path / "x.yaml")).stderr
    (tmp_path / "x.yaml").write_text("# nothing yet\n")
    assert run("check", str(tmp_path / "x.yaml")).exit_code == 0


def test_doctor_finds_a_running_server_healthy(read: Read, server: TestServer) -> None:
    findings = read("doctor", "--data", str(server.folder))
    assert {each["state"] for each in findings} <= {"ok", "warn"}
    assert {"python", "files", "clock", "data", "privacy", "disk", "sqlite", "database", "server", "skew", "key"} <= {
        each["what"] for each in findings
    }


@pytest.mark.slow
def test_doctor_finds_endpoints_that_fail(read: Read, run: Run, server: TestServer, receiver: Receiver) -> None:
    receiver.answer(410)
    endpoint = read("endpoints", "create", receiver.url("/gone"))
    read("publish", "tasks.done", "--data", "{}")
    until(lambda: read("endpoints", "show", endpoint["id"])["state"] == "disabled", "410 disables")
    said = run("doctor", "--data", str(server.folder)).stdout
    assert f"tidings endpoints resume {endpoint['id']}" in said


def test_doctor_reports_an_unknown_key_once_and_the_server_as_ready(run: Run, server: TestServer) -> None:
    said = run("doctor", "--data", str(server.folder), "--json", env={"TIDINGS_KEY": "tdk_unknown"})
    findings = json.loads(said.stdout)
    assert said.exit_code == 1
    assert [each["what"] for each in findings if each["state"] == "fail"] == ["key"]
    assert [each["state"] for each in findings if each["what"] == "server"] == ["ok"]


@pytest.mark.slow
def test_one_refused_message_does_not_make_a_failing_endpoint(
    read: Read, server: TestServer, receiver: Receiver
) -> None:
    receiver.answer(422)
    endpoint = read("endpoints", "create", receiver.url("/"))["id"]
    read("publish", "tasks.done", "--data", "{}")
    until(lambda: read("endpoints", "show", endpoint)["health"]["fails"], "it is refused")
    assert read("endpoints", "show", endpoint)["health"]["failing_since"] is None
    assert not [each for each in read("doctor", "--data", str(server.folder)) if endpoint in each["detail"]]
    assert b"tidings_endpoints_failing 0.0" in server.api.call("GET", "/metrics").body


@pytest.mark.slow
def test_doctor_names_tenants_that_want_more_than_their_share(read: Read, server: TestServer) -> None:
    assert server.server is not None
    share = server.server.parts.open_calls.share
    while share.take("greedy"):
        pass
    found = [each for each in read("doctor", "--data", str(server.folder)) if each["what"] == "share"]
    assert [each["state"] for each in found] == ["warn"]
    assert "greedy has wanted more than its share of streams 1 time since startup" in found[0]["detail"]
    assert "now holds 750 of 1,000" in found[0]["detail"]
    while share.held("greedy"):
        share.give_back("greedy")
    for _ in range(27):
        share.refuse(None)
    assert not [each for each in read("doctor", "--data", str(server.folder)) if each["what"] == "share"]
    while share.take(None):
        pass
    found = [each for each in read("doctor", "--data", str(server.folder)) if each["what"] == "share"]
    while share.held(None):
        share.give_back(None)
    assert found[0]["detail"].startswith(
        "Your own work, which has no tenant, has wanted more than its share of streams 28"
    )


def test_doctor_says_what_to_do(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "secret.key").touch(mode=0o644)
    said = run("doctor", "--data", str(folder), "--url", "http://127.0.0.1:1")
    assert said.exit_code == 1
    for advice in (
        f"chmod 700 {folder}",
        f"chmod 600 {folder}/secret.key",
        "tidings.db is missing. The server refuses to start without its data",
        "tidings serve",
    ):
        assert advice in said.stdout
    assert not (folder / "tidings.db").exists()
    (folder / "secret.key").unlink()
    assert (
        "The server creates the file at its first start."
        in run("doctor", "--data", str(folder), "--url", "http://127.0.0.1:1").stdout
    )


@pytest.mark.parametrize(
    ("prefix", "options", "state"),
    [
        ("/usr", "'--prefix=/usr'", "ok"),
        ("/pyenv/versions/3.13.0", "'--prefix=/pyenv/versions/3.13.0'", "warn"),
        ("/usr/local", "'--enable-optimizations' '--with-lto'", "ok"),
        ("C:/Python", None, "ok"),
    ],
)
def test_doctor_names_a_python_without_optimization(prefix: str, options: str | None, state: str) -> None:
    found = look_at_python("/bin/python", prefix, options)
    assert found.state == state and ("--enable-optimizations" in found.detail) is (state == "warn")


def test_doctor_finds_a_database_that_other_users_can_read(run: Run, server: TestServer) -> None:
    file = server.folder / "tidings.db"
    file.chmod(0o644)
    assert f"run: chmod 600 {file}" in run("doctor", "--data", str(server.folder)).stdout
    file.chmod(0o600)
    assert "chmod" not in run("doctor", "--data", str(server.folder)).stdout


@pytest.mark.slow
@pytest.mark.parametrize("left", [(), ("-wal", "-shm")], ids=["stopped", "journal of another user"])
def test_doctor_changes_nothing(run: Run, tmp_path: Path, left: tuple[str, ...]) -> None:
    """A database that is opened and closed loses its journal, and with it what kept the server from starting."""
    folder, is_root = tmp_path / "data", os.geteuid() == 0
    with TestServer(folder):
        pass
    for end in left:
        path = folder / f"tidings.db{end}"
        path.touch(0o600)
        if is_root:
            os.chown(path, 12345, -1)

    def state() -> set[tuple[str, int, int, int]]:
        found = {file.name: file.stat() for file in folder.iterdir()}
        return {(name, each.st_uid, each.st_size, each.st_mtime_ns) for name, each in found.items()}

    before = state()
    said = run("doctor", "--data", str(folder), "--url", "http://127.0.0.1:1").stdout
    assert state() == before and "The schema is" in said
    if left and is_root:
        assert "tidings.db-wal belongs to user 12345, its folder to root (user 0): only root can start" in said


def test_doctor_names_who_refuses_to_start(tmp_path: Path) -> None:
    with TestServer(tmp_path / "data") as server:
        folder = server.folder
    if os.geteuid() == 0:
        os.chown(folder, 12345, -1)
        [found] = look_at_owner(folder, folder / "tidings.db")
        assert "belongs to root (user 0), its folder to user 12345: a server that runs as user 12345 refuses" in (
            found.detail
        )
        assert found.detail.endswith(f"chown -R 12345 {folder}")


def test_doctor_names_a_folder_that_it_may_not_look_into(tmp_path: Path) -> None:
    assert unreadable(tmp_path) is None and unreadable(tmp_path / "none") is None
    tmp_path.chmod(0)
    try:
        for folder in (tmp_path, tmp_path / "data") if os.geteuid() else ():
            assert f"and cannot read {folder}. Run this as root" in str(unreadable(folder))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_doctor_as_another_user_advises_nothing_that_would_take_the_folder_from_the_server() -> None:
    """A folder that was made by hand may be open to others; the files in it are not."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        for name in ("lock", "tidings.db"):
            (folder / name).touch(0o600)
        seen = as_nobody(lambda: unreadable(folder, folder / "tidings.db"))
        assert f"and cannot read {folder / 'lock'}. Run this as root, or as the server's user." in str(seen)
        (folder / "lock").chmod(0o644)
        assert f"read {folder / 'tidings.db'}" in str(as_nobody(lambda: unreadable(folder, folder / "tidings.db")))
        assert as_nobody(lambda: unreadable(folder)) == ""
    finally:
        shutil.rmtree(folder)


def test_doctor_advises_what_helps_against_the_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(number: int) -> str:
        def refuse(**_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
        return next(each.detail for each in look_at_folder(tmp_path) if each.what == "data")

    assert said(errno.ENOSPC).endswith("no space left on device. Free some space.")
    assert said(errno.EROFS).endswith("Mount a writable volume at the data folder, or choose another --data.")
    assert said(errno.EACCES).endswith(f"Run: chown -R {os.geteuid()} {tmp_path}")


def test_doctor_reports_a_wrong_key(run: Run, server: TestServer) -> None:
    said = run("doctor", "--data", str(server.folder), "--key", "wrong")
    assert said.exit_code == 1 and "tidings keys create" in said.stdout
    assert "Pass a key with --key" in run("doctor", "--data", str(server.folder), env={"TIDINGS_KEY": ""}).stdout


@pytest.mark.slow
def test_doctor_reports_wrong_settings(run: Run, tmp_path: Path) -> None:
    said = run("doctor", env={"TIDINGS_PROT": "1"})
    assert said.exit_code == 1 and "TIDINGS_PROT is not a Tidings setting" in said.stdout
    said = run("doctor", "--database", "mysql:x")
    assert said.exit_code == 1 and "neither sqlite:FILE nor postgresql://" in said.stdout


@pytest.mark.postgres
def test_doctor_reaches_postgresql(read: Read, run: Run, migrated_url: str) -> None:
    [database] = [each for each in read("doctor", "--database", migrated_url) if each["what"] == "database"]
    assert database["state"] == "ok"
    said = run("doctor", "--database", "postgresql://127.0.0.1:1/none")
    assert said.exit_code == 1 and "PostgreSQL cannot be reached" in said.stdout
