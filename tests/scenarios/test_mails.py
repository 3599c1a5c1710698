"""Scenarios 12 and 13: one mail for a failed payment and for a new user, whatever is repeated."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_failed_subscription() -> None:
    said = run("failed_subscription/run.py")
    assert said.count("ada@example.com: Your payment of 19.90 EUR failed") == 2
    assert said.endswith("One mail for each failed try, however often it was reported.\n")


def test_welcome_mail() -> None:
    said = run("welcome_mail/run.py")
    assert "3 mails before everything was replayed, 3 afterwards." in said
    assert said.endswith("One welcome for each user, none for edits and replays.\n")
