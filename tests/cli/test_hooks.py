"""`tidings hooks`, `receipts` and `refusals`."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.testing import TestServer, until

SECRET = "the sender's secret"


def send(server: TestServer, path: str, body: bytes, secret: str = SECRET) -> int:
    signature = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
    return server.api.call("POST", f"/in/{path}", body, {"X-Hub-Signature-256": signature}).status


@pytest.mark.slow
def test_a_hook_from_its_declaration_to_its_end(server: TestServer, run: Run, read: Callable[..., Any]) -> None:
    hook = read(
        "hooks", "create", "cli-one", "--scheme", "github", "--secret", SECRET, "--set", 'methods=["POST","PUT"]'
    )
    assert (hook["path"], hook["secret_count"], hook["methods"]) == ("cli-one", 1, ["POST", "PUT"])
    assert hook["id"] in run("hooks", "list").output
    assert read("hooks", "show", hook["id"]) == hook
    assert send(server, "cli-one", b'{"n":1}') == 200
    edited = read("hooks", "edit", hook["id"], "--type", "renamed.{type}", "--revision", "1")
    assert (edited["type"], edited["revision"], edited["secret_count"]) == ("renamed.{type}", 2, 1)
    assert run("hooks", "edit", hook["id"], "--type", "x.y", "--revision", "1").exit_code == 1
    assert "nothing to change" in run("hooks", "edit", hook["id"]).output
    assert "is deleted" in run("hooks", "delete", hook["id"]).output
    assert run("hooks", "show", hook["id"]).exit_code == 1


@pytest.mark.slow
def test_a_value_that_begins_like_json_must_be_valid(run: Run) -> None:
    for command in (["hooks", "create", "x", "--scheme", "github"], ["endpoints", "create", "http://127.0.0.1/x"]):
        refused = run(*command, "--set", 'methods=["POST"')
        assert refused.exit_code == 1 and "value of --set methods is not valid JSON" in refused.stderr
        repeated = run(*command, "--set", "a=1", "--set", "a=2")
        assert repeated.exit_code == 1 and "--set gives a twice" in repeated.stderr


@pytest.mark.slow
def test_receipts_are_listed_shown_and_written_byte_for_byte(
    server: TestServer, run: Run, read: Callable[..., Any]
) -> None:
    hook = read("hooks", "create", "cli-two", "--scheme", "github", env={"TIDINGS_HOOK_SECRET": SECRET})
    assert send(server, "cli-two", b'{ "n": 1.50 }') == 200
    (row,) = read("receipts", "list", "--hook", hook["id"])
    assert row["state"] == "accepted" and row["event_id"] in run("receipts", "list", "--hook", hook["id"]).output
    shown = run("receipts", "show", row["id"]).output
    assert "POST /in/cli-two" in shown and '{ "n": 1.50 }' in shown and SECRET not in shown
    assert run("receipts", "body", row["id"]).stdout_bytes == b'{ "n": 1.50 }'


@pytest.mark.slow
def test_a_refusal_is_explained_and_let_in(
    server: TestServer, run: Run, read: Callable[..., Any], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mistyped\n")
    hook = read("hooks", "create", "cli-three", "--scheme", "github", "--secret-file", str(secret))
    assert send(server, "cli-three", b'{"n":1}') == 401
    until(lambda: read("refusals", "list", "--hook", hook["id"]) != [], "the refusal")
    (row,) = read("refusals", "list", "--hook", hook["id"])
    assert "no_match" in run("refusals", "list").output
    assert "explanation" in run("refusals", "show", row["id"]).output
    assert "still refused" in run("refusals", "retry", row["id"]).output
    assert "hook" in run("doctor").output
    run("hooks", "edit", hook["id"], "--secret", SECRET)
    assert "accepted as the event evt_" in run("refusals", "retry", row["id"]).output


def test_a_scheme_of_ones_own_comes_from_a_file(run: Run, read: Callable[..., Any], tmp_path: Path) -> None:
    scheme = {"check": {"kind": "token", "from": "header:X-Token"}}
    (tmp_path / "scheme.json").write_text(json.dumps(scheme))
    hook = read("hooks", "create", "cli-four", "--scheme", f"@{tmp_path / 'scheme.json'}", "--secret", "x")
    assert hook["scheme"] == scheme
    (tmp_path / "scheme.json").write_text("{")
    assert "not valid JSON" in run("hooks", "create", "x", "--scheme", f"@{tmp_path / 'scheme.json'}").output
    assert "NAME=VALUE" in run("hooks", "create", "x", "--scheme", "github", "--set", "x").output


@pytest.mark.slow
def test_a_path_does_wherever_an_id_does(server: TestServer, run: Run, read: Callable[..., Any]) -> None:
    hook = read("hooks", "create", "cli-path", "--scheme", "github", "--secret", SECRET)
    form = read("forms", "create", "cli-path", "--field", "email=email")
    assert read("hooks", "show", "cli-path") == read("hooks", "show", "/in/cli-path") == hook
    assert read("hooks", "edit", "cli-path", "--description", "mine")["description"] == "mine"
    assert read("forms", "show", "cli-path") == form
    assert read("forms", "edit", "cli-path", "--title", "Ours")["title"] == "Ours"
    assert read("forms", "submissions", "cli-path") == []
    for options in (["--hook", "cli-path"], ["--form", "cli-path"]):
        assert read("receipts", "list", *options) == read("refusals", "list", *options) == []
    assert hook["id"] in run("hooks", "delete", "cli-path").output
    assert form["id"] in run("forms", "delete", "cli-path").output
    gone = run("hooks", "show", "cli-path")
    assert gone.exit_code == 1 and "There is no hook cli-path. The hooks are:" in gone.stderr


def test_a_list_in_an_option_is_shown_by_example(run: Run) -> None:
    wrong = run("forms", "create", "x", "--field", "email=email", "--set", "origins=x")
    assert wrong.exit_code == 1 and """--set 'origins=["https://example.com"]'""" in wrong.stderr
    wrong = run("hooks", "create", "x", "--scheme", "github", "--set", "methods=GET")
    assert wrong.exit_code == 1 and """--set 'methods=["GET"]'""" in wrong.stderr
