"""Scenario 9: the account that another site reports is on our user's item, once, and later calls act for it."""

from __future__ import annotations

import pytest

from tests.scenarios import fits, run

pytestmark = pytest.mark.slow


def test_connect_onboarding() -> None:
    said = run("connect_onboarding/run.py")
    assert fits(said)
    assert "Ann begins at the payment site: 200. Her account here: None" in said
    assert "She is done: 200, said again: 200. Her account here: acct_1" in said
    assert "3 calls, one of them repeated, made these payouts:\n  [('acct_1', 1250), ('acct_1', 1750)]" in said
    assert said.endswith("The account is on Ann's item, once, and each payout names it.\n")
