"""`tidings forms`, and forms in `tidings.yaml`: planned, applied, and made so by a start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.config import read_config
from tidings.settings import SettingsError
from tidings.testing import ProcessServer, TestServer, until

FILE = """
links:
  contact:
    when:
      form:
        path: file-contact
        fields: {email: {type: email, required: true}, message: {type: textarea, max: 500}}
        thanks: ${THANKS}
"""


@pytest.fixture(autouse=True)
def _thanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THANKS", "Thanks a lot.")


def submit(server: Any, path: str, **values: str) -> int:
    return int(server.api.call("POST", f"/f/{path}", values).status)


@pytest.mark.slow
def test_a_form_from_its_declaration_to_its_end(
    server: TestServer, run: Run, read: Callable[..., Any], tmp_path: Path
) -> None:
    age = 'age={"type": "integer", "min": 18}'
    form = read("forms", "create", "cli-one", "--field", "email=email", "--field", age, "--set", "lang=de")
    assert form["fields"] == {"email": {"type": "email"}, "age": {"type": "integer", "min": 18}}
    assert (form["lang"], form["id"] in run("forms", "list").output) == ("de", True)
    assert read("forms", "show", form["id"]) == form
    assert submit(server, "cli-one", email="ann@example.com", age="20") == 200
    assert "accepted" in run("forms", "submissions", form["id"]).output
    (row,) = read("receipts", "list", "--form", form["id"])
    assert "POST /f/cli-one" in run("receipts", "show", row["id"]).output
    fields = tmp_path / "fields.json"
    fields.write_text('{"name": {}}')
    edited = read("forms", "edit", form["id"], "--fields-file", str(fields), "--revision", "1")
    assert (edited["fields"], edited["revision"]) == ({"name": {}}, 2)
    assert run("forms", "edit", form["id"], "--title", "x", "--revision", "1").exit_code == 1
    assert "nothing to change" in run("forms", "edit", form["id"]).output
    assert "is deleted" in run("forms", "delete", form["id"]).output
    assert run("forms", "show", form["id"]).exit_code == 1


@pytest.mark.slow
def test_the_doctor_names_forms_that_refuse_what_they_should_take(server: TestServer, run: Run) -> None:
    run("forms", "create", "cli-ill", "--field", "email=email")
    assert submit(server, "cli-ill", mail="ann@example.com") == 422
    until(lambda: "there was a field that the form does not have" in run("doctor").output, "the doctor says so")


@pytest.mark.slow
def test_what_is_wrong_is_said_in_a_sentence(run: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    for options, sentence in (
        ([], "A form needs fields"),
        (["--field", "email"], "--field must have the form NAME=VALUE"),
        (["--field", "a=text", "--field", "a=text"], "--field gives a twice"),
        (["--field", 'a={"type"'], "--field a is not valid JSON"),
        (["--field", "a=text", "--fields-file", str(wrong)], "not both"),
        (["--fields-file", str(wrong)], "is not a JSON object"),
        (["--field", "a=emial"], "emial"),
    ):
        refused = run("forms", "create", "x", *options)
        assert refused.exit_code == 1 and sentence in refused.stderr, refused.stderr


@pytest.mark.slow
def test_a_file_of_forms_is_planned_applied_and_pruned(
    server: TestServer, run: Run, read: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(FILE)
    planned = run("apply", str(file), "--plan")
    assert planned.exit_code == 3 and "will create the form file-contact" in planned.output
    assert submit(server, "file-contact", email="ann@example.com") == 404
    assert "Done." in run("apply", str(file)).output
    assert submit(server, "file-contact", email="ann@example.com") == 200
    again = run("apply", str(file))
    assert again.exit_code == 0 and "Nothing to do: the forms match the file." in again.output
    file.write_text(FILE.replace("max: 500", "max: 600"))
    assert "will change fields of the form file-contact" in run("apply", str(file)).output
    file.write_text("links: {}\n")
    for options in ((), ("--plan",)):
        kept = run("apply", str(file), *options).output
        assert "Not in the file, but kept (--prune deletes them):\n" in kept and "file-contact\n" in kept
    assert "will delete the form file-contact" in run("apply", str(file), "--prune", "--yes").output
    assert submit(server, "file-contact", email="ann@example.com") == 404


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (FILE.replace("type: email", "type: emial"), 7, "'emial'"),
        (FILE.replace("max: 500", "max: 0"), 7, "It must be a whole number"),
        (FILE.replace("path: file", "paht: file"), 6, "'paht' is unknown in a form"),
        (FILE.replace("${THANKS}", "//evil.example"), 8, "thanks must be a percent-encoded path"),
        (FILE.replace("${THANKS}", "${NOBODY}"), 8, "The environment variable NOBODY is not set"),
        ("links:\n  a:\n    when: {form: 7}\n", 3, "A form must be an object"),
        ("links:\n  a:\n    when: {form: {path: a, fields: {b: {}}}, event: x}\n", 3, "'event' is unknown here"),
    ],
)
def test_a_mistake_in_a_file_has_a_line(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_config(file)
    assert f"line {line}, " in str(refused.value) and sentence in str(refused.value)


@pytest.mark.slow
def test_a_start_makes_the_forms_of_its_file(tmp_path: Path, run: Run) -> None:
    config = tmp_path / "tidings.yaml"
    config.write_text(FILE)
    checked = run("check", str(config))
    assert "forms contact." in checked.output
    with ProcessServer(tmp_path / "data", config=config) as server:
        assert submit(server, "file-contact", email="ann@example.com") == 200
        server.stop()
        config.write_text(FILE.replace("file-contact", "other"))
        stopped = run("apply", str(config), "--stopped", "--data", str(server.folder / "data"))
        assert "will create the form other" in stopped.output, stopped.output
        server.start()
        assert submit(server, "other", email="ann@example.com") == 200
