"""`when: {hook: ...}` of `tidings.yaml`: checked, planned, applied, and made so by a start."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.config import read_config
from tidings.settings import SettingsError
from tidings.testing import ProcessServer, TestServer

FILE = """
links:
  code:
    when: {hook: {path: file-github, scheme: github, secrets: ["${GITHUB_SECRET}"], subject: "json:repository"}}
  files:
    when:
      hook:
        path: file-asana
        scheme: asana
"""


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_SECRET", "from the environment")


def genuine(body: bytes, secret: str = "from the environment") -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()}


@pytest.mark.slow
def test_a_file_of_hooks_is_planned_applied_and_applied_again(
    server: TestServer, run: Run, read: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(FILE)
    planned = run("apply", str(file), "--plan")
    assert planned.exit_code == 3
    assert "will create the hook file-github" in planned.output and "will create the hook file-asana" in planned.output
    assert server.api.call("POST", "/in/file-github", b"{}", genuine(b"{}")).status == 404
    assert "Done." in run("apply", str(file)).output
    assert server.api.call("POST", "/in/file-github", b"{}", genuine(b"{}")).status == 200
    # Asana hands the secret over; the file has none, so that one stays.
    assert server.api.call("POST", "/in/file-asana", b"", {"X-Hook-Secret": "b537207f20cbfa02"}).status == 200
    again = run("apply", str(file))
    assert again.exit_code == 0 and "Nothing to do: the hooks match the file." in again.output
    file.write_text(FILE.replace("json:repository", "json:action"))
    assert "will change subject of the hook file-github" in run("apply", str(file)).output
    hooks = {hook["path"]: hook for hook in read("hooks", "list")}
    assert (hooks["file-github"]["subject"], hooks["file-asana"]["secret_count"]) == ("json:action", 1)


@pytest.mark.slow
def test_a_changed_secret_is_a_change_and_is_never_shown(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(FILE.replace("file-", "secret-"))
    run("apply", str(file))
    monkeypatch.setenv("GITHUB_SECRET", "a new one that nobody sees")
    shown = run("apply", str(file), "--json")
    plan = json.loads(shown.stdout)["hooks"]
    assert plan["applied"] and [step["says"] for step in plan["steps"]] == [
        "will change secrets of the hook secret-github"
    ]
    assert "nobody sees" not in shown.output


@pytest.mark.slow
def test_hooks_that_are_not_in_the_file_stay_unless_they_are_pruned(
    run: Run, read: Callable[..., Any], tmp_path: Path
) -> None:
    read("hooks", "create", "by-hand", "--scheme", "github", "--secret", "s3cret")
    read("hooks", "create", "acme/by-hand", "--scheme", "github", "--secret", "s3cret", "--tenant", "acme")
    file = tmp_path / "tidings.yaml"
    file.write_text(FILE.replace("file-", "pruned-"))
    # The line may also list other tests' hooks.
    assert re.search(r"^  hooks (.*, )?by-hand(,|$)", run("apply", str(file)).output, re.MULTILINE)
    assert "will delete the hook by-hand" in run("apply", str(file), "--prune").output
    paths = {hook["path"] for hook in read("hooks", "list")}
    assert "by-hand" not in paths and {"acme/by-hand", "pruned-github"} <= paths


def test_a_plan_that_is_no_longer_true_is_refused(server: TestServer) -> None:
    body = {"hooks": {"a": {"path": "planned", "scheme": "github", "secrets": ["x"]}}}
    plan = server.api.post("/v1/hooks:plan", body)["plan"]
    server.api.post("/v1/hooks", {"path": "meanwhile", "scheme": "github", "secrets": ["x"]})
    answer = server.api.call("POST", "/v1/hooks:apply", {**body, "plan": plan})
    assert (answer.status, answer.json["code"]) == (409, "plan_changed")
    assert server.api.post("/v1/hooks:apply", body)["applied"] is True
    wrong = {"hooks": {"a": {"path": "planned", "scheme": "github"}, "b": {"path": "planned", "scheme": "github"}}}
    answer = server.api.call("POST", "/v1/hooks:plan", wrong)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/hooks/b/path")
    key = server.api.post("/v1/keys", {"name": "t", "scopes": ["hooks:write"], "tenant": "acme"})["key"]
    assert server.api.with_key(key).call("POST", "/v1/hooks:plan", body).status == 403


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("links: 5", "line 1, column 8: `links` must be an object whose keys are the links' names"),
        ("links:\n  a: {hook: {}}", "line 2, column 6: A link needs `when`"),
        ("links:\n  a: {when: {poll: 1}}", "line 2, column 14: 'poll' is unknown here"),
        ("links:\n  a: {when: {hook: {}, every: 1h}}", "column 24: 'every' is unknown here"),
        ("links:\n  a: {when: {hook: {scheme: github}}}", "line 2, column 20: The field 'path' is required."),
        ("links:\n  a: {when: {hook: {path: x, scheme: githup}}}", "line 2, column 38: There is no signature scheme"),
        ("links:\n  a: {when: {hook: {path: x, scheme: github, colour: red}}}", "'colour' is unknown in a hook"),
        ("links:\n  a: {when: {hook: {path: 'x y', scheme: github}}}", "line 2, column 27: A path must consist of"),
        (
            "links:\n  a: {when: {hook: {path: x, scheme: github, secrets: ['${NOT_SET}']}}}",
            "variable NOT_SET is not set",
        ),
        ("links:\n  'a b': {when: {hook: {path: x, scheme: github}}}", "A link's name must have"),
    ],
)
def test_invalid_hooks_are_refused_with_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as wrong:
        read_config(file)
    assert said in str(wrong.value)


def test_check_names_the_hooks(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(FILE)
    assert "hooks code, files." in run("check", str(file)).output


def test_a_start_makes_the_hooks_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "tidings.yaml"
    file.write_text(FILE)
    with ProcessServer(tmp_path / "data", config=file) as server:
        assert server.api.call("POST", "/in/file-github", b"{}", genuine(b"{}")).status == 200
