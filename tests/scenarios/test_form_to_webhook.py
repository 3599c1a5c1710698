"""Scenario 4: some fields of a form go to another service, and a form without a required one is refused."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_form_to_webhook() -> None:
    said = run("form_to_webhook/run.py")
    assert "Without an email: 422, and the page says: check [('email', 'Your email')]" in said
    assert "The service got, signed:\n  {'email': 'ann@example.com', 'message': 'Do you ship to Graz?'}" in said
    assert said.endswith("The service has those fields, and only those.\n")
