"""`tidings items`: one by one and as files, for people and for scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.items.collections import COLLECTIONS, declare
from tidings.testing import TestServer

Read = Callable[..., Any]


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    for collection in COLLECTIONS:
        declare(server, collection)


@pytest.mark.slow
def test_an_item_from_its_creation_to_its_end(read: Read, run: Run, tmp_path: Path) -> None:
    made = read("items", "create", "tasks", "--set", "title=Water the plants", "--set", "pieces=3", "--tenant", "one")
    id = made["id"]
    assert (made["title"], made["pieces"], made["tenant"]) == ("Water the plants", 3, "one")
    (tmp_path / "data.json").write_text('{"title": "From a file"}')
    assert read("items", "create", "tasks", "--data", "@data.json", "--id", "mine", "--tenant", "one")["id"] == "mine"
    edited = read("items", "edit", "tasks", id, "--set", "done=true", "--revision", "1", "--set", "pieces=null")
    assert (edited["done"], edited["pieces"], edited["revision"]) == (True, None, 2)
    listed = read("items", "list", "tasks", "--filter", "done=true", "--q", "plants", "--tenant", "one")
    assert [each["id"] for each in listed] == [id]
    two = read("items", "list", "tasks", "--tenant", "one", "--sort", "title", "--limit", "1", "--fields", "title")
    assert two == [{"title": "From a file"}]
    table = run("items", "list", "tasks", "--tenant", "one").stdout
    assert "Water the plants" in table and "revision" not in table
    assert "Water the plants" in run("items", "show", "tasks", id).stdout
    assert "is deleted" in run("items", "delete", "tasks", id, "--revision", "2").stdout
    assert "no such items" in run("items", "list", "tasks", "--filter", "done=true", "--tenant", "one").stdout


@pytest.mark.slow
def test_values_are_sent_as_typed(read: Read, run: Run) -> None:
    for name in ("a, b", "c"):
        read("items", "create", "tasks", "--set", f'title="{name}"', "--tenant", "typed")
    listed = read(
        "items", "list", "tasks", "--tenant", "typed", "--filter", "title__in=a, b", "--filter", "title__in=c"
    )
    assert sorted(each["title"] for each in listed) == ["a, b", "c"]
    short = read("items", "list", "tasks", "--tenant", "typed", "--filter", "title__in=c,d")
    assert [each["title"] for each in short] == ["c"]
    for given in (["--set", "price=12345678901234567.89"], ["--data", '{"price": 9007199254740993.0}']):
        said = run("items", "create", "tasks", "--set", "title=x", *given)
        assert said.exit_code == 1
        assert "12345678901234567.89" in said.stderr or "does not fit into a double exactly" in said.stderr
    said = run("items", "create", "tasks", "--set", "title=x", "--set", "title=y")
    assert said.exit_code == 1
    assert "--set gives title twice" in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_a_file_goes_out_and_comes_in_again(read: Read, run: Run, tmp_path: Path, ending: str) -> None:
    text = "id,title\n" + "".join(f'i{n},"Task, {n}\nof many"\n' for n in range(1_500))
    said = run("items", "import", "tasks", "-", "--format", "csv", "--tenant", ending, input=text)
    assert said.stdout == "1,500 lines: 1,500 created.\n" and said.stderr == ""
    name = f"out.{ending}"
    said = run("items", "export", "tasks", name, "--tenant", ending, "--filter", "done=false")
    assert said.stdout == f"1,500 items were exported to {name}.\n" and said.stderr == ""
    assert [each.name for each in tmp_path.iterdir()] == [name]
    again = read("items", "import", "tasks", name, "--on-conflict", "replace", "--partial")
    assert (again["read"], again["unchanged"]) == (1_500, 1_500)
    printed = run("items", "export", "tasks", "--format", ending, "--tenant", ending)
    assert printed.stdout_bytes == (tmp_path / name).read_bytes()


@pytest.mark.slow
def test_bad_lines_are_reported_one_per_line(read: Read, run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("title,pieces\na,1\nb,x\n,3\n")
    refused = run("items", "import", "tasks", "bad.csv", "--tenant", "bad")
    assert refused.exit_code == 1 and refused.stdout == ""
    first, second, last = refused.stderr.splitlines()
    assert first.startswith("line 3 at /pieces: ") and second.startswith("line 4 at /title: ")
    assert last == "2 of 3 lines are refused, so nothing was stored."
    partial = run("items", "import", "tasks", "bad.csv", "--tenant", "bad", "--partial")
    assert partial.exit_code == 3 and partial.stdout == "3 lines: 1 created, 2 refused.\n"
    assert partial.stderr.splitlines() == [first, second]


@pytest.mark.slow
def test_a_taken_id_suggests_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\na,one\n")
    assert run("items", "import", "tasks", "a.csv", "--tenant", "ids").stdout == "1 line: 1 created.\n"
    refused = run("items", "import", "tasks", "a.csv", "--tenant", "ids")
    assert refused.exit_code == 1 and "--on-conflict replace, merge or skip" in refused.stderr
    (tmp_path / "a.csv").write_text("id,title\na,two\n")
    merged = run("items", "import", "tasks", "a.csv", "--tenant", "ids", "--on-conflict", "merge")
    assert merged.stdout == "1 line: 1 merged.\n"


@pytest.mark.slow
def test_a_decimal_without_quotes_gets_a_hint_about_the_shell(run: Run, read: Read, server: TestServer) -> None:
    server.api.call("PUT", "/v1/collections/bills", {"fields": {"amount": "decimal"}})
    refused = run("items", "create", "bills", "--set", "amount=12.30")
    assert refused.exit_code == 1 and """write: --set amount='"12.30"'""" in refused.stderr
    assert read("items", "create", "bills", "--set", 'amount="12.30"')["amount"] == "12.30"


def test_an_export_that_fails_leaves_no_file(run: Run, tmp_path: Path) -> None:
    assert run("items", "export", "tasks", "out.csv", "--filter", "nothing=1").exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["import", "tasks", "none.csv"], "none.csv cannot be read"),
        (["import", "tasks", "-"], "--format csv or --format ndjson"),
        (["import", "nothing", "-", "--format", "csv"], "There is no collection nothing."),
        (["export", "tasks", "out.txt"], "--format csv or --format ndjson"),
        (["export", "tasks", "none/out.csv"], "none/out.csv cannot be written"),
        (["create", "tasks", "--data", "[]"], "--data must be an object"),
        (["create", "tasks"], "'title' is required"),
        (["edit", "tasks", "x"], "Pass at least one change"),
        (["edit", "tasks", "x", "--set", "done"], "NAME=VALUE"),
        (["list", "tasks", "--filter", "colour=red"], "colour"),
        (["show", "tasks", "x"], "There is no item x in tasks."),
    ],
)
def test_what_is_wrong_is_one_sentence(run: Run, args: list[str], sentence: str) -> None:
    said = run("items", *args, input="")
    assert said.exit_code == 1
    assert sentence in said.stderr and said.stdout == ""


@pytest.mark.parametrize("number", ["٣", "1_000", "0", "-1", "x", "1.0", "9" * 30])
def test_a_number_is_written_with_the_digits_0_to_9(run: Run, number: str) -> None:
    said = run("items", "list", "tasks", "--limit", number)
    assert said.exit_code == 2 and "--limit" in said.stderr
    said = run("items", "delete", "tasks", "x", "--revision", number)
    assert said.exit_code == 2 and "--revision" in said.stderr
