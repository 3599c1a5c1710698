"""Scenario 8: an approved supplier edits the stock, and nobody else."""

from __future__ import annotations

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_supplier_stock() -> None:
    said = run("supplier_stock/run.py")
    assert "The supplier has 40 chairs: 200. In stock: 40" in said
    assert "Somebody else, with 4,000 chairs: 401" in said
    assert said.endswith("Only the supplier changed the stock, once.\n")
