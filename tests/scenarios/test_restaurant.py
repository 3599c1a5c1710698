"""Scenario 23: the menu of one key, one order, the kitchen, and the dish at the door."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow


def test_restaurant() -> None:
    said = run("restaurant/run.py")
    menu = re.search(r"the chef's key sees (\d+) operations on items, the guest's (\d+)", said)
    assert menu is not None and int(menu[1]) > int(menu[2]) == 5
    assert "GET /v1/items/dishes:by_course" in said and "The soups: Pumpkin soup, Onion soup" in said
    order = re.search(r"answered with (itm_\w+): ordered", said)
    assert order is not None and f"edits {order[1]} to ready" in said
    assert "A guest who says that it is ready: 403" in said
    assert "orders.ready, pumpkin-soup for table 7, without cream" in said and "The signature is right" in said
    assert said.endswith("The dish arrived as it was ordered.\n")
