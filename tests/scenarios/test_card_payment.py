"""Scenario 2: a charge is answered at once, and its reversal a week later is reported without being asked for."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_card_payment() -> None:
    said = run("card_payment/run.py")
    first, again = re.search(r"201 succeeded: (itm_\w+)", said), re.search(r"201 (itm_\w+): nobody pays twice", said)
    assert first is not None and again is not None and first[1] == again[1]
    assert "422 no_such_item at /card" in said and "422 too_large at /amount" in said
    told = said.partition("charge.reversed\n")[2]
    assert first[1] in told and "'reason': 'fraudulent'" in told and "changed: ['status', 'reason']" in told
    assert "The signature is right" in said
    assert said.endswith("told a week later.\n")
