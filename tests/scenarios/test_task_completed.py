"""Scenario 1: one edit to done is one signed webhook; everything else that happens to tasks tells nobody."""

from __future__ import annotations

import re

from tests.scenarios import run


def test_task_completed() -> None:
    said = run("task_completed/run.py")
    late = re.search(r"The URL got tasks\.completed after (\d+) ms", said)
    assert late is not None and int(late[1]) < 1000
    assert "'done': True" in said and "changed: ['done']" in said
    assert "Of 7 events in the log, 1 was sent" in said
    assert said.endswith("One webhook, genuine and in time.\n")
