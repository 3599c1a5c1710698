"""Scenario 15: fresh answers within the limits of a key, 429 past them, and nobody else feels it."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_shipping_tracker() -> None:
    said = run("shipping_tracker/run.py")
    polls = re.findall(r"^ +(anna|bert) +(\d+) +(.*?) +RateLimit: (.*)$", said, re.MULTILINE)
    anna = "".join("+" if status == "200" else "-" for who, status, _, _ in polls if who == "anna")
    assert anna == "+++++-+++--+"
    assert {status for who, status, _, _ in polls if who == "bert"} == {"200"}
    waits = [int(shown.removeprefix("Retry-After: ")) for _, status, shown, _ in polls if status == "429"]
    assert waits[0] <= 60 < 13 * 3600 < waits[2] <= waits[1]
    assert re.fullmatch(r'"minute";r=4;t=\d+, "day";r=7;t=\d+', polls[0][3])
    assert "The server was restarted." in said
    assert said.endswith("Every answer was fresh, and nobody felt the other.\n")
