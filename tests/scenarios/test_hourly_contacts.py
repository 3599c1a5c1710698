"""Scenario 3: contacts are copied from one system to another, through kills, refusals and changes while reading."""

from __future__ import annotations

import pytest

from tests.scenarios import fits, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("options", [(), ("--soap",)], ids=["rest", "soap"])
def test_hourly_contacts(options: tuple[str, ...]) -> None:
    said = run("hourly_contacts/run.py", *options)
    assert fits(said)
    assert "0 created, 0 updated, 0 deleted. 0 calls." in said
    assert said.endswith("The books equal the CRM.\n")
