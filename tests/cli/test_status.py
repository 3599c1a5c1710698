"""`tidings status`: one sentence, and status 1 if somebody is needed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run
from tidings.cli.local.status import COLUMNS, lines
from tidings.testing import Receiver, TestServer, until
from tidings.web.openapi.service.examples import ANSWERS

REPORT: dict[str, Any] = ANSWERS["HealthReport"]


def test_all_is_well(run: Run) -> None:
    result = run("status")
    assert (result.exit_code, result.stdout) == (0, "All is well: nothing is waiting.\n")


@pytest.mark.slow
def test_somebody_is_needed(run: Run, server: TestServer, receiver: Receiver) -> None:
    receiver.answer(422, path="/never")
    endpoint, _ = server.api.register(receiver.url("/never"), events=["never.*"], give_up_on=[422])
    server.api.publish("never.a")
    until(lambda: server.api.get("/v1/health")["dead_last_hour"], "it is dead")
    result = run("status")
    assert result.exit_code == 1
    first, *rest = result.stdout.splitlines()
    assert first == f"In the last hour, 1 delivery to {endpoint} became dead."
    assert rest[0].startswith("  Why: The endpoint answered 422.")
    assert rest[1] == "  Once the cause is fixed:"
    assert rest[2].startswith(f"    tidings replay {endpoint} --since ") and rest[2].endswith(" --failed")
    shown = run("status", "--json")
    assert shown.exit_code == 1 and '"state": "attention"' in shown.stdout


def test_without_a_server_or_the_scope_it_says_so(run: Run, server: TestServer) -> None:
    result = run("status", env={"TIDINGS_URL": "http://127.0.0.1:9"})
    assert result.exit_code == 1 and "127.0.0.1:9" in result.stderr
    key = server.api.post("/v1/keys", {"scopes": ["events:read"]})["key"]
    result = run("status", env={"TIDINGS_KEY": key})
    assert result.exit_code == 1 and "metrics:read" in result.stderr


def test_however_much_is_wrong_it_fits_on_a_small_screen() -> None:
    (problem,) = REPORT["problems"]
    worst = {**problem, "reason": "Too long. " * 50 + "\x1b[2J"}
    report = {**REPORT, "problems": [worst] * 20, "problems_total": 1_234}
    found = list(lines(report))
    assert len(found) <= 14 and all(len(line) <= COLUMNS for line in found), found
    assert found[0].startswith("1,234 things need attention.") and found[-1].startswith("And 1,231 more")
    assert "\x1b" not in "".join(found)
