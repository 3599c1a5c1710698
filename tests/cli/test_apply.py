"""`tidings apply`: a file of declarations is shown as a plan, and carried out whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.cli.conftest import Run
from tidings.store.items import tables
from tidings.testing import Api, TestServer

Read = Callable[..., Any]

TASKS = """\
collections:
  tasks:
    fields:
      title: {type: string, required: true}
      note: string
"""
NO_NOTE = """\
collections:
  tasks:
    fields:
      title: {type: string, required: true}
"""


@pytest.fixture(autouse=True)
def clean(server: TestServer) -> Iterator[Api]:
    """A server without collections."""
    yield server.api
    for collection in server.api.pages("/v1/collections"):
        server.api.call("DELETE", f"/v1/collections/{collection['name']}", drop_values="true")


def put_items(server: TestServer, count: int) -> None:
    assert server.server is not None
    table = tables.table(server.server.parts.catalog.now.collections["tasks"])
    sql = (
        f"INSERT INTO {table} (id, tenant, revision, created, updated, f_title, f_note) "
        "VALUES (:id, '', 1, 1, 1, 't', 'n')"
    )

    def job(db: Any) -> None:
        for n in range(count):
            db.execute(sql, {"id": f"i{n}"})

    server.server.parts.writer.wait(job)


@pytest.mark.slow
def test_a_file_is_planned_applied_and_applied_again(run: Run, write: Any, clean: Api) -> None:
    file = write(TASKS)
    planned = run("apply", file, "--plan")
    assert planned.exit_code == 3 and planned.stdout == "will create the collection tasks with 2 fields\n"
    assert clean.pages("/v1/collections") == []
    done = run("apply", file)
    assert done.exit_code == 0 and done.stdout.endswith("Done.\n"), done.output
    again = run("apply", file)
    assert again.exit_code == 0 and again.stdout == "Nothing to do: the collections match the file.\n"
    assert run("apply", file, "--plan").exit_code == 0
    assert clean.get("/v1/collections/tasks")["revision"] == 1


@pytest.mark.slow
def test_a_loss_of_values_must_be_confirmed(run: Run, write: Any, clean: Api, server: TestServer) -> None:
    run("apply", write(TASKS))
    put_items(server, 1203)
    refused = run("apply", write(NO_NOTE))
    assert refused.exit_code == 4
    assert "will drop 1 column with 1,203 values: tasks.note" in refused.stdout
    assert "Use --yes" in refused.stderr
    assert "note" in clean.get("/v1/collections/tasks")["fields"]
    assert run("apply", write(NO_NOTE), "--plan").exit_code == 3
    done = run("apply", write(NO_NOTE), "--yes")
    assert done.exit_code == 0 and "Done." in done.stdout
    assert "note" not in clean.get("/v1/collections/tasks")["fields"]


def answered(server: TestServer, folder: Path, answer: bytes) -> int:
    """The exit status of `tidings apply` at a terminal where somebody types an answer."""
    ours, theirs = os.openpty()
    env = {**os.environ, "TIDINGS_URL": server.url, "TIDINGS_KEY": str(server.api.key)}
    with warm.popen("tidings", "apply", "tidings.yaml", env=env, cwd=folder, stdin=theirs) as process:
        os.write(ours, answer + b"\n")
        said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert "will drop 1 column with 2 values: tasks.note" in said and "Continue?" in said, said
    return int(process.returncode)


@pytest.mark.slow
def test_a_person_is_asked(run: Run, write: Any, server: TestServer, tmp_path: Path) -> None:
    run("apply", write(TASKS))
    put_items(server, 2)
    write(NO_NOTE)
    assert answered(server, tmp_path, b"n") == 4
    assert answered(server, tmp_path, b"") == 4
    assert answered(server, tmp_path, b"y") == 0


def test_others_stay_unless_they_are_pruned(run: Run, write: Any, clean: Api) -> None:
    clean.post("/v1/collections", {"name": "people"})
    stays = run("apply", write(TASKS))
    assert "Not in the file, but kept (--prune deletes them):\n  collections people\n" in stays.stdout
    pruned = run("apply", write(TASKS), "--prune")
    assert pruned.exit_code == 0 and "will drop 1 collection with 0 items: people" in pruned.stdout
    assert [each["name"] for each in clean.pages("/v1/collections")] == ["tasks"]


@pytest.mark.slow
def test_obstacles_are_reported_with_their_line(run: Run, write: Any, server: TestServer) -> None:
    run("apply", write(TASKS))
    put_items(server, 2)
    text = TASKS.replace("note: string", "note: {type: string, max: 0}")
    refused = run("apply", write(text))
    assert refused.exit_code == 1
    why = "tidings.yaml, line 5, column 13: 2 items of tasks have a value in note that no longer fits"
    assert why in refused.stderr
    wrong = run("apply", write(TASKS.replace("string", "strnig")))
    assert wrong.exit_code == 1 and "line 4, column 21: A field needs a type" in wrong.stderr
    assert "has none of the sections `collections`" in run("apply", write("settings: {}\n")).stderr
    assert run("apply", "none.yaml").exit_code == 1


@pytest.mark.slow
def test_output_for_scripts_is_json(read: Read, run: Run, write: Any, server: TestServer) -> None:
    shown = json.loads(run("apply", write(TASKS), "--plan", "--json").stdout)
    assert shown["steps"][0]["do"] == "create_collection" and not shown["applied"]
    assert read("apply", write(TASKS))["applied"] is True
    put_items(server, 1)
    lost = run("apply", write(NO_NOTE), "--json")
    assert lost.exit_code == 4 and json.loads(lost.stdout)["loses"] == "drop 1 column with 1 value: tasks.note"


@pytest.mark.slow
def test_a_stopped_server_follows_too(run: Run, write: Any, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    mistyped = run("apply", write(TASKS), "--stopped", "--data", str(tmp_path / "dta"))
    assert mistyped.exit_code == 1 and "There is no database at" in mistyped.stderr and not (tmp_path / "dta").exists()
    with TestServer(tmp_path / "data"):
        busy = run("apply", write(TASKS), "--stopped", "--data", data)
        assert busy.exit_code == 1 and "nother Tidings server is running" in busy.stderr
    assert run("apply", write(TASKS), "--stopped", "--plan", "--data", data).exit_code == 3
    assert run("apply", write(TASKS), "--stopped", "--data", data).exit_code == 0
    with TestServer(tmp_path / "data") as server:
        assert server.api.get("/v1/collections/tasks")["revision"] == 1
    assert "require --stopped" in run("apply", write(TASKS), "--data", data).stderr
