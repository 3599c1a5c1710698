"""Scenario 5: what a form service posts with the right key is stored, and nothing else."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_form_service() -> None:
    said = run("form_service/run.py")
    assert "Ann fills in the form: 200. With a wrong key: 401, with none: 401" in said
    assert said.count("Refused and kept: ") == 2
    assert said.endswith("Only what the form service sent was acted on.\n")
