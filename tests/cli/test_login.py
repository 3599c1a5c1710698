"""`tidings login`: a key that is stored is used where none is given, and sent nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.cli.mcp import LINE_BYTES_MAX
from tidings.testing import TestServer

NO_KEY = {"TIDINGS_KEY": "", "TIDINGS_URL": ""}


@pytest.fixture(autouse=True)
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where profiles are."""
    path = tmp_path / "config" / "profiles.json"
    monkeypatch.setenv("TIDINGS_PROFILES", str(path))
    return path


@pytest.mark.slow
def test_a_stored_key_is_used_where_none_is_given(run: Run, server: TestServer, stored: Path) -> None:
    done = run("login")
    assert done.exit_code == 0 and f"Logged in to {server.url} with the key 'operator'" in done.stdout
    assert stored.stat().st_mode & 0o777 == 0o600 and stored.parent.stat().st_mode & 0o777 == 0o700
    assert str(server.api.key) not in done.stdout
    assert run("events", "list", env=NO_KEY).exit_code == 0
    assert run("logout").exit_code == 0
    refused = run("events", "list", env={"TIDINGS_KEY": ""})
    assert refused.exit_code == 1 and "store one with: tidings login" in refused.stderr


def test_a_key_is_asked_for_and_checked_before_it_is_stored(run: Run, server: TestServer, stored: Path) -> None:
    assert run("login", input=f"{server.api.key}\n", env={"TIDINGS_KEY": ""}).exit_code == 0
    before = stored.read_bytes()
    nobody = run("login", input="", env={"TIDINGS_KEY": ""})
    assert nobody.exit_code == 1 and "There is no terminal on which to ask for the key." in nobody.stderr
    wrong = run("login", "--key", "tdk_wrong")
    assert wrong.exit_code == 1 and "unknown or revoked" in wrong.stderr
    assert stored.read_bytes() == before


@pytest.mark.slow
def test_there_may_be_several(run: Run, server: TestServer, stored: Path) -> None:
    acme = server.api.post("/v1/keys", {"name": "acme's", "tenant": "acme", "scopes": ["events:read"]})["key"]
    assert run("login").exit_code == 0
    assert "of the tenant acme" in run("login", "--profile", "acme", "--key", acme).stdout
    assert set(json.loads(stored.read_text())) == {"default", "acme"}
    assert run("keys", "list", env=NO_KEY).exit_code == 0
    assert "scope" in run("keys", "list", env={**NO_KEY, "TIDINGS_PROFILE": "acme"}).stderr
    unknown = run("keys", "list", env={**NO_KEY, "TIDINGS_PROFILE": "nobody"})
    assert unknown.exit_code == 1 and "tidings login --profile nobody" in unknown.stderr


@pytest.mark.slow
def test_a_stored_key_is_sent_to_its_own_server_only(run: Run, server: TestServer) -> None:
    assert run("login").exit_code == 0
    with TestServer() as other:
        refused = run("events", "list", "--url", other.url, env=NO_KEY)
        assert refused.exit_code == 1 and "--key" in refused.stderr


@pytest.mark.slow
def test_a_url_that_is_given_is_called_also_if_it_is_the_usual_one(run: Run, server: TestServer) -> None:
    """Someone who names the server on this machine does not mean the one of the profile."""
    assert run("login", "--url", f"{server.url}/").exit_code == 0
    assert run("events", "list", "--url", f"{server.url}/", env=NO_KEY).exit_code == 0
    assert run("events", "list", "--url", server.url, env=NO_KEY).exit_code == 0
    usual = "http://127.0.0.1:8080"
    refused = run("tenants", "delete", "acme", "--url", usual, env=NO_KEY)
    assert refused.exit_code == 1 and server.url not in refused.stderr
    assert f"listening on {usual}" in refused.stderr or "--key" in refused.stderr
    assert run("events", "list", "--url", "", env=NO_KEY).exit_code == 1


@pytest.mark.slow
def test_the_doctor_uses_a_stored_key_for_its_own_server(
    read: Callable[..., Any], run: Run, server: TestServer, stored: Path
) -> None:
    assert run("login").exit_code == 0

    def said(url: str) -> list[str]:
        found = json.loads(run("doctor", "--url", url, "--json", env=NO_KEY).stdout)
        return [each["detail"] for each in found if each["what"] == "key"]

    assert said(server.url) == ["The key is valid."]
    with TestServer() as other:
        assert "No key was given" in said(other.url)[0]
    stored.chmod(0o644)
    assert f"chmod 600 {stored}" in said(server.url)[0]


@pytest.mark.slow
def test_a_user_without_a_home_folder_can_call_a_server(
    run: Run, server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a unit or a container, whose user need not have an entry in /etc/passwd."""
    for name in ("TIDINGS_PROFILES", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def homeless(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.setattr(Path, "home", homeless)
    assert run("events", "list").exit_code == 0
    assert "tidings login" in run("events", "list", env={"TIDINGS_KEY": ""}).stderr
    assert "TIDINGS_PROFILES" in run("login").stderr
    assert "--cursor-file" in run("listen", "--to", "http://127.0.0.1:1/").stderr


def test_an_assistants_program_with_a_malformed_url_says_so(run: Run) -> None:
    said = run("mcp", "--url", "example.com", input="")
    assert said.exit_code == 1 and "'example.com' is not an http:// or https:// URL" in said.stderr


@pytest.mark.slow
def test_an_assistants_program_answers_what_is_no_message(run: Run) -> None:
    where = ("mcp", "--url", "http://127.0.0.1:1", "--key", "tdk_x")
    said = run(*where, input="nope\n[1]\n" + "[" * 100_000 + "\n")
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(each["id"], each["error"]["code"]) for each in answers] == [
        (None, -32700),
        (None, -32600),
        (None, -32700),
    ]
    said = run(*where, input="x" * (LINE_BYTES_MAX + 1))
    assert said.exit_code == 1 and "longer than 16 MiB" in said.stderr


def test_an_assistants_program_passes_the_servers_own_error_on(run: Run) -> None:
    asked = [{"jsonrpc": "2.0", "id": 5, "method": 5}, {"jsonrpc": "2.0", "id": 6, "method": "resources/list"}]
    said = run("mcp", input="".join(f"{json.dumps(each)}\n" for each in asked))
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(each["id"], each["error"]["code"]) for each in answers] == [(5, -32600), (6, -32601)]
    assert "not a JSON-RPC message" in answers[0]["error"]["message"]


def test_a_file_that_others_can_read_is_refused(run: Run, stored: Path) -> None:
    assert run("login").exit_code == 0
    stored.chmod(0o644)
    refused = run("events", "list", env=NO_KEY)
    assert refused.exit_code == 1 and f"chmod 600 {stored}" in refused.stderr
    stored.write_text("{")
    stored.chmod(0o600)
    assert "is damaged" in run("events", "list", env=NO_KEY).stderr
