"""`tidings doctor --production`, and what a start says of a folder that it may not use or that will not last."""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, read, run, server
from tests.nobody import as_nobody
from tests.postgres_server import PostgresServer
from tidings.cli.local.doctor import POINTS
from tidings.cli.local.doctor_local import Finding, look_at_owner
from tidings.cli.local.production import data, proxy, record, service, usage
from tidings.model import moment
from tidings.model.moment import DAY, HOUR
from tidings.settings import Settings, read_settings
from tidings.store.engines import place
from tidings.store.engines.pen import Durability
from tidings.store.engines.place import Mount, mount_of
from tidings.testing import TestServer
from tidings.testing.api import Api

__all__ = ["read", "run", "server"]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "production.md"
MOUNTS = """\
22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/l
23 22 0:21 / /data rw,relatime - ext4 /dev/vda1 rw
24 22 0:22 / /mnt/two\\040words rw - nfs4 files:/export rw
25 22 0:23 / /run rw - tmpfs tmpfs rw
26 25 0:24 / /run rw shared:5 - tmpfs later rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/data", Mount("/data", "ext4")),
        ("/data/tidings", Mount("/data", "ext4")),
        ("/database", Mount("/", "overlay")),
        ("/mnt/two words/x", Mount("/mnt/two words", "nfs4")),
        ("/run/x", Mount("/run", "tmpfs")),
    ],
)
def test_the_kind_of_file_system_is_read_from_the_mounts(path: str, found: Mount) -> None:
    assert mount_of(Path(path), MOUNTS) == found


def test_a_place_that_does_not_last_or_is_not_ours_alone_is_named() -> None:
    folder = Path("/data")
    assert "a container's own layer (overlay)" in str(place.passing(folder, Mount("/", "overlay")))
    assert "is on memory (tmpfs)" in str(place.passing(folder, Mount("/data", "tmpfs")))
    assert "network file system (nfs4)" in str(place.shared(folder, Mount("/data", "nfs4")))
    for said in (place.passing, place.shared):
        assert said(folder, Mount("/data", "ext4")) is None and said(folder, None) is None


@pytest.mark.slow
def test_a_start_on_a_containers_own_layer_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "mounts")
    with caplog.at_level(logging.WARNING), TestServer(tmp_path / "data"):
        pass
    assert [line for line in caplog.messages if "Mount a volume there" in line]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_start_names_whose_the_folder_is() -> None:
    own = Path(tempfile.mkdtemp())
    try:
        own.chmod(0o755)
        _names_whose_it_is(own / "data")
    finally:
        shutil.rmtree(own)


def _names_whose_it_is(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    assert f"{folder} does not exist, and nobody (user {nobody})" in as_nobody(lambda: place.refuse_closed(folder, []))
    folder.mkdir()
    said = as_nobody(lambda: place.refuse_closed(folder, []))
    assert f"{folder} belongs to root (user 0), but the server runs as nobody" in said
    assert said.endswith(f"Run: chown -R {nobody} {folder}")
    os.chown(folder, nobody, -1)
    file = folder / "tidings.db"
    file.touch(0o600)
    said = as_nobody(lambda: place.refuse_closed(folder, [file]))
    assert f"{file} belongs to root (user 0)" in said
    os.chown(file, nobody, -1)
    file.chmod(0o400)
    assert "is closed to its owner" in as_nobody(lambda: place.refuse_closed(folder, [file]))
    file.chmod(0o600)
    assert as_nobody(lambda: place.refuse_closed(folder, [file])) == ""


def wrong(findings: Iterator[Finding]) -> dict[str, str]:
    return {each.what: each.detail for each in findings if each.state != "ok"}


def settings_of(folder: Path, **more: Any) -> Settings:
    return read_settings({"data": str(folder), **more}, {})


@pytest.mark.slow
def test_backups_are_judged_by_their_age_their_place_and_their_trial(run: Run, tmp_path: Path) -> None:
    folder, kept, keys = tmp_path / "data", tmp_path / "backups", tmp_path / "keys"
    for each in (kept, keys):
        each.mkdir()
    with TestServer(folder) as other:
        other.api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/"})
    settings, now = settings_of(folder), moment.SystemClock().now()

    def judged(at: int = now) -> dict[str, str]:
        return wrong(data.look_at_data(settings, at))

    found = judged()
    assert "has ever been made" in found["backup"] and "No backup has ever been restored" in found["trial"]
    assert "No copy of" in found["secret"]
    here = ("--data", str(folder))
    assert run("backup", str(kept), "--with-key", str(keys / "kept.key"), *here).exit_code == 0
    said = run("restore", str(kept), "--trial", *here)
    assert said.exit_code == 0 and "0 events and 1 endpoint, and every secret in it can be decrypted" in said.stdout
    assert len(list(kept.iterdir())) == 1, "nothing is left of the trial"
    found = judged()
    assert set(found) - {"volume"} == {"backup"} and "on the same disk as the data" in found["backup"]
    assert "2.0 days ago" in judged(now + 2 * DAY)["backup"]
    assert "The last trial restore of a backup was 39 days ago" in judged(now + 39 * DAY + HOUR)["trial"]
    (kept / "secret.key").write_bytes((keys / "kept.key").read_bytes())
    assert "contains the secret key, next to the backups" in judged()["secret"]
    next(kept.glob("*.db")).unlink()
    assert "but no longer exists" in judged()["backup"]
    assert "there is no backup in" in run("restore", str(kept), "--trial", *here).stderr
    assert run("backup", str(folder), *here).exit_code == 0
    assert "inside the data folder" in judged(now + HOUR)["backup"]


@pytest.mark.slow
def test_a_trial_removes_what_a_killed_one_has_left(run: Run, tmp_path: Path) -> None:
    folder, kept = tmp_path / "data", tmp_path / "backups"
    left, running = kept / ".tidings-trial-left", kept / ".tidings-trial-running"
    for each in (left, running):
        each.mkdir(parents=True)
        (each / "tidings.db").write_bytes(b"half")
    with TestServer(folder):
        pass
    here = ("--data", str(folder))
    assert run("backup", str(kept), *here).exit_code == 0
    opened = os.open(running, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        assert run("restore", str(kept), "--trial", *here).exit_code == 0
        assert list(kept.glob(".*")) == [running]
    finally:
        os.close(opened)


@pytest.mark.slow
def test_a_backup_that_its_key_does_not_open_fails_its_trial(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with TestServer(folder):
        pass
    assert run("backup", str(tmp_path / "x.db"), "--data", str(folder)).exit_code == 0
    with TestServer(tmp_path / "other"):
        pass
    said = run("restore", str(tmp_path / "x.db"), "--trial", "--data", str(tmp_path / "other"))
    assert said.exit_code == 1 and "is not the secret key of" in said.stderr
    assert record.read(tmp_path / "other").tried is None


@pytest.mark.slow
def test_files_of_another_owner_are_named(tmp_path: Path) -> None:
    with TestServer(tmp_path / "data"):
        pass
    if os.geteuid() == 0:
        os.chown(tmp_path / "data" / "tidings.db", 12345, -1)
        found = wrong(look_at_owner(tmp_path / "data", tmp_path / "data" / "tidings.db"))
        assert "tidings.db belongs to user 12345, its folder to root (user 0)" in found["owner"]


@pytest.mark.slow
def test_a_folder_that_does_not_exist_is_named_and_nothing_else_of_it(run: Run, tmp_path: Path) -> None:
    said = run("doctor", "--production", "--data", str(tmp_path / "none"), "--json")
    found = {each["what"]: each["detail"] for each in json.loads(said.stdout)}
    assert (
        f"There is no folder {tmp_path / 'none'}, so" in found["data"] and "--config /etc/tidings.yaml" in found["data"]
    )
    assert not {"database", "service", "owner", "backup", "trial", "secret"} & set(found)


@pytest.mark.slow
def test_a_key_that_only_the_server_has_is_asked_for(tmp_path: Path) -> None:
    key, settings = base64.b64encode(b"k" * 32).decode(), settings_of(tmp_path / "data")
    with TestServer(tmp_path / "data", secret_key=key):
        record.note(settings.folder, made=str(tmp_path / "x.db"), made_at=0)
        found = [each for each in data.look_at_data(settings, 0) if each.what == "secret"]
    [missing] = found
    assert "for this command, but a server is running with a secret key" in missing.detail
    assert "/etc/tidings.env" in missing.detail and "Errno" not in missing.detail
    [missing] = [each for each in data.look_at_data(settings, 0) if each.what == "secret"]
    assert missing.detail.endswith("Restore the file from your copy, or set the variable to the key.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "is empty: writing it was interrupted"),
        (b"garbage", "must be the base64 of 32 random bytes"),
        (base64.b64encode(b"o" * 32), "is not the key of this database: its mark is"),
    ],
)
def test_a_secret_key_that_a_start_would_refuse_is_named(tmp_path: Path, text: bytes, sentence: str) -> None:
    with TestServer(tmp_path / "data"):
        pass
    settings = settings_of(tmp_path / "data")
    (tmp_path / "data" / "secret.key").write_bytes(text)
    [found] = [each for each in data.look_at_data(settings, 0) if each.what == "secret"]
    assert found.state == "fail" and sentence in found.detail
    own = settings_of(tmp_path / "data", secret_key=base64.b64encode(b"o" * 32).decode())
    [found] = [each for each in data.look_at_data(own, 0) if each.what == "secret"]
    assert "TIDINGS_SECRET_KEY is not the key of this database" in found.detail


def test_another_port_of_this_machine_is_a_proxy_and_not_the_server(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, port=18090)
    [direct] = proxy.look_at_proxy("http://127.0.0.1:18090/", "", settings)
    assert "is the server itself" in direct.detail
    [https, *_] = proxy.look_at_proxy("http://127.0.0.1:1/hooks", "", settings)
    assert https.state == "fail" and "is not encrypted" in https.detail


@pytest.mark.slow
@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "http://127.0.0.1:1"])
def test_that_nobody_answers_is_said_once_and_why(run: Run, tmp_path: Path, url: str) -> None:
    """By a proxy's URL, and by the server's own, where no proxy is checked."""
    here = ("--data", str(tmp_path), "--production", "--url", url)
    found = json.loads(run("doctor", *here, "--json", env={"TIDINGS_PORT": "1"}).stdout)
    said = [each["state"] for each in found if f"Nothing is listening on {url}" in each["detail"]]
    assert said == ["fail"], found


def test_counts_are_english() -> None:
    asked = 'tidings_answers_total{operation="metrics",status="200"} 1.0'
    text = f"{asked}\nprocess_start_time_seconds {time.time() - 60}\n"
    assert "have been read 1 time since the server started 1 minute ago" in usage._watched(text).detail


def test_the_servers_process_is_judged_and_not_the_doctors(server: TestServer, tmp_path: Path) -> None:
    found = {each.what: each for each in service.look_at_service(settings_of(server.folder, log_level="debug"))}
    assert set(found) == {"service", "user", "limit", "ntp", "log"}
    assert found["user"].state == ("fail" if os.geteuid() == 0 else "ok")
    assert "writes a line for each step" in found["log"].detail
    [absent, *_] = service.look_at_service(settings_of(tmp_path))
    assert "No server is using" in absent.detail


def test_an_interpreter_in_a_home_folder_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    at = Path("/home") / "python3.13"
    python.symlink_to(at)
    said = service.hidden(python)
    assert f"is {at}, which deploy/tidings.service cannot run" in said
    assert service.hidden(Path("/usr/bin/python3")) == service.hidden(tmp_path / "homely") == ""


@pytest.mark.parametrize(
    ("group", "state", "words"),
    [
        ("0::/system.slice/tidings.service", "ok", "the unit tidings.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope", "fail", "somebody's login session"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/x.scope", "fail", "without a supervisor"),
    ],
)
def test_who_started_the_server_is_read_from_its_control_group(
    tmp_path: Path, group: str, state: str, words: str
) -> None:
    process = tmp_path / "77"
    process.mkdir()
    (process / "cgroup").write_text(group + "\n")
    found = service._supervised(process)
    assert found.state == state and words in found.detail
    (tmp_path / "containerenv").touch()
    within = service._supervised(process, containers=(tmp_path / "containerenv",))
    assert within.state == state, "its parent is not the first process"
    (process / "status").write_text("Name:\ttidings\nPPid:\t1\n")
    assert service._supervised(process, containers=(tmp_path / "containerenv",)).state == "ok", "docker run --init"
    assert service._supervised(process, containers=(tmp_path / "none",)).state == state
    (process / "limits").write_text("Max open files            1024                 524288               files\n")
    [limit] = service._open_files(process)
    assert limit.state == "fail" and "LimitNOFILE=65536" in limit.detail


@pytest.mark.slow
def test_a_key_of_the_documentation_and_one_for_everything_are_named(tmp_path: Path) -> None:
    with TestServer(tmp_path / "data", operator_key="tdk_try-it") as other:
        found = [each for each in usage.look_at_usage(other.url, "tdk_try-it") if each.state == "fail"]
    said = " ".join(each.detail for each in found)
    assert "The operator's key is tdk_try-it" in said and "only 10 characters" in said
    assert "only the operator's key" in said and "nobody will notice when the server fails" in said


@pytest.mark.slow
def test_one_command_goes_through_the_list(
    run: Run, read: Callable[..., Any], server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ("--data", str(server.folder), "--production")
    monkeypatch.setenv("TIDINGS_PORT", server.url.rpartition(":")[2])
    said = run("doctor", *here, "--json")
    assert said.exit_code == 1
    points = {each["what"] for each in json.loads(said.stdout)}
    assert {"service", "volume", "backup", "https", "keys", "watched"} <= points
    failing = {each["what"] for each in json.loads(said.stdout) if each["state"] == "fail"}
    excepted = [word for point in sorted(failing) for word in ("--except", point)]
    assert not failing & {each["what"] for each in read("doctor", *here, *excepted)}
    refused = run("doctor", *here, "--except", "weather")
    assert refused.exit_code == 1 and "there is no such point" in refused.stderr


def test_the_page_lists_each_point() -> None:
    page = PAGE.read_text()
    assert [point for point in POINTS if f"`{point}`" not in page] == []


def test_archived_wal_is_not_called_a_backup() -> None:
    found = data._archive(
        Durability(
            standby_names="", synchronous=(), archives=True, archived_at="2026-11-30 10:00:00", archive_failing=None
        )
    )
    assert found.state == "ok" and "also needs a base backup, which this command cannot see" in found.detail


@pytest.mark.postgres
def test_postgresql_without_a_replica_or_an_archive_is_named(
    tmp_path: Path, postgres_server: PostgresServer, migrated_url: str
) -> None:
    settings = settings_of(tmp_path, database=migrated_url, secret_key="MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    found = wrong(data.look_at_data(settings, 0))
    assert set(found) == {"replica", "backup"}
    assert "no synchronous replica" in found["replica"] and "does not archive its WAL" in found["backup"]


def test_the_operation_shows_how_the_server_sees_its_caller(server: TestServer) -> None:
    seen = server.api.get("/v1/caller")
    assert (seen["key_name"], seen["address"], seen["connected_from"]) == ("operator", "127.0.0.1", "127.0.0.1")
    assert not seen["connection_trusted"] and seen["x_forwarded_for"] is None and seen["public_url"] is None
    tenant = server.api.post("/v1/tenants", {"id": "acme"})["id"]
    key = server.api.post("/v1/keys", {"name": "acme", "tenant": tenant, "scopes": ["metrics:read"]})
    assert Api(server.url, key["key"]).call("GET", "/v1/caller").status == 403
