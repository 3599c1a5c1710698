"""Scenario 18: filters, chosen fields, a rate and batches do exactly what was asked for."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_less_data() -> None:
    said = run("less_data/run.py")
    assert "of 500 events 50 came" in said
    assert "{'number': 7, 'customer': {'name': 'c7'}}" in said
    most = re.search(r"the most in any second: (\d+)", said)
    assert most is not None and int(most[1]) <= 10
    assert "250 events came in 3 signed requests: [100, 100, 50]" in said
