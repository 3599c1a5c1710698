"""Scenario 14: one SMS for each phone, only when a status or a time really changed, and one for a payment."""

from __future__ import annotations

import pytest

from tests.scenarios import fits, run

pytestmark = pytest.mark.slow


def test_flight_delayed() -> None:
    said = run("flight_delayed/run.py")
    assert fits(said)
    assert said.count("no SMS") == 2
    assert "One phone number was not valid: 400" in said and "Invalid 'To' Phone Number" in said
    assert said.endswith("One SMS for each phone, and only for what changed.\n")
