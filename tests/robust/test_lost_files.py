"""Files of the data folder that are lost, emptied, swapped, open to others or used twice: a start says so."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_server import PostgresServer
from tidings.server import Server
from tidings.settings import read_settings
from tidings.store.base import StoreError
from tidings.store.engines.opening import open_engine
from tidings.store.engines.sqlite import SqliteDb
from tidings.store.files import write_whole
from tidings.testing import ProcessServer, TestServer
from tidings.testing.api import LOOPBACK, OPERATOR_KEY

GIVEN_KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


def filled(folder: Path, **settings: Any) -> str:
    """A server that ran on the folder and stopped; the id of an event in it."""
    with TestServer(folder, **settings) as server:
        server.api.register("https://example.com/hook")
        return server.api.publish("step")


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(StoreError) as said:
        TestServer(folder, **settings).start()
    return str(said.value)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "emptied"])
@pytest.mark.parametrize("key", ["", GIVEN_KEY], ids=["key file", "key given"])
def test_a_missing_database_is_not_recreated(tmp_path: Path, how: str, key: str) -> None:
    filled(tmp_path, secret_key=key)
    file = tmp_path / "tidings.db"
    file.unlink()
    if how == "emptied":
        file.touch()
    said = refusal(tmp_path, secret_key=key)
    assert "was used before, but its database is empty or missing" in said
    assert "tidings restore" in said and "--new-store" in said
    assert not file.exists() or file.stat().st_size == 0, "nothing was begun"
    refusal(tmp_path, secret_key=key)


@pytest.mark.slow
def test_a_database_without_our_tables_is_not_filled_again(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "tidings.db").unlink()
    with contextlib.closing(SqliteDb(str(tmp_path / "tidings.db"), readonly=False)) as db:
        db.script("CREATE TABLE notes (text TEXT)")
    assert "its database is empty or missing" in refusal(tmp_path)


def test_changes_in_a_journal_are_not_destroyed(tmp_path: Path) -> None:
    (tmp_path / "tidings.db-wal").write_bytes(b"\x37\x7f\x06\x82" * 100)
    assert "tidings.db-wal contains changes to it" in refusal(tmp_path)
    assert (tmp_path / "tidings.db-wal").stat().st_size == 400


@pytest.mark.postgres
def test_an_emptied_postgres_database_is_not_filled_again(
    tmp_path: Path, postgres_url: str, postgres_server: PostgresServer
) -> None:
    filled(tmp_path, database=postgres_url)
    with postgres_server.database() as other:
        assert "its database is empty or missing" in refusal(tmp_path, database=other)


@pytest.mark.slow
def test_new_store_is_needed_only_once(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "tidings.db").unlink()
    flags = {"port": 0, "allow_addresses": LOOPBACK, "operator_key": OPERATOR_KEY, "data": str(tmp_path)}
    server = Server(read_settings(flags, {}))
    server.open(new_store=True)
    server.writer.close()
    server._stored.release()
    again = Server(read_settings(flags, {}))
    with pytest.raises(StoreError, match="is not empty: start without --new-store"):
        again.open(new_store=True)
    with TestServer(tmp_path) as server_again:
        assert server_again.api.get("/v1/events")["data"] == []


@pytest.mark.slow
def test_another_key_is_refused_even_if_nothing_was_sealed(tmp_path: Path) -> None:
    with TestServer(tmp_path):
        pass
    kept = (tmp_path / "secret.key").read_bytes()
    (tmp_path / "secret.key").unlink()
    said = refusal(tmp_path)
    assert "secret.key is missing" in said and not (tmp_path / "secret.key").exists()
    write_whole(tmp_path / "secret.key", GIVEN_KEY.encode())
    assert "is not the key of this database: its mark is" in refusal(tmp_path)
    assert "TIDINGS_SECRET_KEY is not the key" in refusal(tmp_path, secret_key=GIVEN_KEY)
    write_whole(tmp_path / "secret.key", kept)
    with TestServer(tmp_path) as server:
        server.api.publish("step")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\n", b"AAAA\n", b"\xff\xfe" * 16])
def test_a_key_file_that_was_not_written_whole_is_explained(tmp_path: Path, content: bytes) -> None:
    tmp_path.chmod(0o700)
    with TestServer(tmp_path / "data"):
        pass
    file = tmp_path / "data" / "secret.key"
    file.write_bytes(content)
    said = refusal(tmp_path / "data")
    assert str(file) in said
    assert ("power cut" in said and "put the key back" in said) if not content.strip() else "base64 of 32" in said


@pytest.mark.slow
@pytest.mark.parametrize("step", ["before anything", "database made", "database filled", "key written aside"])
def test_a_first_start_may_be_interrupted_anywhere(tmp_path: Path, step: str) -> None:
    """What a power cut can leave of the very first start; the next one continues."""
    data = tmp_path / "data"
    data.mkdir()
    if step == "database made":
        (data / "tidings.db").touch()
    elif step != "before anything":
        open_engine("sqlite:tidings.db", data).close()
        (data / "lock").touch()
    if step == "key written aside":
        (data / "secret.key.new").write_bytes(b"AAA")
    with TestServer(data) as server:
        server.api.register("https://example.com/hook")
    assert not (data / "secret.key.new").exists()


def test_the_key_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a power cut could leave an empty file under the name of the key."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(fd: int) -> None:
        fsync(fd)
        done.append(f"sync {os.path.basename(os.readlink(f'/proc/self/fd/{fd}'))} of {os.fstat(fd).st_size} bytes")

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"{path.name} -> {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    with TestServer(tmp_path):
        pass
    renaming = done.index("secret.key.new -> secret.key")
    size = (tmp_path / "secret.key").stat().st_size
    assert done[renaming - 1] == f"sync secret.key.new of {size} bytes" and size > 0
    assert done[renaming + 1].startswith(f"sync {tmp_path.name} of "), "the folder too, or the name is not on disk"


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_files_are_closed_to_others_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    tmp_path.chmod(0o755)
    before = os.umask(umask)
    try:
        with TestServer(tmp_path) as server:
            server.api.publish("step")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert {"tidings.db", "tidings.db-wal", "tidings.db-shm", "secret.key", "lock", "tidings.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.slow
def test_files_that_are_open_to_others_are_closed_and_that_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    (tmp_path / "tidings.db").chmod(0o644)
    (tmp_path / "tidings.db-wal").touch()
    (tmp_path / "tidings.db-wal").chmod(0o664)
    with TestServer(tmp_path) as server:
        server.api.publish("step")
        modes = {stat.S_IMODE((tmp_path / f"tidings.db{end}").stat().st_mode) for end in ("", "-wal", "-shm")}
    assert modes == {0o600}
    assert "other users could read " in caplog.text


@pytest.mark.slow
def test_one_file_has_one_server_by_whatever_name(tmp_path: Path) -> None:
    """The other's folder, a symbolic link, a hard link and an absolute path all lead to the same database."""
    (tmp_path / "one").mkdir()
    with ProcessServer(tmp_path / "one") as first:
        real = tmp_path / "one" / "data" / "tidings.db"
        (tmp_path / "link.db").symlink_to(real)
        (tmp_path / "two").mkdir()
        (tmp_path / "folder").symlink_to(tmp_path / "one" / "data")
        for name in (str(real), "../one/data/tidings.db", "../link.db", "../folder/tidings.db"):
            said = refusal(tmp_path / "two", database=f"sqlite:{name}")
            assert first.process is not None
            assert f"is running on {real} (process {first.process.pid}, since 2" in said, name
            assert "stop it first" in said, name
        os.link(real, tmp_path / "hard.db")
        assert "stop it first" in refusal(tmp_path / "two", database=f"sqlite:{tmp_path}/hard.db")
        first.api.publish("step")
    said = refusal(tmp_path / "two", database=f"sqlite:{tmp_path}/hard.db")
    assert "one of 2 names (hard links)" in said and "find / -xdev -samefile" in said
    (tmp_path / "hard.db").unlink()
    shutil.copy(tmp_path / "one" / "data" / "secret.key", tmp_path / "two")
    with TestServer(tmp_path / "two", database=f"sqlite:{real}") as second:
        assert len(second.api.get("/v1/events")["data"]) == 1
