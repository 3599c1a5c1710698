"""Scenario 16: every new post of another service once, none missed, and its rate never broken."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_trend_report() -> None:
    said = run("trend_report/run.py")
    assert "; 0 were refused.\n" in said
    assert said.endswith("Every post once, none missed, and the rate was kept.\n")
