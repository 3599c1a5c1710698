"""Scenario 19: nine o'clock on working days, through both changes of the clocks, with restarts at nine."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_time_of_day() -> None:
    said = run("time_of_day/run.py")
    assert "Mon 26 Oct 09:00, UTC+01" in said
    assert said.endswith("Each working day had one nine o'clock.\n")
