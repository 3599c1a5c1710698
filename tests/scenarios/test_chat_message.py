"""Scenario 22: events become chat messages, and hostile text in an event stays text."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_chat_message() -> None:
    said = run("chat_message/run.py")
    assert "*New order* o-2: &lt;!channel&gt;" in said
    assert said.endswith("no text became more than text.\n")
