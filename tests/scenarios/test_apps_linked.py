"""Scenario 11: three apps, each step once and in order, and one trail that shows them all."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow

TRAIL = """crm.deal d-7
  invoice: delivered after 2 attempts
books.invoice.created inv_1
  tell-team: delivered after 1 attempts
"""


def test_apps_linked() -> None:
    said = run("apps_linked/run.py")
    assert said.startswith(TRAIL)
    assert said.endswith("one trail shows them all.\n")
