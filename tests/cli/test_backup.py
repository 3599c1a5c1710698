"""`tidings backup` and `tidings restore`: a checked copy of one moment while somebody writes, and back again."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.conftest import Run
from tests.postgres_server import PostgresServer
from tidings.cli.terminal.sentences import sentence
from tidings.store.engines.sqlite import translated
from tidings.store.files import FileLock
from tidings.testing import ProcessServer, Receiver, TestServer, until

OTHER_KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of a server that ran and stopped: one endpoint, three events."""
    with TestServer(tmp_path / "data") as server:
        server.api.register("https://example.com/hook")
        for n in range(3):
            server.api.publish("step", {"n": n})
    return tmp_path / "data"


def backup(run: Run, *args: object, ok: bool = True) -> Any:
    said = run("backup", *map(str, args), "--json")
    assert (said.exit_code == 0) is ok, said.output
    return json.loads(said.stdout) if ok else said.stderr


def restore(run: Run, *args: object, ok: bool = True) -> Any:
    said = run("restore", *map(str, args), "--json")
    assert (said.exit_code == 0) is ok, said.output
    return json.loads(said.stdout) if ok else said.stderr


@pytest.mark.slow
def test_a_name_that_ends_with_a_slash_is_a_folder(tmp_path: Path, run: Run, folder: Path) -> None:
    said = backup(run, f"{tmp_path}/backups/", "--data", folder, ok=False)
    assert "there is no folder" in said and not (tmp_path / "backups").exists()
    (tmp_path / "backups").mkdir()
    assert Path(backup(run, f"{tmp_path}/backups/", "--data", folder)["file"]).parent == tmp_path / "backups"


@pytest.mark.slow
def test_the_oldest_backups_are_deleted_once_a_new_one_is_complete(tmp_path: Path, run: Run, folder: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    old = [backups / f"tidings-2026010{day}T000000Z.db" for day in range(1, 5)]
    others = [backups / "tidings-mine.db", backups / "tidings-20260101T000000Z.db.partial.old", backups / "kept.key"]
    backup(run, tmp_path / "own.db", "--data", folder)
    for path in old:
        shutil.copy(tmp_path / "own.db", path)
    for path in others:
        path.touch()
    said = backup(run, backups, "--data", folder, "--keep", 3)
    assert said["deleted"] == [str(path) for path in old[:2]] and said["left"] == []
    assert set(backups.iterdir()) == {*old[2:], *others, Path(said["file"])}
    assert "there is no folder" in backup(run, tmp_path / "one.db", "--data", folder, "--keep", 3, ok=False)
    shutil.rmtree(folder)
    backup(run, backups, "--data", folder, "--keep", 1, ok=False)
    assert all(path.exists() for path in old[2:]), "what makes no backup deletes none"


@pytest.mark.slow
def test_backups_of_another_server_in_the_same_folder_are_left_alone_and_not_tried(
    tmp_path: Path, run: Run, folder: Path
) -> None:
    with TestServer(tmp_path / "other"):
        pass
    backups = tmp_path / "backups"
    backups.mkdir()
    backup(run, tmp_path / "theirs.db", "--data", tmp_path / "other")
    theirs = [backups / f"tidings-{day}T000000Z.db" for day in ("20260101", "20991231")]
    for path in theirs:
        shutil.copy(tmp_path / "theirs.db", path)
    (no_backup := backups / "tidings-20260102T000000Z.db").write_text("This is not a database.")
    ours = backup(run, backups, "--data", folder, "--keep", 1)
    assert ours["deleted"] == [] and ours["left"] == [str(theirs[0]), str(no_backup), str(theirs[1])]
    assert restore(run, "--trial", backups, "--data", folder)["file"] == ours["file"]
    assert restore(run, "--trial", backups, "--data", tmp_path / "other")["file"] == str(theirs[1])
    Path(ours["file"]).rename(backups / "tidings-20260103T000000Z.db")
    said = run("backup", str(backups), "--data", str(folder), "--keep", "1").stdout
    assert "Deleted, to keep at most 1 backup: tidings-20260103T000000Z.db.\n" in said
    assert "Left alone, as they are not backups of this database: tidings-20260101T000000Z.db, " in said
    assert all(path.exists() for path in (*theirs, no_backup))


@pytest.mark.slow
def test_nothing_takes_the_place_of_a_device_or_pipe(tmp_path: Path, run: Run, folder: Path) -> None:
    """As root, `--force` replaced /dev/null by a backup, and `--with-key /dev/stdout` moved that aside."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    before = set(tmp_path.iterdir())
    for name in ("pipe", "link"):
        said = backup(run, tmp_path / name, "--data", folder, "--force", ok=False)
        assert "is not a regular file, so it cannot be replaced" in said
        said = backup(run, tmp_path / "x.db", "--with-key", tmp_path / name, "--data", folder, ok=False)
        assert "is not a regular file" in said
    assert "DEST is empty" in backup(run, "", "--data", folder, ok=False)
    assert set(tmp_path.iterdir()) == before
    (tmp_path / "real.db").touch()
    (tmp_path / "latest").symlink_to("real.db")
    backup(run, tmp_path / "latest", "--data", folder, "--force")
    assert (tmp_path / "latest").is_symlink() and (tmp_path / "real.db").stat().st_size > 100_000
    (tmp_path / "key").symlink_to("kept")
    backup(run, tmp_path / "y.db", "--with-key", tmp_path / "key", "--data", folder)
    assert (tmp_path / "key").is_symlink() and (tmp_path / "kept").read_bytes() == (folder / "secret.key").read_bytes()


@pytest.mark.slow
def test_what_a_wrong_clock_or_another_hand_named_is_not_taken_for_the_newest(
    tmp_path: Path, run: Run, folder: Path
) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "tidings-later.db").write_text("This is not a backup.")
    made = backup(run, backups, "--data", folder, "--keep", 1)["file"]
    assert restore(run, "--trial", backups, "--data", folder)["file"] == made, "not the name that sorts last"
    of_tomorrow = backups / "tidings-20991231T235959Z.db"
    Path(made).rename(of_tomorrow)
    said = backup(run, backups, "--data", folder, "--keep", 1)
    assert said["deleted"] == [str(of_tomorrow)] and Path(said["file"]).is_file()


@pytest.mark.slow
def test_a_backup_during_writes_finishes_and_holds_one_moment(tmp_path: Path, run: Run) -> None:
    with ProcessServer(tmp_path / "server", max_batch_bytes=8_000_000) as server:
        server.api.register("https://example.com/hook", events=["other"])
        stop = threading.Event()
        acknowledged: list[str] = []

        def write() -> None:
            while not stop.is_set():
                acknowledged.append(server.api.publish("step", {"x": "y" * 1000}))

        for n in range(20):
            batch = [{"type": "fill", "data": {"n": n, "x": "z" * 2000}} for _ in range(500)]
            server.api.post("/v1/events:batch", {"events": batch})
        writer = threading.Thread(target=write)
        writer.start()
        try:
            until(lambda: len(acknowledged) > 20, "somebody writes")
            before = list(acknowledged)
            made = backup(run, tmp_path / "copy.db", "--data", server.folder / "data")
            after = len(acknowledged)
        finally:
            stop.set()
            writer.join()
        assert 10_000 + len(before) <= made["contents"]["events"] <= 10_000 + after + 1
        kept = shutil.copy(server.folder / "data" / "secret.key", tmp_path / "kept.key")
    restore(run, tmp_path / "copy.db", "--data", tmp_path / "again", "--key", kept)
    with TestServer(tmp_path / "again") as again:
        found = {each["id"] for each in again.api.pages("/v1/events", type="step", limit=1000)}
        assert found >= set(before), "what was acknowledged before the backup is in it"
        assert found == set(acknowledged[: len(found)]), "and no later one without an earlier one"


@pytest.mark.slow
def test_the_copy_is_private_and_has_its_name_only_when_it_is_whole(folder: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    left = tmp_path / "out" / "tidings-20200101T000000Z.db.partial"
    left.write_bytes(b"half of one that was killed")
    mine = tmp_path / "out" / "tidings-notes.db.partial"
    mine.touch()
    made = backup(run, tmp_path / "out", "--data", folder)
    file = Path(made["file"])
    assert file.parent == tmp_path / "out" and file.name.startswith("tidings-2")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(tmp_path.joinpath("out").iterdir()) == sorted([file, mine]), "no leftovers, and nobody else's file"
    assert made["contents"]["events"] == 3 and made["contents"]["endpoints"] == 1
    assert b"secret" not in file.read_bytes() or b"whsec_" not in file.read_bytes()


@pytest.mark.slow
def test_the_command_says_where_the_key_is(folder: Path, run: Run, tmp_path: Path) -> None:
    said = run("backup", str(tmp_path / "a.db"), "--data", str(folder))
    assert said.exit_code == 0 and "3 events and 1 endpoint " in said.stdout
    assert f"The key is in {folder}/secret.key: keep a copy elsewhere" in said.stdout
    said = run("backup", str(tmp_path / "b.db"), "--data", str(folder), "--with-key", str(tmp_path / "b.key"))
    assert "Keep that file apart" in said.stdout
    kept = (folder / "secret.key").rename(tmp_path / "kept.key")
    said = run("backup", str(tmp_path / "e.db"), "--data", str(folder))
    assert f"there is no {folder}/secret.key, and TIDINGS_SECRET_KEY is not set. Keep a copy" in said.stdout
    kept.rename(folder / "secret.key")
    assert (tmp_path / "b.key").read_bytes() == (folder / "secret.key").read_bytes()
    assert stat.S_IMODE((tmp_path / "b.key").stat().st_mode) == 0o600
    said = run("backup", str(tmp_path / "c.db"), "--data", str(folder), env={"TIDINGS_SECRET_KEY": OTHER_KEY})
    assert "The key is in TIDINGS_SECRET_KEY" in said.stdout
    args = ("backup", str(tmp_path / "d.db"), "--data", str(folder), "--with-key", str(tmp_path / "d.key"))
    said = run(*args, env={"TIDINGS_SECRET_KEY": OTHER_KEY})
    assert said.exit_code == 1 and "is complete, but no key was written" in said.stderr
    assert (tmp_path / "d.db").exists() and not (tmp_path / "d.key").exists()


@pytest.mark.slow
def test_a_backup_says_what_prevents_it(folder: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "there.db").write_bytes(b"mine")
    assert "already exists" in backup(run, tmp_path / "there.db", "--data", folder, ok=False)
    assert (tmp_path / "there.db").read_bytes() == b"mine"
    assert "there is no folder" in backup(run, tmp_path / "no" / "x.db", "--data", folder, ok=False)
    assert "there is no database at" in backup(run, tmp_path / "x.db", "--data", tmp_path / "none", ok=False)
    said = backup(run, folder / "tidings.db", "--data", folder, "--force", ok=False)
    assert "is the database itself" in said
    backup(run, tmp_path / "there.db", "--data", folder, "--force")
    assert (tmp_path / "there.db").read_bytes()[:6] == b"SQLite"


@pytest.mark.slow
def test_a_damaged_database_makes_no_backup(folder: Path, run: Run, tmp_path: Path) -> None:
    with (folder / "tidings.db").open("r+b") as file:
        size = (folder / "tidings.db").stat().st_size
        for at in range(8 * 4096, size, 4096):
            file.seek(at)
            file.write(b"\xff" * 512)
    assert "damaged" in backup(run, tmp_path / "x.db", "--data", folder, ok=False)
    assert not (tmp_path / "x.db").exists() and not (tmp_path / "x.db.partial").exists()
    (folder / "tidings.db").write_bytes(b"notes\n" * 1000)
    assert "file is not a database" in backup(run, tmp_path / "x.db", "--data", folder, ok=False)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    limit = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY)); "
        "from tidings.cli.main import app; sys.exit(app(sys.argv[1:]))"
    )
    args = ["backup", str(tmp_path / "x.db"), "--data", str(folder)]
    done = subprocess.run([sys.executable, "-c", limit, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("No backup was made: the disk"), done.stderr
    assert "Traceback" not in done.stderr and [file.name for file in tmp_path.glob("x.db*")] == []


@pytest.mark.slow
def test_a_backup_that_is_killed_leaves_nothing_with_its_name(tmp_path: Path, run: Run) -> None:
    with ProcessServer(tmp_path / "server", max_batch_bytes=16_000_000) as server:
        for _ in range(8):
            server.api.post("/v1/events:batch", {"events": [{"type": "x", "data": {"x": "z" * 8000}}] * 1000})
        args = [sys.executable, "-m", "tidings", "backup", str(tmp_path / "x.db")]
        args += ["--data", str(server.folder / "data")]
        partial = tmp_path / "x.db.partial"

        def killed(number: int) -> bool:
            """Whether the signal came in the middle; if not, there is a backup, and it can be tried again."""
            # A suite that runs in the background ignores SIGINT, and so would what it starts.
            process = subprocess.Popen(
                args, stderr=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
            )
            # It takes a tenth of a second, so it stands still while this test looks.
            while process.poll() is None:
                process.send_signal(signal.SIGSTOP)
                if partial.exists() and partial.stat().st_size:
                    process.send_signal(number)
                    process.send_signal(signal.SIGCONT)
                    break
                process.send_signal(signal.SIGCONT)
                time.sleep(0.002)
            if process.wait(20) == 0:
                (tmp_path / "x.db").unlink()
                return False
            return True

        for number in (signal.SIGINT, signal.SIGKILL):
            until(lambda number=number: killed(number), "a backup is killed in the middle", 60)  # type: ignore[misc]
            assert not (tmp_path / "x.db").exists()
            assert partial.exists() is (number == signal.SIGKILL)
        backup(run, tmp_path / "x.db", "--data", server.folder / "data")
        assert not partial.exists()


@pytest.mark.slow
def test_a_restore_brings_everything_back(folder: Path, run: Run, tmp_path: Path) -> None:
    args = ("--data", folder, "--with-key", tmp_path / "kept.key")
    backup(run, tmp_path / "x.db", *args)
    with TestServer(folder) as server:
        late = server.api.publish("late")
    assert "already exists. Choose an empty --data folder" in restore(
        run, tmp_path / "x.db", "--data", folder, ok=False
    )
    made = restore(run, tmp_path / "x.db", "--data", folder, "--force")
    assert made["moved"].startswith(str(folder / "tidings.db.before-"))
    with TestServer(folder) as server, Receiver() as receiver:
        assert server.api.call("GET", f"/v1/events/{late}").status == 404
        [endpoint] = server.api.get("/v1/endpoints")["data"]
        assert server.api.get(f"/v1/endpoints/{endpoint['id']}/secret")["secret"].startswith("whsec_")
        server.api.register(receiver.url("/"))
        event = server.api.publish("step")
        assert receiver.wait_for(1)[0].id == event
    modes = {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes == {0o600}
    kept = Path(made["moved"])
    restore(run, kept, "--data", tmp_path / "late", "--key", tmp_path / "kept.key")
    with TestServer(tmp_path / "late") as server:
        assert server.api.call("GET", f"/v1/events/{late}").status == 200, "what was moved aside is whole"


@pytest.mark.slow
def test_a_restore_after_the_folder_was_lost_needs_the_key(folder: Path, run: Run, tmp_path: Path) -> None:
    backup(run, tmp_path / "x.db", "--data", folder, "--with-key", tmp_path / "kept.key")
    new = ("--data", tmp_path / "new")
    assert "the secret key is missing" in restore(run, tmp_path / "x.db", *new, ok=False)
    (tmp_path / "other.key").write_text(OTHER_KEY)
    (tmp_path / "other.key").chmod(0o600)
    said = restore(run, tmp_path / "x.db", *new, "--key", tmp_path / "other.key", ok=False)
    assert "other.key is not the secret key of" in said and "its mark is" in said
    assert not (tmp_path / "new" / "tidings.db").exists()
    restore(run, tmp_path / "x.db", *new, "--key", tmp_path / "kept.key")
    with TestServer(tmp_path / "new") as server:
        assert len(server.api.get("/v1/events")["data"]) == 3


@pytest.mark.slow
def test_a_trial_without_the_key_names_the_variable_and_spells_the_folder_as_given(
    folder: Path, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "bk").mkdir()
    backup(run, "bk", "--data", folder)
    said = run("restore", "bk", "--trial", "--data", str(tmp_path / "new")).stderr
    assert said.startswith("The backup bk cannot be restored: the secret key is missing: there is no ")
    assert "TIDINGS_SECRET_KEY is not set" in said and "--key" in said
    assert sentence("bk is complete") == "bk is complete." and sentence("it is complete") == "It is complete."


@pytest.mark.slow
def test_a_restore_that_is_refused_leaves_no_folder(folder: Path, run: Run, tmp_path: Path) -> None:
    backup(run, tmp_path / "x.db", "--data", folder)
    assert "the secret key is missing" in restore(run, tmp_path / "x.db", "--data", tmp_path / "new", ok=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True], ids=["into an empty folder", "over a database"])
def test_a_start_after_a_restore_that_was_killed_names_the_command(
    folder: Path, run: Run, tmp_path: Path, there: bool
) -> None:
    kept = tmp_path / "kept.key"
    backup(run, tmp_path / "x.db", "--data", folder, "--with-key", kept)
    data = folder if there else tmp_path / "new"
    data.mkdir(exist_ok=True)
    left = data / "tidings.db.partial"
    left.write_bytes((tmp_path / "x.db").read_bytes()[:8192])
    force = ["--force"] if there else []
    for new_store in ([], ["--new-store"]):
        said = run("serve", "--port", "0", "--data", str(data), *new_store)
        assert said.exit_code == 2 and f"and left {left}" in said.stderr, said.output
        assert f"tidings restore SRC --data {data}{' --force' if there else ''}. " in said.stderr
        assert left.exists() and (data / "tidings.db").exists() is there, "nothing was begun"
    assert "A restore was interrupted" in run("doctor", "--data", str(data), "--url", "http://127.0.0.1:9").output
    assert "interrupted" in restore(run, left, "--data", data, *force, ok=False)
    restore(run, tmp_path / "x.db", "--data", data, "--key", kept, *force)
    with TestServer(data) as server:
        assert len(server.api.get("/v1/events")["data"]) == 3


@pytest.mark.slow
def test_a_start_waits_for_a_copy_that_is_being_written(folder: Path, run: Run) -> None:
    lock = FileLock(folder / "tidings.db.partial", folder, "")
    said = run("serve", "--port", "0", "--data", str(folder))
    assert said.exit_code == 2 and "is writing" in said.stderr
    lock.release()


@pytest.mark.slow
def test_a_restore_next_to_a_running_server_is_refused(tmp_path: Path, run: Run) -> None:
    with TestServer(tmp_path / "data") as server:
        server.api.publish("step")
        backup(run, tmp_path / "x.db", "--data", server.folder)
        said = restore(run, tmp_path / "x.db", "--data", server.folder, "--force", ok=False)
        assert "another Tidings server is running on" in said and f"process {os.getpid()}" in said
        server.api.publish("step")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "there is no file"), (b"notes\n" * 1000, "file is not a database"), (b"", "is not a Tidings database")],
)
def test_a_file_that_is_not_a_backup_is_refused(
    folder: Path, run: Run, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "x.db").write_bytes(content)
    before = (folder / "tidings.db").read_bytes()
    assert sentence in restore(run, tmp_path / "x.db", "--data", folder, "--force", ok=False)
    assert "is a folder" in restore(run, tmp_path, "--data", folder, "--force", ok=False)
    assert (folder / "tidings.db").read_bytes() == before


@pytest.mark.slow
def test_a_damaged_backup_replaces_nothing(folder: Path, run: Run, tmp_path: Path) -> None:
    made = backup(run, tmp_path / "x.db", "--data", folder)
    with (tmp_path / "x.db").open("r+b") as file:
        file.truncate(made["bytes"] // 2)
    before = (folder / "tidings.db").read_bytes()
    said = restore(run, tmp_path / "x.db", "--data", folder, "--force", ok=False)
    assert "damaged" in said or "malformed" in said, said
    assert (folder / "tidings.db").read_bytes() == before


@pytest.mark.slow
def test_a_live_copy_with_its_journal_is_restored_with_what_is_in_the_journal(tmp_path: Path, run: Run) -> None:
    with TestServer(tmp_path / "data") as server:
        event = server.api.publish("step")
        for end in ("", "-wal"):
            shutil.copy(server.folder / f"tidings.db{end}", tmp_path / f"raw.db{end}")
        shutil.copy(server.folder / "secret.key", tmp_path / "kept.key")
    restore(run, tmp_path / "raw.db", "--data", tmp_path / "again", "--key", tmp_path / "kept.key")
    with TestServer(tmp_path / "again") as again:
        assert again.api.call("GET", f"/v1/events/{event}").status == 200


@pytest.mark.slow
def test_two_backups_to_one_file_do_not_disturb_each_other(folder: Path, run: Run, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "x.db.partial", tmp_path, "")
    try:
        assert "another backup or restore is writing" in backup(run, tmp_path / "x.db", "--data", folder, ok=False)
    finally:
        lock.release()
    backup(run, tmp_path / "x.db", "--data", folder)


@pytest.fixture
def postgres_tools(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """An environment in which pg_dump is that of the server."""
    yield {**os.environ, "PATH": f"{postgres_server.binaries}:{os.environ['PATH']}"}


def test_on_postgres_the_commands_are_printed_and_work(
    tmp_path: Path, run: Run, postgres_server: PostgresServer, postgres_url: str, postgres_tools: dict[str, str]
) -> None:
    with TestServer(tmp_path / "data", database=postgres_url) as server:
        event = server.api.publish("step")
        said = run("backup", str(tmp_path / "x.dump"), "--data", str(tmp_path / "data"), "--database", postgres_url)
        assert (
            said.exit_code == 1
            and "this command made no backup" in said.stdout
            and "archive_mode is off" in said.stdout
        )
        commands = [
            line.strip() for line in said.stdout.splitlines() if line.strip().startswith(("pg_dump", "pg_rest"))
        ]
        for command in commands:
            subprocess.run(command, shell=True, check=True, env=postgres_tools)
        said = run("restore", str(tmp_path / "x.dump"), "--database", postgres_url, "--data", str(tmp_path / "data"))
        assert said.exit_code == 1 and "a Tidings server is writing to" in said.stderr and "since 2" in said.stderr
    with postgres_server.database() as empty:
        said = run("restore", str(tmp_path / "x.dump"), "--database", empty, "--data", str(tmp_path / "data"))
        assert said.exit_code == 1 and "the database is empty" in said.stdout
        [command] = [line.strip() for line in said.stdout.splitlines() if line.strip().startswith("pg_restore")]
        subprocess.run(command, shell=True, check=True, env=postgres_tools)
        with TestServer(tmp_path / "data", database=empty) as again:
            assert again.api.call("GET", f"/v1/events/{event}").status == 200
    said = run("backup", str(tmp_path / "x.dump"), "--database", "postgresql://u:hush@127.0.0.1:1/none")
    assert said.exit_code == 1 and "PostgreSQL cannot be reached" in said.stderr and "hush" not in said.output


def test_a_full_disk_is_not_called_not_an_error() -> None:
    """SQLite's copy finds no room, and its connection has the text of success."""
    assert str(translated(apsw.FullError("not an error"))) == "the disk is full"
    assert str(translated(apsw.FullError("database or disk is full"))).endswith("(database or disk is full)")
