"""Scenario 17: two days offline, and everything arrives by retry, by replay and by reading on from a cursor."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow

MISSED = "[1, 2, 3, 4, 5, 6, 7, 8]"


def test_receiver_was_offline() -> None:
    said = run("receiver_was_offline/run.py")
    for way in ("a cursor", "a replay", "retries"):
        assert f"By {way}: {MISSED}\n" in said
    late = [float(hours) for hours in re.findall(r"delivered +([\d.]+) h late", said)]
    assert len(late) == 9 and late[0] == 0
    left = [48 - 6 * n for n in range(8)]
    assert all(hours >= rest for hours, rest in zip(late[1:], left, strict=True)), (
        "none came before the two days were over"
    )
    assert "connect_failed" in said
    assert said.endswith("8 events were missed; lost: 0; late: 8; refused: 0\n")
