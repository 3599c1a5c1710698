"""Scenario 23 in its first form: the menu of one key, one order, and the dish at the door."""

from __future__ import annotations

import re

from tests.scenarios import run


def test_restaurant() -> None:
    said = run("restaurant/run.py")
    menu = re.search(r"the chef's key sees (\d+) operations, the guest's (\d+)", said)
    assert menu is not None and int(menu[1]) > int(menu[2]) > 0
    order = re.search(r"answered with (evt_\w+);", said)
    assert order is not None and f"webhook-id {order[1]}" in said
    assert "pumpkin soup" in said and "The signature is right" in said
    assert said.endswith("The dish arrived as it was ordered.\n")
