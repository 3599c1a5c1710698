"""Scenario 6: a thin webhook, and the order that it names is fetched and copied."""

from __future__ import annotations

import pytest

from tests.scenarios import fits, run

pytestmark = pytest.mark.slow


def test_notify_then_fetch() -> None:
    said = run("notify_then_fetch/run.py")
    assert fits(said)
    assert "shop.order.created, shop.order.updated, shop.order.deleted" in said
    assert said.endswith("The copy followed the shop.\n")
