"""Decimals against Python's own: their texts, their keys, and what a field of the type may be."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.model.collection import Collection, Field
from tidings.model.errors import Place
from tidings.rules.filter import compile
from tidings.rules.items.item import ItemRules
from tidings.rules.reading import decimals

TEXTS = st.from_regex(f"^{decimals.ASKED}$", fullmatch=True)


@given(TEXTS, TEXTS)
@example("-0.00", "0")
@example("9.9", "10")
@example("-1.23", "-1.234")
@example("0." + "0" * 37 + "1", "-" + "9" * 38)
def test_keys_sort_as_the_decimals_do(one: str, other: str) -> None:
    a, b = decimals.read(one), decimals.read(other)
    assert a == Decimal(one)
    assert (decimals.key(a) < decimals.key(b)) == (a < b)
    assert (decimals.key(a) == decimals.key(b)) == (a == b)
    assert decimals.from_key(decimals.key(a)) == a


@given(TEXTS, st.integers(0, 38))
@example("-0.001", 0)
def test_what_is_shown_is_the_same_number_with_all_of_its_digits(text: str, scale: int) -> None:
    shown = decimals.shown(decimals.read(text), scale)
    assert Decimal(shown) == Decimal(text)
    assert len(shown.partition(".")[2]) >= scale
    assert not (shown.startswith("-") and Decimal(shown) == 0), "there is no negative zero"
    assert decimals.shown(decimals.read(shown), scale) == shown or len(shown) > decimals.ASKED_CHARS


@given(st.integers(1, 38), st.data())
def test_a_field_takes_what_has_no_more_digits_than_it_says(most: int, data: st.DataObject) -> None:
    scale = data.draw(st.integers(0, most))
    field = Field(name="d", type="decimal", max_digits=most, scale=scale)
    text = data.draw(TEXTS)
    whole, _, part = text.lstrip("-").partition(".")
    fits = len(part) <= scale and (len(whole) <= most - scale or whole == "0")
    assert (re.fullmatch(decimals.pattern(field), text) is not None) == fits
    assert len(text) <= decimals.chars_max(field) or not fits
    wrong: list[Place] = []
    stored = ItemRules(Collection(name="c", fields=(field,))).stored({"d": text}, "", wrong)
    assert bool(wrong) != fits
    if fits:
        assert stored["d"] == Decimal(text)


@pytest.mark.parametrize(
    "value", [12.3, 5, True, "", "1.", ".5", "01", "+1", "1e3", "1_0", " 1", "1,5", "٣", "NaN", "1.234"]
)
def test_what_is_not_a_decimal_is_refused_with_what_it_must_be(value: Any) -> None:
    wrong: list[Place] = []
    field = Field(name="total", type="decimal", max_digits=12, scale=2)
    ItemRules(Collection(name="c", fields=(field,))).stored({"total": value}, "/data", wrong)
    [place] = wrong
    assert place.pointer == "/data/total" and place.code in ("wrong_type", "pattern", "too_long")
    assert place.detail.startswith(
        'total must be a decimal as a string, such as "5.00", with at most 12 digits, 2 of them'
    )


@given(TEXTS, st.integers(-(10**6), 10**6) | st.sampled_from([0.1, 12.3, -5e-7]))
def test_filters_compare_decimals_with_numbers_by_their_value(text: str, asked: float) -> None:
    for name, holds in {
        "$gt": Decimal.__gt__,
        "$gte": Decimal.__ge__,
        "$lt": Decimal.__lt__,
        "$lte": Decimal.__le__,
    }.items():
        fits = compile({"data": {"total": {name: asked}}})
        assert fits({"data": {"total": text}}) == holds(Decimal(text), Decimal(repr(asked)))
    assert not compile({"data": {"total": {"$gt": 0}}})({"data": {"total": "12a"}})
