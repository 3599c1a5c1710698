"""Scenario 7: exactly two questions, and a partner whose feedback corrects a reading."""

from __future__ import annotations

import re

import pytest

from tests.scenarios import run

pytestmark = pytest.mark.slow

REFUSED = {
    "a third question": 404,
    "half a question": 422,
    "a question and a half": 422,
    "the whole list": 403,
    "to set the temperature": 403,
    "to add a reading": 403,
    "feedback with the public's key": 404,
    "feedback without a key": 401,
    "feedback with a key that is none": 401,
    "a partner sets the temperature": 403,
    "a partner speaks for another": 403,
}


def test_weather() -> None:
    said = run("weather/run.py")
    menu = "GET /v1/items/readings:by_place, GET /v1/items/readings:by_postal_code\n"
    assert f"The public's document has: {menu}" in said
    for what, status in REFUSED.items():
        assert re.search(rf"^ +{what} +{status} \w+: \w+", said, re.MULTILINE), what
    asked = re.findall(r"by place: \[([\d.]+)\], by postal code: ([\d.]+)", said)
    assert asked == [("4.5", "4.5"), ("6.5", "6.5")]
    assert re.search(r"a partner says: it was 6.5 +201 itm_\w+, said by key_\w+", said)
    assert said.endswith("one voice that counts.\n")
