"""Schemathesis sends what a document permits and what it does not, and holds every answer against the document."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.examples import are_all
from tests.installing import CACHE
from tests.openapi.conftest import callers_of, patient_server
from tidings.testing import Api, TestServer

SECONDS_MAX = 600
SCENARIOS = {"operator": 25, "tenant": 15, "reader": 10, "guest": 10}
"""How many rows of links are followed: those of a tenant, a reader and a guest are among the operator's. The seed is
fixed, so that each run repeats the same rows of calls, and more of them only come after these."""
PROGRAM = Path(sys.executable).parent / "schemathesis"
COVERED = {
    "operator": 'include-operation-id-regex = "^((notes|rooms)[.].*|plan_.*|apply_(links|hooks|forms)|'
    'put_(form|collection)|try_endpoint|make_stream_ticket)$"',
    "tenant": 'include-operation-id-regex = "^(notes[.].*|rooms[.](list|export)|[a-z_]+)$"',
    "reader": 'include-operation-id-regex = "^(rooms[.](export|ask[.].*)|notes[.](list|export)|[a-z_]+)$"',
}
"""What another run tries in all ways already, so that this one takes a few examples: all may ask the same of items, an
export has the parameters of the list and a ticket those of its stream, the operator asks all that a tenant and a reader
ask besides items, and a plan has the body of what carries it out, as those of links, hooks and forms have of that of
collections; what tries an endpoint or replaces a form or a collection has the body of what makes it. They are most of
what takes time."""
BRIEFLY = """
[[operations]]
{which}
phases.coverage.enabled = false
generation.max-examples = 2
"""
SETTINGS = """
seed = 1
continue-on-failure = true
request-timeout = 20
tls-verify = false
[warnings]
display = []
[generation]
max-examples = 3
no-shrink = true
allow-x00 = false
database = "none"
# A body's size and a condition are looked at before what is in the body (RFC 9110, 13.2.1).
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]
# Only the links that the document has, in rows long enough for: make, read, change, delete.
[phases.stateful]
max-steps = 10
link-calibration = false
[phases.stateful.inference]
algorithms = []
[phases.stateful.generation]
mode = "positive"
max-examples = {scenarios}
# No link leads to these or from them, and what to send them takes longest to make up.
[[operations]]
include-operation-id = ["plan_collections", "apply_collections"]
phases.stateful.enabled = false
# A tenant need not be registered to have endpoints and portal links, so these are there after it is deleted.
[[operations]]
include-operation-id = ["list_portal_links", "create_portal_link", "revoke_portal_links"]
phases.stateful.enabled = false
# A stream has no end, so what came by then is looked at.
[[operations]]
include-operation-id = "stream_events"
request-timeout = 0.3
"""


def readable(told: str) -> str:
    """The failures and the summary; texts that were made as long as they may be are cut."""
    return "\n".join(line if len(line) < 400 else f"{line[:400]}..." for line in told.splitlines())[-20_000:]


def with_streams(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the schema of each streamed event in place of that of the whole stream: they are checked."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for content in operation["responses"].get("200", {}).get("content", {}).values():
                content["schema"] = content.pop("x-itemSchema", content["schema"])
    return document


def run(url: str, caller: Api, who: str, folder: Path, *more: str) -> str:
    """What Schemathesis says about a run with every check that found nothing. `more`: its phases."""
    (folder / "openapi.json").write_text(json.dumps(with_streams(caller.get("/v1/openapi.json"))))
    brief = BRIEFLY.format(which=COVERED[who]) if who in COVERED else ""
    (folder / "settings.toml").write_text(SETTINGS.format(scenarios=SCENARIOS.get(who, 1)) + brief)
    command: list[str | Path] = [PROGRAM, "--config-file", "settings.toml", "run", "openapi.json", "--url", url]
    command += ["--checks", "all", "--no-color", *more]
    if caller.key is not None:
        command += ["--header", f"Authorization: Bearer {caller.key}"]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.openapi.hooks", "PYTHONPATH": os.getcwd(), "CALLER": who, "PHASES": more[1]}
    # Hypothesis keeps there what it knows of all letters: to find that out takes seconds.
    environment = {**os.environ, **hooks, "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis")}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert ran.returncode == 0, readable(ran.stdout) + ran.stderr[-2_000:]
    calls = json.loads((folder / "calls.json").read_text())
    assert calls["by_requests"] <= calls["here"] / 100, f"tests/openapi/wire.py made too few of the calls: {calls}"
    return ran.stdout


def follow_links(url: str, caller: Api, who: str, folder: Path, wanted: int = 5) -> None:
    """Follow the document's links, at least so many, in a stateful run that must find nothing."""
    told = run(url, caller, who, folder, "--phases", "stateful")
    followed = re.search(r"API Links: +(\d+) covered", told)
    assert followed and int(followed[1]) >= wanted and re.search("✅ *Stateful", told), readable(told)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant", "reader", "nobody", "guest"])
def test_the_server_keeps_to_its_document(
    server: TestServer, callers: dict[str, Api], tmp_path: Path, who: str
) -> None:
    caller = callers[who]
    # Before the run, which may declare collections, and so more operations.
    operations = sum(len(methods) for methods in caller.get("/v1/openapi.json")["paths"].values())
    # The coverage phase takes most of the time. Without a key it is short.
    phases = ["Fuzzing", *(["Examples"] if caller.key else [])]
    phases += ["Coverage"] if are_all() or not caller.key else []
    told = run(server.url, caller, who, tmp_path, "--phases", ",".join(phases).lower())
    for phase in phases:
        assert re.search(f"✅ *{phase}", told), readable(told)
    assert re.search(rf"Tested: {operations}\b", told), readable(told)
    assert server.api.get("/readyz") == {"status": "ok"}


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("who", ["operator", "tenant", "reader", "guest"])
def test_its_links_can_be_followed(tmp_path: Path, who: str) -> None:
    # Its own server: what other runs put there, of many tenants, may have the ids of what this one deletes.
    with patient_server(tmp_path / "tidings") as server:
        follow_links(server.url, callers_of(server)[who], who, tmp_path, 1 if who == "reader" else 5)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.thorough
def test_its_links_can_be_followed_on_postgres_too(tmp_path: Path, postgres_url: str) -> None:
    with patient_server(tmp_path / "tidings", postgres_url) as server:
        follow_links(server.url, server.api, "operator", tmp_path)
