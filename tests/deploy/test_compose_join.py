"""deploy/compose.join.yaml: two servers that have joined behind one published port. Its proxy is tried for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from tests.nodes.joined import KEY, Node, joined, split
from tests.programs import needed
from tests.repository import ROOT
from tidings.cli.commands import tree
from tidings.testing import Api, until
from tidings.testing.api import OPERATOR_KEY
from tidings.testing.ports import free_port

DEPLOY = ROOT / "deploy"
SERVERS = ("one", "two")
GIVEN = {"POSTGRES_PASSWORD": "hush", "TIDINGS_SECRET_KEY": KEY, "TIDINGS_OPERATOR_KEY": OPERATOR_KEY}


@pytest.fixture(scope="module")
def compose() -> Any:
    return YAML(typ="safe").load((DEPLOY / "compose.join.yaml").read_text())


def test_only_the_proxy_is_published_and_knows_both_servers(compose: Any) -> None:
    services = compose["services"]
    assert [name for name, each in services.items() if "ports" in each] == ["proxy"]
    content = compose["configs"]["caddyfile"]["content"]
    assert f"reverse_proxy {' '.join(f'{name}:8080' for name in SERVERS)} {{" in content
    assert services["proxy"]["ports"] == ["127.0.0.1:8080:8080"] and content.startswith(":8080 {")
    own = [each.partition(":")[0] for name in SERVERS for each in services[name]["volumes"]]
    assert len(set(own)) == 2, "each has a folder of its own"
    [network] = compose["networks"]["default"]["ipam"]["config"]
    trusted = {services[name]["environment"]["TIDINGS_TRUSTED_PROXIES"] for name in SERVERS}
    assert trusted == {network["subnet"]}
    extended = services["postgres"]["extends"]
    other = YAML(typ="safe").load((DEPLOY / extended["file"]).read_text())
    assert extended["service"] in other["services"] and set(other["volumes"]) <= set(compose["volumes"])


def test_the_servers_are_as_closed_as_a_single_one(compose: Any) -> None:
    single = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text())["services"]["tidings"]
    usual = {name: value for name, value in single.items() if name not in ("environment", "ports", "volumes")}
    for name in SERVERS:
        assert usual.items() <= compose["services"][name].items()


@pytest.mark.parametrize("name", SERVERS)
def test_tidings_accepts_their_settings(compose: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = re.findall(r"\b(TIDINGS_\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text())
    given = dict(image) | compose["services"][name]["environment"]
    for variable, value in given.items():
        if value is not None:
            monkeypatch.setenv(variable, re.sub(r"\$\{(\w+)[^}]*\}", lambda found: GIVEN[found[1]], value))
    done = CliRunner().invoke(tree(("check",)), ["check", "--json"])
    assert done.exit_code == 0, done.output
    used = json.loads(done.stdout)["settings"]
    assert (used["join"], used["node_url"]) == (True, f"http://{name}:8080")


@contextmanager
def proxied(compose: Any, folder: Path, made: list[Node]) -> Iterator[str]:
    """The URL of a Caddy with the file's configuration, for servers that listen here."""
    program, port = needed("caddy"), free_port()
    block = compose["configs"]["caddyfile"]["content"]
    ours = " ".join(each.url.removeprefix("http://") for each in made)
    block = block.replace("one:8080 two:8080", ours).replace(":8080 {", f":{port} {{\n    bind 127.0.0.1", 1)
    path = folder / "Caddyfile"
    path.write_text(f"{{\n    admin off\n    storage file_system {folder}/caddy\n}}\n{block}")
    environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command: list[str | Path] = [program, "run", "--config", path, "--adapter", "caddyfile"]
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.postgres
def test_the_proxy_goes_on_with_the_other_server_if_one_is_killed(
    compose: Any, tmp_path: Path, migrated_url: str
) -> None:
    with (
        joined(tmp_path, migrated_url, 2, trusted_proxies="127.0.0.1") as made,
        proxied(compose, tmp_path, made) as url,
    ):
        api = Api(url, OPERATOR_KEY)
        until(lambda: _is_there(api), "the proxy has found a server")
        refused: list[int] = []
        sent = {_published(api, refused) for _ in range(10)}
        first, (other,) = split(migrated_url, made)
        first.kill()
        sent |= {_published(api, refused) for _ in range(40)}
        assert len(sent) == 50
        assert set(refused) <= {502}, "what was under way to the killed one, which the publisher repeats"
        there = other.api.call("GET", "/v1/events?limit=100").json["data"]
        assert {each["id"] for each in there if each["type"] == "step"} == sent, "each is stored once"
        # Whoever is in front of the proxy says who calls.
        caller = api.call("GET", "/v1/caller", headers={"X-Forwarded-For": "203.0.113.7"}).json
        assert caller["address"] == "203.0.113.7"


def _is_there(api: Api) -> bool:
    try:
        return api.with_key(None).call("GET", "/readyz").status == 200
    except OSError:
        return False


def _published(api: Api, refused: list[int]) -> str:
    """The event's id, from a publisher that repeats what was not answered; notes how often that was."""
    key, ids = {"Idempotency-Key": os.urandom(8).hex()}, []

    def is_taken() -> bool:
        reply = api.call("POST", "/v1/events", {"type": "step", "data": {}}, key)
        if reply.status == 202:
            ids.append(str(reply.json["id"]))
        else:
            refused.append(reply.status)
        return reply.status == 202

    until(is_taken, "a server has taken it")
    return ids[0]
